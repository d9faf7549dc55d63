"""Whether base, parents and result are still what a script recorded; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from surgery.aliased import every_parent
from surgery.checkpoint.adapter import adapter_at
from surgery.checkpoint.manifest import SCRIPT, read_manifest
from surgery.checkpoint.tensors import Checkpoint
from surgery.errors import SurgeryError
from surgery.fields import Parent
from surgery.identities import base_of, other_circumstances, same_class
from surgery.mergekit import script_in
from surgery.script import Script
from surgery.sources import open as open_model
from surgery.sources.opened import Opened
from surgery.stream.digests import Digests
from surgery.stream.lineage import Lineage, checkpoint_of, stored_weights
from surgery.stream.reading import Reader


@dataclass(frozen=True)
class Finding:
    """What was found of one thing that a script knows."""

    subject: str
    good: bool
    said: str

    def __str__(self) -> str:
        return f"{'ok' if self.good else 'DIFFERS'}  {self.subject}: {self.said}"


def check(
    script: Script | str | Path,
    model: str | Path | nn.Module | None = None,
    out: str | Path | None = None,
    *,
    allow_factory: str | None = None,
    models: Mapping[str, str] | None = None,
) -> Iterator[Finding]:
    """A finding for the script, its base, each parent of a step, and the folder `out`, one after another.

    Their content is read, in bounded memory where it lies in files. What the script did not record is said,
    and is no fault. `models`: where further models lie, by name. `out` is compared with its own manifest, and
    that with the result of the script.
    """
    if not isinstance(script, Script):
        name = str(script)
        try:
            script = script_in(script, model)
        except SurgeryError as error:
            yield Finding(f"script {name}", False, error.sentence())
            return
        yield Finding(f"script {name}", True, _steps(script))
    known = script = script.with_models(models or {})
    yield _found("base", lambda: _base(known, model, allow_factory))
    for index, step in enumerate(script.steps):
        for parent in every_parent([step]):
            yield _found(f"steps[{index}] {step.name}, parent {parent.source}", _of_parent(parent))
    if out is not None:
        place = Path(out).expanduser()
        yield _found(f"content of {place}", lambda: _content(place))
        yield _found(f"result in {place}", lambda: _result(place, known))


def _found(subject: str, find: Callable[[], tuple[bool, str]]) -> Finding:
    try:
        return Finding(subject, *find())
    except SurgeryError as error:
        return Finding(subject, False, error.sentence())


def _steps(script: Script) -> str:
    return f"{len(script.steps)} step{'' if len(script.steps) == 1 else 's'}"


def _compared(found: str, recorded: str | None) -> tuple[bool, str]:
    if recorded is None:
        return True, f"{found}, and none was recorded"
    if found != recorded:
        return False, f"got {found}, expected {recorded}"
    return True, f"{found}, as recorded"


def _base(
    script: Script, model: str | Path | nn.Module | None, allow_factory: str | None
) -> tuple[bool, str]:
    source = base_of(script, model, allow_factory)
    session = open_model(source, skeleton=True)
    same_class(session.base, script)
    return _compared(_fingerprint(session.opened, source), script.base.fingerprint)


def _of_parent(parent: Parent) -> Callable[[], tuple[bool, str]]:
    return lambda: _compared(adapter_at(parent.source).fingerprint(), parent.fingerprint)


def _content(folder: Path) -> tuple[bool, str]:
    noted, manifest = _noted(folder), read_manifest(folder)
    if manifest["fingerprint"] is None:
        return _compared(Checkpoint.at(folder).fingerprint(), noted)
    return _compared(_fingerprint(open_model(folder, skeleton=True).opened, folder), noted)


def _result(folder: Path, script: Script) -> tuple[bool, str]:
    """Whether the folder has the result of the script; of one made elsewhere, whether it is near enough."""
    noted = _noted(folder)
    if script.result not in (None, noted) and script.likeness is not None:
        there = Script.read(folder / SCRIPT)
        differ = other_circumstances(there, script)
        if differ and there.likeness is not None and there.result == noted:
            said = script.likeness.compared(there.likeness).said()
            return True, f"{noted}, made with {', '.join(differ)}; {said}"
    return _compared(noted, script.result)


def _noted(folder: Path) -> str:
    """What the manifest says of the model, or of its tensors where no model was opened."""
    manifest = read_manifest(folder)
    return str(manifest["fingerprint"] or manifest.get("tensors"))


def _fingerprint(opened: Opened, source: str | Path | nn.Module) -> str:
    """The fingerprint of a skeleton's model, read from its files; without such, of the model in memory."""
    try:
        checkpoint = checkpoint_of(opened)
    except SurgeryError:
        return open_model(source).fingerprint()
    lineage = Lineage()
    lineage.add(stored_weights(opened.model, checkpoint))
    with Reader() as reader:
        found = Digests(lineage, {}, reader)(opened.model)
        reader.refuse_changed()
    return found
