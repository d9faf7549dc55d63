"""Headless replay of a script, with its identities checked."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from torch import nn

from surgery.checkpoint.save import may_write
from surgery.errors import SurgeryError, SurgeryWarning
from surgery.reselecting import unresolved
from surgery.script import Script
from surgery.session import Session
from surgery.sources import open as open_model
from surgery.sources.names import is_factory

_OTHER_BASE = (
    "`--model` with the model the script was made on, or `--reselect` (`reselect=True`), which resolves its "
    "selectors anew on this one"
)


def replay(
    script: Script | str | Path,
    model: str | Path | nn.Module | None = None,
    out: str | Path | None = None,
    *,
    inputs: Any = None,
    overwrite: bool = False,
    plain: bool = False,
    allow_factory: str | None = None,
    reselect: bool = False,
) -> Session:
    """The session after all steps of `script`, saved to `out` if given, as an ordinary model if `plain`.

    `model`: the base, by default where the script says it was; a factory that the script names is code, and
    is run only if `allow_factory` is its name. Its fingerprint must be the one
    recorded, and so must the result's on the same torch build, CPU capability and device; elsewhere
    a result that differs is a SurgeryWarning that says what is different here. Raises SurgeryError
    before anything is written.

    `reselect`: the base may be another model, of another class too. Every selector is resolved anew on it,
    counts expected must still hold, and so must all else that the script recorded, such as the content of
    parents. The result is compared with nothing. `surgery.reselecting.reselected(script.steps,
    session.steps)` says what each selector came to.
    """
    if not isinstance(script, Script):
        script = Script.read(script)
    if model is None:
        model = script.base.source
        if model is None:
            raise SurgeryError("the script does not say where its model lies", hint="`--model FOLDER`")
        _refuse_code(model, allow_factory)
    if out is not None:
        may_write(Path(out).expanduser(), overwrite)
    session = open_model(model, inputs)
    if reselect:
        _apply_anew(session, script)
    else:
        _same_base(session, script)
        _apply(session, script)
        _same_result(session, script)
    if out is not None:
        session.save(out, overwrite=overwrite, plain=plain)
    return session


def _apply(session: Session, script: Script) -> None:
    """Applies every step. Only the base and the last state are traced, if the result is the one recorded.

    Then the session that made the script has traced every state, of this very model. Otherwise each is
    traced here, and the first step that broke the model is refused, as it is when steps are made one by one.
    """
    _ = session.graph  # the base's, which comparisons and figures go by
    try:
        for step in script.steps:
            session.apply_unchecked(step)
    except Exception:
        session.check()  # a step before this one comes first
        raise
    known = script.result is not None and session.fingerprint() == script.result
    if not known or session.graph.problem is not None:
        session.check()


def _apply_anew(session: Session, script: Script) -> None:
    """Applies every step to whatever its selectors match here; an error names the step."""
    for index, step in enumerate(script.steps):
        try:
            session.apply(unresolved(step))
        except SurgeryError as error:
            place = f"steps[{index}]: {error.path}" if error.path else f"steps[{index}]"
            raise SurgeryError(
                error.problem, path=place, got=error.got, expected=error.expected, hint=error.hint
            ) from None


def _refuse_code(source: str, allowed: str | None) -> None:
    """SurgeryError if a script's base is a factory and nobody allowed this one."""
    if is_factory(source) and source != allowed:
        raise SurgeryError(
            "the script names a factory, which is code, and a script runs none unasked",
            path=source,
            got=f"leave for {allowed}" if allowed else None,
            hint=f"`--allow-factory {source}`, or `surgery.replay(script, allow_factory={source!r})`",
        )


def _same_base(session: Session, script: Script) -> None:
    base = session.base
    if base.class_name != script.base.class_name:
        raise SurgeryError(
            "this script was made on another model",
            path=base.source or "the model given",
            got=base.class_name,
            expected=script.base.class_name,
            hint=_OTHER_BASE,
        )
    if script.base.fingerprint is not None and base.fingerprint != script.base.fingerprint:
        raise SurgeryError(
            "this script was made on another model: the content differs",
            path=base.source or "the model given",
            got=base.fingerprint,
            expected=script.base.fingerprint,
            hint=_OTHER_BASE,
        )


def _same_result(session: Session, script: Script) -> None:
    if script.result is None:
        return
    made = session.script
    found, here = made.result, made.made_with
    if found == script.result:
        return
    differ = [
        f"{key} {here[key]} instead of {script.made_with[key]}"
        for key in ("torch", "cpu_capability", "device")
        if key in script.made_with and script.made_with[key] != here[key]
    ]
    if not differ:
        raise SurgeryError("the result is not the one recorded", got=found, expected=script.result)
    warnings.warn(
        "the result is not bit for bit the one recorded: equal bits are promised for one build and device "
        f"only, and here it is {', '.join(differ)}",
        SurgeryWarning,
        stacklevel=3,
    )
