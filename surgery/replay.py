"""Headless replay of a script, with its identities checked."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from torch import nn

from surgery import mergekit
from surgery.checkpoint.save import may_write, save
from surgery.errors import SurgeryError, SurgeryWarning
from surgery.reselecting import unresolved
from surgery.script import Base, Script
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
    memory: int | str | None = None,
) -> Session:
    """The session after all steps of `script`, saved to `out` if given, as an ordinary model if `plain`.

    `script` may also be a mergekit file, `config.yml`: see `surgery.mergekit`.

    `model`: the base, by default where the script says it was; a factory that the script names is code, and
    is run only if `allow_factory` is its name. Its fingerprint must be the one
    recorded, and so must the result's on the same torch build, CPU capability and device; elsewhere
    a result that differs is a SurgeryWarning that says what is different here. Raises SurgeryError
    before anything is written.

    `reselect`: the base may be another model, of another class too. Every selector is resolved anew on it,
    counts expected must still hold, and so must all else that the script recorded, such as the content of
    parents. The result is compared with nothing. `surgery.reselecting.reselected(script.steps,
    session.steps)` says what each selector came to.

    `memory`, in bytes or as text such as "4GB", is the most that tensors may take: they are read from the
    base's folder, edited and written to `out` piece by piece, and the session is one on a skeleton. The
    result is that of a replay in memory, bit for bit.
    """
    if not isinstance(script, Script):
        script = mergekit.read(script, model) if mergekit.is_file(script) else Script.read(script)
    if model is None:
        model = script.base.source
        if model is None:
            raise SurgeryError("the script does not say where its model lies", hint="`--model FOLDER`")
        _refuse_code(model, allow_factory)
    if out is not None:
        may_write(Path(out).expanduser(), overwrite)
    if memory is not None:
        if out is None:
            raise SurgeryError("what is replayed piece by piece is written somewhere", hint="`out`, `--out`")
        return _streamed(script, model, Path(out), inputs, overwrite, plain, reselect, memory)
    session = open_model(model, inputs)
    if reselect:
        _apply_anew(session, script)
    else:
        _same_base(session, script)
        _apply(session, script)
        if script.result is not None:
            _same_result(session.script, script)
    if out is not None:
        session.save(out, overwrite=overwrite, plain=plain)
    return session


def _streamed(
    script: Script,
    model: str | Path | nn.Module,
    out: Path,
    inputs: Any,
    overwrite: bool,
    plain: bool,
    reselect: bool,
    memory: int | str,
) -> Session:
    """A replay on a skeleton, its weights read and written piece by piece."""
    session = open_model(model, inputs, skeleton=True)
    if reselect:
        _apply_anew(session, script)
    else:
        _same_class(session.base, script)
        for step in script.steps:
            session.apply(step)

    def verify(made: Script) -> None:
        if not reselect:
            _same_content(made.base, script)
            if script.result is not None:
                _same_result(made, script)

    save(session, out.expanduser(), overwrite=overwrite, plain=plain, memory=memory, verify=verify)
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
    _same_class(base, script)
    _same_content(base, script)


def _same_class(base: Base, script: Script) -> None:
    if script.base.class_name not in ("", base.class_name):  # a mergekit file names no class
        raise SurgeryError(
            "this script was made on another model",
            path=base.source or "the model given",
            got=base.class_name,
            expected=script.base.class_name,
            hint=_OTHER_BASE,
        )


def _same_content(base: Base, script: Script) -> None:
    if script.base.fingerprint is not None and base.fingerprint != script.base.fingerprint:
        raise SurgeryError(
            "this script was made on another model: the content differs",
            path=base.source or "the model given",
            got=base.fingerprint,
            expected=script.base.fingerprint,
            hint=_OTHER_BASE,
        )


def _same_result(made: Script, script: Script) -> None:
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
