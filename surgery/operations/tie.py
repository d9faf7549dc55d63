"""Tie modules: one set of parameters at several paths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch

from graph.paths import is_below
from surgery.adapters.lora import LoraLinear, is_transposed
from surgery.charts import Bars, Chart
from surgery.charts.names import told_apart
from surgery.edits import Edit, SetAttribute, SetConfig, SetTensor
from surgery.errors import SurgeryError
from surgery.fields import Target, Targets, option
from surgery.lazy import Held, Lazy, Recipe, recipe
from surgery.model import Patient
from surgery.norms import in_norm
from surgery.operation import Operation, operation
from surgery.recipes import compute


@operation(
    title="Tie", group="tie", source="original; sharing across blocks after Lan et al. 2019, arXiv:1909.11942"
)
class Tie(Operation):
    """The targets share one set of parameters with another module from now on.

    Each target keeps its own module objects, so its place in the KV cache stays its own; only
    its Parameters become those of `to`. Fields: `targets`, `to`: modules of one class whose
    parameters have the same names, shapes and dtypes; `start`: the values to start from; `but`: what stays
    each one's own, the parameters of `norms` (layers whose class says so), or all `vectors` (one-dimensional
    parameters: gains and biases of whatever module). Refused: shapes or dtypes that differ, a module and a
    part of it, what shares all of that already, and targets that share it with others which would be left
    behind.
    """

    targets: Targets = option(help="the modules that give up their own parameters")
    to: Target = option(help="the module whose parameters they share")
    start: Literal["to", "average"] = option("to", help="values to start from: those of `to`, or the average")
    but: Literal["nothing", "norms", "vectors"] = option(
        "nothing", help="what each keeps: norm layers, or all gains and biases (one-dimensional parameters)"
    )

    def plan(self, patient: Patient) -> Iterator[Edit]:
        source = str(self.to)
        found = patient.own_tensors(source)
        shared = [(name, lazy) for name, lazy in found if self._shares(patient, f"{source}.{name}", lazy)]
        targets = [path for path in self.targets.paths if path != source]
        if not targets or not shared:
            problem = "a tie needs a module other than `to`" if shared else "there is no parameter to share"
            raise SurgeryError(problem, path=self.targets.select, got=source)
        sites = patient.sites()
        others = [dict(_fitting(patient, path, source, shared)) for path in targets]
        joining = [
            (path, name, other[name])
            for path, other in zip(targets, others, strict=True)
            for name, lazy in shared
            if other[name].parameter is not lazy.parameter
        ]
        declared = list(_declared(patient, targets, source))
        if not joining and (not declared or patient.config.tie_word_embeddings):
            raise SurgeryError("shares these parameters already", path=self.targets.select, got=source)
        _refuse_left_behind(joining, sites)
        averages: dict[tuple[int, ...], Recipe] = {}  # a tie inside the modules stays one
        for name, lazy in shared:
            tensor: Lazy = lazy
            members = [lazy, *(other[name] for other in others)]
            if self.start == "average":
                weights = tuple(1 / len(members) for _ in members)
                key = tuple(id(member.parameter) for member in members)
                tensor = averages.setdefault(key, recipe("weighted_sum", *members, weights=weights))
            slots = [f"{path}.{name}" for path in targets]
            if self.start == "average":
                slots = sites[id(lazy.parameter)] + slots
            for slot in dict.fromkeys(slots):
                yield SetTensor(slot, tensor)
        yield from declared

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart:
        """How far the shared weights of each module move, relative to what they were."""
        moved = {path: [0.0, 0.0] for path in dict.fromkeys((str(self.to), *self.targets.paths))}
        memo: dict[int, torch.Tensor] = {}
        for edit in self.plan(patient):
            if not isinstance(edit, SetTensor):
                continue
            path = next((path for path in moved if is_below(edit.path, path)), None)
            if path is not None:  # what `to` is tied to elsewhere moves with it
                before = patient.tensor(edit.path).parameter.detach().double()
                after = compute(edit.tensor, memo).to(before.device, torch.float64)
                moved[path][0] += float((after - before).square().sum())
                moved[path][1] += float(before.square().sum())
        return Bars(
            title="How far the shared weights move",
            labels=tuple(told_apart(list(moved))),
            values=tuple((far / whole) ** 0.5 if whole else 0.0 for far, whole in moved.values()),
            unit="‖new − old‖ / ‖old‖",
        )

    def _shares(self, patient: Patient, path: str, lazy: Held) -> bool:
        if self.but == "norms":
            return not in_norm(patient, path)
        return self.but == "nothing" or len(lazy.shape) > 1


def _fitting(
    patient: Patient, path: str, source: str, shared: list[tuple[str, Held]]
) -> Iterator[tuple[str, Held]]:
    theirs = dict(patient.own_tensors(path))
    if is_below(path, source) or is_below(source, path):
        raise SurgeryError("a module cannot be tied to a part of itself", path=path, got=source or "(root)")
    for name, lazy in shared:
        other = theirs.get(name)
        if other is None:
            raise SurgeryError(
                f"has no parameter {name!r} to tie",
                path=path,
                got=type(patient.module(path)).__name__,
                expected=f"what {source} has ({type(patient.module(source)).__name__})",
                hint="a module of the same class",
            )
        if (other.shape, other.dtype) != (lazy.shape, lazy.dtype):
            raise SurgeryError(
                "the parameters do not fit each other",
                path=f"{path}.{name}",
                got=f"{list(other.shape)} {other.dtype}",
                expected=f"{list(lazy.shape)} {lazy.dtype} as {source}.{name} has",
                hint="modules of the same shape and dtype",
            )
        _same_use(patient, f"{path}.{name}", f"{source}.{name}")
        yield name, other


def _refuse_left_behind(joining: list[tuple[str, str, Held]], sites: dict[int, list[str]]) -> None:
    """SurgeryError if what a target is tied to would keep the old parameter: a tie would break unseen."""
    slots = {f"{path}.{name}" for path, name, _ in joining}
    for path, name, before in joining:
        behind = [place for place in sites[id(before.parameter)] if place not in slots]
        if behind:
            raise SurgeryError(
                "is tied to a place that would be left behind",
                path=f"{path}.{name}",
                got=behind[0],
                hint=f'both among the targets, or `untie("{path}")` first',
            )


def _same_use(patient: Patient, path: str, source: str) -> None:
    """Refuses two modules that read one tensor differently: transposed, or an adapter at another scale."""
    mine, theirs = (patient.module(place.rpartition(".")[0]) for place in (path, source))
    adapters = [module for module in (mine, theirs) if isinstance(module, LoraLinear)]
    if is_transposed(mine) != is_transposed(theirs) or len({module.scale for module in adapters}) > 1:
        raise SurgeryError(
            "the two modules would read the shared tensor differently",
            path=path,
            got=type(mine).__name__,
            expected=f"what {source} belongs to, {type(theirs).__name__}",
        )


def _declared(patient: Patient, targets: list[str], source: str) -> Iterator[Edit]:
    """A tie the model's class declares by itself is also said in its config, or a reload would undo it."""
    declared = patient.declared_ties()
    for target, origin in declared.items():
        owners = {target.rpartition(".")[0], origin.rpartition(".")[0]}
        if owners <= {*targets, source}:
            yield SetConfig("tie_word_embeddings", True)
            yield SetAttribute("", "all_tied_weights_keys", dict(declared))
