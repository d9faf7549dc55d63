"""Headless replay of a script, with its identities checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from surgery.errors import SurgeryError
from surgery.script import Script, made_with
from surgery.session import Session
from surgery.sources import open as open_model


def replay(
    script: Script | str | Path,
    model: str | Path | nn.Module | None = None,
    out: str | Path | None = None,
    *,
    inputs: Any = None,
    overwrite: bool = False,
) -> Session:
    """The session after all steps of `script`, saved to `out` if given.

    `model`: the base, by default where the script says it was. Its fingerprint must be the one
    recorded, and so must the result's on the same torch build and CPU capability. Raises
    SurgeryError otherwise, before anything is written.
    """
    if not isinstance(script, Script):
        script = Script.read(script)
    if model is None:
        model = script.base.source
    if model is None:
        raise SurgeryError("the script does not say where its model lies", hint="`--model FOLDER`")
    session = open_model(model, inputs)
    _same_base(session, script)
    for step in script.steps:
        session.apply(step)
    _same_result(session, script)
    if out is not None:
        session.save(out, overwrite=overwrite)
    return session


def _same_base(session: Session, script: Script) -> None:
    base = session.base
    if base.class_name != script.base.class_name:
        raise SurgeryError(
            "this script was made on another model",
            path=base.source or "the model given",
            got=base.class_name,
            expected=script.base.class_name,
        )
    if script.base.fingerprint is not None and base.fingerprint != script.base.fingerprint:
        raise SurgeryError(
            "this script was made on another model: the content differs",
            path=base.source or "the model given",
            got=base.fingerprint,
            expected=script.base.fingerprint,
            hint="`--model` with the model the script was made on",
        )


def _same_result(session: Session, script: Script) -> None:
    if script.result is None:
        return
    found = session.fingerprint()
    if found == script.result:
        return
    here = made_with()
    differ = [
        f"{key} {here[key]} instead of {script.made_with[key]}"
        for key in ("torch", "cpu_capability", "device")
        if key in script.made_with and script.made_with[key] != here[key]
    ]
    reason = f"; equal bits are promised for one build and device only, and here it is {', '.join(differ)}"
    raise SurgeryError(
        "the result is not the one recorded" + (reason if differ else ""), got=found, expected=script.result
    )
