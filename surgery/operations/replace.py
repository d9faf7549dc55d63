"""Replace modules by others."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import nn

from graph.paths import is_below
from surgery.checkpoint.parents import refuse_statistics
from surgery.checkpoint.tensors import Checkpoint
from surgery.depth import block_types, copies, followed
from surgery.edits import Edit, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.families import indexed_modules
from surgery.fields import Parent, Target, Targets, option
from surgery.merging.vocabularies import Vocabularies
from surgery.model import Patient, sharing_shell
from surgery.modules.passing import as_block
from surgery.modules.register import named_module
from surgery.modules.widths import dtype_at, width_beside
from surgery.operation import Operation, operation
from surgery.places import Indexed, note_attention, outermost, place_of, refuse_stranger
from surgery.unseen import refuse_unseen


@operation(title="Replace", group="arrange", source="original")
class Replace(Operation):
    """The targets are copies of another module, or new ones, or have the tensors of another checkpoint.

    Fields: `targets`, and one of three. `by`: a module of this model: each target is a copy of it with
    parameters of its own; what is tied inside it stays so. `module`: `identity`, `linear` (starts as the
    identity), `dropout`, `layernorm`, `rmsnorm` or what an installed package registers, with arguments as in
    `rmsnorm(eps=1e-6)`, of the dtype of the target and of `width`, by default what flows into the first
    module with parameters of the target. `parents`: one folder of safetensors, of which each target gets the
    tensors at its own path, or at `at`; names, shapes and dtypes must be those of the target. What stands in
    place of a transformers block, its attention or its MLP takes and returns what these do, has the slot
    in the KV cache of its place, and brings the type of attention along if it is a block. Whether shapes
    and dtypes fit what is around is found by tracing, and refused with the module that would fail. Refused:
    the whole model, a module that contains the target, ends of ties that the config declares, other ties
    (with `parents`), running statistics (with `parents`), attention of another type than the block's, modules
    whose weights torch reads without calling them, families of transformers that are not proved yet.
    """

    targets: Targets = option(help="the modules that are replaced")
    by: Target | None = option(None, help="a module of this model, to be copied")
    module: str | None = option(None, help="or a new one: `identity`, `linear`, `rmsnorm(eps=1e-6)` …")
    width: int | None = option(None, help="of a new one, where the target does not tell", minimum=1)
    parents: tuple[Parent, ...] = option((), help="or the folder of another checkpoint")
    at: str | None = option(None, help="the path in that folder, if it is not the target's")

    def keeps_structure(self) -> bool:
        return bool(self.parents)

    def plan(self, patient: Patient) -> Iterator[Edit]:
        if [self.by is not None, bool(self.module), bool(self.parents)].count(True) != 1:
            raise SurgeryError(
                "replace needs one of `by`, `module` and `parents`",
                path=self.targets.select,
                hint="`by=` with a module of this model, or `module=` with a name",
            )
        indexed: Indexed = {}
        orders: dict[str, list[int]] = {}
        for path in outermost(self.targets.paths):
            self._check(patient, path)
            if self.parents:
                yield from self._stored(patient, path)
            elif self.module:
                refuse_stranger(patient, path, "replace")
                note_attention(patient, path, "replace", indexed)
                yield from self._new(patient, path, self.module)
            else:
                yield from self._copy(patient, path, str(self.by), indexed, orders)
        for parent, names in indexed.items():
            order = orders.get(parent, list(range(patient.items(parent))))
            yield from followed(patient, parent, order, "replace", names)

    def _check(self, patient: Patient, path: str) -> None:
        if not path and not self.parents:
            raise SurgeryError("the whole model cannot be replaced", path="(root)", hint="opening the other")
        if self.parents:
            return
        for name, _ in patient.tensors(path):
            if patient.config_ties(f"{path}.{name}"):
                raise SurgeryError(
                    "is an end of a tie that the model's config declares",
                    path=f"{path}.{name}",
                    hint=f'`untie("{path}")` first',
                )
        source = None if self.by is None else patient.module(str(self.by))
        if type(source) is not type(patient.module(path)):
            refuse_unseen(patient, path, "replace")

    def _new(self, patient: Patient, path: str, name: str) -> Iterator[Edit]:
        fresh, place = named_module(name, "layer"), place_of(patient, path)
        width = width_beside(patient, path, "before", self.width, fresh)
        dtype = dtype_at(patient, path)

        def build(there: nn.Module) -> nn.Module:
            made = fresh.build(width, dtype)
            made = made if place is None or place.role is None else as_block(made, place.pair)
            return made.train(there.training)

        yield SetModule(path, build)
        for inner, tensor in fresh.values(build(patient.root), path).items():
            yield SetTensor(f"{path}.{inner}", tensor)

    def _copy(
        self, patient: Patient, path: str, source: str, indexed: Indexed, orders: dict[str, list[int]]
    ) -> Iterator[Edit]:
        if path == source:
            raise SurgeryError("a module cannot be replaced by itself", path=path, hint="another `by`")
        if is_below(path, source):
            raise SurgeryError(
                "a module cannot be replaced by one that contains it", path=path, got=source or "(root)"
            )
        module = patient.module(source)
        names = [name for name, _ in indexed_modules(module)]
        note_attention(patient, path, "replace", indexed, names)
        place, origin = place_of(patient, path), place_of(patient, source)
        if place is not None and origin is not None and names:
            if place.parent != origin.parent:
                raise SurgeryError(
                    "holds attention, which is built for its own list of blocks",
                    path=source,
                    got=origin.parent,
                    expected=place.parent,
                )
            types = block_types(patient, place.parent)
            if place.role == "block":
                order = orders.setdefault(place.parent, list(range(patient.items(place.parent))))
                order[place.number] = origin.number
            elif types[place.number] != types[origin.number]:
                raise SurgeryError(
                    "the attention of this block is of another type",
                    path=path,
                    got=types[origin.number],
                    expected=types[place.number],
                    hint=f"`{place.parent}[{place.number}]`, the whole block",
                )
        yield SetModule(path, _copy_of(module))
        yield from copies(patient, source, path)

    def _stored(self, patient: Patient, path: str) -> Iterator[Edit]:
        if len(self.parents) > 1 or (self.at is not None and len(self.targets.paths) > 1):
            raise SurgeryError(
                "replace reads one folder, and with `at` for one target",
                path=self.targets.select,
                got=f"{len(self.parents)} folders, {len(self.targets.paths)} targets",
            )
        checkpoint, at = Checkpoint.at(self.parents[0].source), path if self.at is None else self.at
        refuse_statistics(patient, (path,))
        tensors, sites = patient.tensors(path), patient.sites()
        rows = Vocabularies(patient, "same")  # refuses those of other tokens
        _nothing_is_left(patient, path, checkpoint, at, [name for name, _ in tensors])
        here: dict[int, list[str]] = {}
        for name, lazy in tensors:
            here.setdefault(id(lazy.parameter), []).append(name)
        for key, names in here.items():
            places = [f"{path}.{name}".lstrip(".") for name in names]
            if outside := [place for place in sites[key] if place not in places]:
                raise SurgeryError(
                    "is tied to a path outside the target",
                    path=places[0],
                    got=outside[0],
                    hint=f'`untie("{path}")` first',
                )
            like = patient.tensor(places[0])
            stored = rows.tensor(checkpoint, [f"{at}.{name}".lstrip(".") for name in names], like)
            if stored.dtype != like.dtype:
                raise SurgeryError(
                    "the dtypes differ",
                    path=places[0],
                    got=f"{stored.dtype} in {checkpoint.folder}",
                    expected=like.dtype,
                    hint=f'`cast("{path}", "{str(stored.dtype).removeprefix("torch.")}")` first',
                )
            for place in places:
                yield SetTensor(place, stored)


def _copy_of(module: nn.Module) -> Callable[[nn.Module], nn.Module]:
    return lambda there: sharing_shell(module).train(there.training)


def _nothing_is_left(patient: Patient, path: str, checkpoint: Checkpoint, at: str, names: list[str]) -> None:
    """Refuses a folder that has more at that path than the target takes."""
    known = {f"{at}.{name}".lstrip(".") for name in names}
    known |= {f"{at}.{name}".lstrip(".") for name, _ in patient.module(path).named_buffers()}
    for name in checkpoint.names():
        if is_below(name, at) and name not in known:
            raise SurgeryError(
                "this parent has a tensor that the target lacks",
                path=name,
                got=str(checkpoint.folder),
                hint="a module of the same class",
            )
