"""Whether base and result are those a script was recorded with."""

from __future__ import annotations

import warnings
from pathlib import Path

from torch import nn

from surgery.errors import SurgeryError, SurgeryWarning
from surgery.fingerprint import Fingerprinter
from surgery.script import Base, Script
from surgery.sources.names import is_factory

_OTHER_BASE = (
    "`--model` with the model the script was made on, or `--reselect` (`reselect=True`), which resolves its "
    "selectors anew on this one"
)


def base_of(
    script: Script, model: str | Path | nn.Module | None, allow_factory: str | None
) -> str | Path | nn.Module:
    """What a script is replayed on: the `model` given, or else what the script says.

    SurgeryError if it says nothing, or a factory, which is code, that is not called `allow_factory`.
    """
    if model is not None:
        return model
    source = script.base.source
    if source is None:
        raise SurgeryError("the script does not say where its model lies", hint="`--model FOLDER`")
    _refuse_code(source, allow_factory)
    return source


def _refuse_code(source: str, allowed: str | None) -> None:
    """SurgeryError if a script's base is a factory and nobody allowed this one."""
    if is_factory(source) and source != allowed:
        raise SurgeryError(
            "the script names a factory, which is code, and a script runs none unasked",
            path=source,
            got=f"leave for {allowed}" if allowed else None,
            hint=f"`--allow-factory {source}`, or `surgery.replay(script, allow_factory={source!r})`",
        )


def same_base(base: Base, script: Script) -> None:
    """SurgeryError unless this is the model that the script was made on, by class and content."""
    same_class(base, script)
    same_content(base, script)


def same_class(base: Base, script: Script) -> None:
    """SurgeryError unless the model is of the class that the script was made on."""
    if script.base.class_name not in ("", base.class_name):  # a mergekit file names no class
        raise SurgeryError(
            "this script was made on another model",
            path=base.source or "the model given",
            got=base.class_name,
            expected=script.base.class_name,
            hint=_OTHER_BASE,
        )


def same_content(base: Base, script: Script) -> None:
    """SurgeryError if the script knows the content it was made on, and this is another."""
    if script.base.fingerprint is not None and base.fingerprint != script.base.fingerprint:
        raise SurgeryError(
            "this script was made on another model: the content differs",
            path=base.source or "the model given",
            got=base.fingerprint,
            expected=script.base.fingerprint,
            hint=_OTHER_BASE,
        )


def same_result(made: Script, script: Script, model: nn.Module, fingerprint: Fingerprinter) -> None:
    """SurgeryError if the result is not the one recorded.

    Where equal bits are not promised, neither the values that were made here may be farther from those
    recorded than `Gauge.tolerance` of `surgery.likeness` says, nor may anything else differ. A SurgeryWarning
    says so.
    """
    if script.result in (None, made.result):
        return
    differ = other_circumstances(made, script)
    if not differ:
        raise SurgeryError("the result is not the one recorded", got=made.result, expected=script.result)
    warnings.warn(
        "the result is not bit for bit the one recorded: equal bits are promised for one build and device "
        f"only, and here it is {', '.join(differ)}; {_alike(script, model, fingerprint)}",
        SurgeryWarning,
        stacklevel=3,
    )


def other_circumstances(made: Script, script: Script) -> list[str]:
    """What of that which equal bits hang on is other than it was, in words."""
    return [
        f"{key} {made.made_with.get(key)} instead of {script.made_with[key]}"
        for key in ("torch", "cpu_capability", "device")
        if key in script.made_with and script.made_with[key] != made.made_with.get(key)
    ]


def _alike(script: Script, model: nn.Module, fingerprint: Fingerprinter) -> str:
    """How near the model is to what the script recorded, in words; SurgeryError if that is too far."""
    if script.likeness is None:
        return "how far apart they are the script does not say, which has no gauges of its result"
    return script.likeness.compared(fingerprint.likeness_in(model, script.likeness.gauges)).said()
