"""Where an adapter may go, and how many there are where one module or weight stands at several paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from surgery.adapters.adapter import Adapter, refuse_cut, root_of
from surgery.adapters.kinds.kind import Kind
from surgery.adapters.lora import is_linear
from surgery.adapters.stacks import distinct, outermost, root_path, stack_at
from surgery.errors import SurgeryError
from surgery.model import Patient, refuse_reused
from surgery.unseen import reads_weights_directly

Ties = Literal["ask", "shared", "each"]


@dataclass(frozen=True)
class Place:
    """Where one adapter goes: at all of these `slots`, the first of which names its tensors.

    Adapters of one `group` have one set of parameters.
    """

    slots: tuple[str, ...]
    group: int | None = None


def free(patient: Patient, paths: Sequence[str], name: str = "default") -> list[str]:
    """Those of the paths, each that of the outermost adapter there, that carry no adapter of this name."""
    found = dict.fromkeys(outermost(patient, path) for path in paths)
    return [path for path in found if all(item.name != name for _, item in stack_at(patient, path))]


def places(patient: Patient, paths: Sequence[str], kind: Kind, ties: Ties) -> list[Place]:
    """Where adapters of a kind go for these free paths; SurgeryError where none can.

    With `ties` "shared" other paths of the same module or weight come along.
    """
    found: list[Place] = []
    queue, done = list(paths), set[str]()
    for path in queue:  # grows while it is read
        if path in done:
            continue
        done.add(path)
        _refuse_unfit(patient, path, kind)
        slots, all_paths = _slots(patient, path, ties)
        done.update(all_paths)
        group = None
        if ties == "shared" and kind.reads_weight:
            group, others = _tied(patient, path, all_paths, kind)
            queue += others
        found.append(Place(slots, group))
    return found


def _slots(patient: Patient, path: str, ties: Ties) -> tuple[tuple[str, ...], list[str]]:
    """The slots that the adapter of a path takes, and the paths that it is for."""
    same = patient.module_paths(patient.module(path))
    if len(same) < 2:
        return (path,), [path]
    if ties == "ask":
        raise SurgeryError(
            "is one module used at several paths",
            path=path,
            got=" and ".join(same),
            hint=f'`ties="shared"` for one adapter at all of them, `ties="each"` for one at each, '
            f'or `untie("{patient.reused(same[-1])}")` first',
        )
    slots = distinct(patient, same)
    if ties == "shared":
        return tuple(slots), same
    if len(slots) < len(same):
        outer = patient.reused(same[-1])
        raise SurgeryError(
            f"is inside {outer}, one module used at several paths, which has room for one adapter",
            path=path,
            got=" and ".join(same),
            hint=f'`ties="shared"`, or `untie("{outer}")` and `tie` again, which leaves each its modules',
        )
    return (path,), [path]


def _tied(patient: Patient, path: str, here: list[str], kind: Kind) -> tuple[int | None, list[str]]:
    """The group of the weight at `path`, None where it is nobody else's, and where others have it."""
    root = root_path(patient, path)
    weight = patient.tensor(f"{root}.weight").parameter
    owners = [place.rpartition(".")[0] for place in patient.sites()[id(weight)]]
    others = [outermost(patient, owner) for owner in owners]
    others = [other for other in dict.fromkeys(others) if other not in here]
    for other in others:
        if type(root_of(patient.module(other))) is not type(patient.module(root)):
            raise SurgeryError(
                "its weight is tied to a module of another class, which reads it differently",
                path=path,
                got=other,
                hint=f'`ties="each"`, or `untie("{path}")` first',
            )
        _refuse_unfit(patient, other, kind)
    return (id(weight) if others else None), others


def _refuse_unfit(patient: Patient, path: str, kind: Kind) -> None:
    inner = root_path(patient, path)
    kind.refuse_misfit(patient.module(inner if kind.reads_weight else path), path)
    if kind.innermost and inner != path:
        raise SurgeryError(
            f"{kind.title} must be the first adapter of a module, since it is about that module's weight",
            path=path,
            got=", ".join(item.name for _, item in stack_at(patient, path)),
            hint="detaching those, then attaching it before them",
        )
    refuse_hidden(patient, path)


def refuse_unfit(patient: Patient, path: str) -> None:
    """SurgeryError for a module that is not linear, is used twice, or whose weight others read or know."""
    module = root_of(patient.module(path))
    if not is_linear(module):
        raise SurgeryError(
            "is no linear module",
            path=path,
            got=type(module).__name__,
            expected="Linear or Conv1D",
            hint="`**:Linear`",
        )
    refuse_hidden(patient, path)
    refuse_reused(patient, path)


def refuse_hidden(patient: Patient, path: str) -> None:
    """SurgeryError where nothing can stand in the module's place unseen, or would be seen there at all."""
    module = patient.module(path)
    refuse_cut(module, path)
    for name, _ in patient.tensors(path):
        if patient.config_ties(f"{path}.{name}"):
            raise SurgeryError(
                f"its {name} is tied by the model's config, which knows the name it has without adapter",
                path=path,
                hint=f'`untie("{path}")` first',
            )
    if around := reads_weights_directly(patient, path):
        raise SurgeryError(
            f"{around} reads this weight on its fast path without calling the module, "
            "so an adapter here would have no effect",
            path=path,
            hint=_around(patient, path),
        )


def _around(patient: Patient, path: str) -> str | None:
    """The hint where a module cannot carry an adapter, and what is around it can."""
    while "." in path:
        path = path.rpartition(".")[0]
        if type(patient.module(path)).__name__ == "TransformerEncoderLayer" and not isinstance(
            patient.module(path), Adapter
        ):
            return f'`attach("{path}", "bottleneck")`'
    return None
