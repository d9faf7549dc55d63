"""Headless replay of a script, with its identities checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from surgery.checkpoint.manifest import may_write
from surgery.checkpoint.resuming import forget_finished
from surgery.checkpoint.save import save
from surgery.checkpoint.shards import size_of
from surgery.errors import SurgeryError
from surgery.identities import base_of, same_base, same_class, same_result
from surgery.mergekit import script_in
from surgery.reselecting import apply_anew
from surgery.script import Script
from surgery.session import Session
from surgery.sources import open as open_model
from surgery.stream.device import arithmetic_device
from surgery.stream.writing import Told


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
    max_shard_size: int | str = "5GB",
    resume: bool = False,
    progress: Told | bool | None = None,
    models: Mapping[str, str] | None = None,
    device: str = "cpu",
    ray: bool | str = False,
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
    result is that of a replay in memory, bit for bit. A replay that was killed, or stopped by Ctrl-C, is gone
    on with by `resume`: files of weights that were whole by then are read once more, and are not made again.
    That takes the same script, base, options, torch build and CPU capability; SurgeryError says what differs.

    Of a replay piece by piece, values are computed on `device`; equal bits are promised for one device. With
    `ray`, True or the address of a cluster, each file of weights is written by a worker of Ray into `out`,
    which all of them see, with `memory` of its own; bits are those of a replay without.

    `models` says where further models lie, by the names that the script has for them.

    `max_shard_size`, in bytes or as text, is the most a file of weights in `out` has. `progress` is called
    with the bytes of weights that are written and how many there are; True shows a bar.
    """
    from surgery.show.progress import telling

    if not isinstance(script, Script):
        script = script_in(script, model)
    script = script.with_models(models or {})
    model = base_of(script, model, allow_factory)
    if memory is None and resume:
        raise SurgeryError("only a replay piece by piece is gone on with", hint="`memory`, such as 4GB")
    if memory is None and (ray or device != "cpu"):
        which = "spread over workers" if ray else "computed on another device"
        raise SurgeryError(f"only a replay piece by piece is {which}", hint="`memory`, such as 4GB")
    if out is None and memory is not None:
        raise SurgeryError("what is replayed piece by piece is written somewhere", hint="`out`, `--out`")
    saving: dict[str, Any] = {"overwrite": overwrite, "plain": plain, "max_shard_size": max_shard_size}
    if out is not None:
        out = Path(out).expanduser()
        forget_finished(out)
        may_write(out, overwrite)
        size_of(max_shard_size)  # a replay is long: what is no size is said before it
    if out is not None and memory is not None:
        size_of(memory, "memory")
        arithmetic_device(device)
        with telling(progress) as told:
            saving |= {"memory": memory, "resume": resume, "told": told, "device": device, "ray": ray}
            return _streamed(script, model, out, inputs, reselect, saving)
    session = open_model(model, inputs)
    if reselect:
        apply_anew(script, session.apply)
    else:
        same_base(session.base, script)
        _apply(session, script)
        same_result(session.script, script, session.model, session.fingerprinter)
    if out is not None:
        with telling(progress) as told:
            save(session, Path(out), told=told, **saving)
    return session


def _streamed(
    script: Script,
    model: str | Path | nn.Module,
    out: Path,
    inputs: Any,
    reselect: bool,
    saving: dict[str, Any],
) -> Session:
    """A replay on a skeleton, its weights read and written piece by piece."""
    session = open_model(model, inputs, skeleton=True)
    if reselect:
        apply_anew(script, session.apply)
    else:
        same_class(session.base, script)
        for step in script.steps:
            session.apply(step)

    save(session, out, recorded=None if reselect else script, **saving)
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
