"""Make a loop of blocks: a few shared ones at every depth, each depth with a small difference of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from torch import nn

from surgery.adapters.fitting import refuse_unfit
from surgery.adapters.lora import LoraLinear, is_linear, is_transposed, widths
from surgery.charts import Chart, Curves
from surgery.edits import Edit, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.factors.truncation import Spectrum, error_curve, spectrum_of
from surgery.fields import Targets, option
from surgery.functions.residuals import residual
from surgery.lazy import Held, Lazy, recipe
from surgery.model import Patient
from surgery.norms import in_norm
from surgery.operation import Operation, operation
from surgery.recipes import compute
from surgery.tying.loops import Loop, Members, is_the_same
from surgery.tying.members import refuse_left_behind, refuse_nested, refuse_unlike

_ADAPTERS = ", and what a depth has beyond the shared block is one itself"
_UNLIKE = "`loop` as many as it takes until blocks are alike again, with start='lower'"
_LINES = 4  # in a chart
_LOOKED_AT = 1 << 28  # elements, for a chart


@operation(
    title="Make recursive",
    group="tie",
    source="relaxed recursive transformers: Bae et al. 2024, arXiv:2410.20672",
)
class Recur(Operation):
    """The targets are a loop of a few shared blocks, each depth with a low-rank difference of its own.

    Depth ℓ computes with W′ + B A, where W′ is the weight of the shared block ℓ mod `loop` and B A the best
    approximation of rank `rank` to what its own weight W has beyond it: of the SVD W − W′ = U Σ Vᵀ the first
    `rank` terms, B = U Σ, A = Vᵀ. Fields: `targets`: modules that fit each other, in the order of the
    model, more than `loop`; `loop` K: how many are shared; `start`: what each shared one starts from, a block
    of the model (`stepwise`: K of them spread from the first to the last; `lower`: the first K) or the
    `average` of all that it stands for; `rank` r of the difference of each linear module, an adapter as
    `attach` makes them: r · (inputs + outputs) parameters; 0 is a plain tie, and more than the weight has is
    all of it; `norms`: gains and shifts of norm layers stay each depth's `own`, or are `tied` too. Where
    there is a difference, biases stay own too, being small; where a block is the very one that is shared
    there is none. Parameters of two or more dimensions that are no linear module's are shared without a
    difference. Each block keeps its module objects, so its place in the KV cache is its own. Refused: blocks
    that do not fit, adapters, what is tied to a place outside the targets, modules used at several paths.
    """

    targets: Targets = option(help="the blocks, in the order of the model")
    loop: int = option(help="how many blocks are shared, used again and again", minimum=1, maximum=4096)
    start: Literal["stepwise", "average", "lower"] = option(
        "stepwise", help="the shared ones: spread from first to last, the average, or the first"
    )
    rank: int = option(8, help="rank of each depth's difference; 0 is a plain tie", minimum=0, maximum=65536)
    norms: Literal["own", "tied"] = option(
        "own", help="gains and shifts of norm layers: each depth's, or one"
    )

    def plan(self, patient: Patient) -> Iterator[Edit]:
        paths = self.targets.paths
        members, shared = self._looped(patient)
        edits: list[Edit] = []
        given_up: dict[str, Held] = {}
        for depth, (path, own) in enumerate(zip(paths, members, strict=True)):
            for name, lazy in shared[depth % self.loop].items():
                at = f"{path}.{name}"
                if is_the_same(own[name], lazy) or not self._is_shared(patient, at, own[name]):
                    continue
                given_up[at] = own[name]
                edits += self._set(patient, at, own[name], lazy)
        if not edits:
            raise SurgeryError("shares these parameters already", path=self.targets.select)
        refuse_left_behind(patient, paths, given_up)
        yield from edits

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart | None:
        """What is lost of the weights over the rank, for each part of the blocks, with a mark at the rank."""
        members, shared = self._looped(patient)
        elements = sum(lazy.count for own in members for lazy in own.values())
        looked_at = range(0, len(members), 1 + elements // _LOOKED_AT)
        spectra: dict[str, list[Spectrum]] = {}
        for depth in looked_at:
            memo: dict[int, torch.Tensor] = {}
            for name, lazy in shared[depth % self.loop].items():
                owner, _, last = f"{self.targets.paths[depth]}.{name}".rpartition(".")
                if last == "weight" and is_linear(patient.module(owner)):
                    weight = members[depth][name].parameter.detach()
                    beyond = residual(weight, compute(lazy, memo), transposed=False)
                    found = spectrum_of(beyond, float(weight.double().square().sum()))
                    spectra.setdefault(name.partition(".")[0], []).append(found)
        if not spectra:
            return None
        if len(spectra) > _LINES:
            spectra = {"all linear modules": [item for found in spectra.values() for item in found]}
        lines = {part: error_curve(found) for part, found in spectra.items()}
        most = max(line[-1][0] for line in lines.values())
        return Curves(
            title="What the loop loses of the weights"
            + (f", {len(looked_at)} of {len(members)} depths" if len(looked_at) < len(members) else ""),
            lines=lines,
            x="rank of each depth's difference",
            y="relative error ‖W − W′ − BA‖ / ‖W‖",
            mark=min(float(self.rank), most),
        )

    def _looped(self, patient: Patient) -> tuple[Members, list[dict[str, Lazy]]]:
        """The parameters of each depth, and those of each shared block; refused where they do not fit."""
        paths = self.targets.paths
        if len(paths) <= self.loop:
            raise self._too_few(patient)
        refuse_nested(patient, paths, "a loop", _ADAPTERS)
        loop = Loop(len(paths), self.loop)
        members = [dict(patient.own_tensors(path)) for path in paths]
        if self.start == "average":  # which is of what has the same names
            for depth, (path, own) in enumerate(zip(paths, members, strict=True)):
                place = depth % self.loop
                refuse_unlike(path, own, paths[place], members[place], _UNLIKE)
        shared = loop.shared(members, self.start)
        for depth, (path, own) in enumerate(zip(paths, members, strict=True)):
            place = depth % self.loop
            source = paths[loop.source(place, self.start) if self.start != "average" else place]
            refuse_unlike(path, own, source, shared[place], _UNLIKE)
        return members, shared

    def _too_few(self, patient: Patient) -> SurgeryError:
        paths = self.targets.paths
        hint = f"loop={len(paths) // 2}" if len(paths) > 1 else "more modules that fit each other"
        if len(paths) == 1 and isinstance(patient.module(paths[0]), nn.ModuleList | nn.Sequential):
            hint = f"`{paths[0]}[*]`"
        return SurgeryError(
            "a loop must come round again",
            path=self.targets.select,
            got=f"{len(paths)} {'module' if len(paths) == 1 else 'modules'}",
            expected=f"more than loop={self.loop}",
            hint=hint,
        )

    def _is_shared(self, patient: Patient, path: str, own: Held) -> bool:
        if in_norm(patient, path):
            return self.norms == "tied"
        return not self.rank or len(own.shape) > 1

    def _set(self, patient: Patient, path: str, own: Held, shared: Lazy) -> Iterator[Edit]:
        """The parameter is the shared one; what a linear module's weight is beyond it is in an adapter."""
        owner, _, name = path.rpartition(".")
        module = patient.module(owner)
        if not (self.rank and name == "weight" and is_linear(module)):
            yield SetTensor(path, shared)
            return
        try:
            refuse_unfit(patient, owner)
        except SurgeryError as error:  # which speaks of attaching
            hint = "`rank=0`, a loop without differences"
            raise SurgeryError(error.problem, path=error.path, got=error.got, hint=hint) from error
        inputs, outputs = widths(module)
        rank, transposed = min(self.rank, inputs, outputs), is_transposed(module)

        def adapt(base: nn.Module) -> nn.Module:
            return LoraLinear(base, rank, float(rank))

        yield SetModule(owner, adapt)
        yield SetTensor(f"{owner}.base.weight", shared)
        down = recipe("residual_down", own, shared, shape=(rank, inputs), rank=rank, transposed=transposed)
        yield SetTensor(f"{owner}.lora_A", down)
        up = recipe("residual_up", own, shared, down, shape=(outputs, rank), transposed=transposed)
        yield SetTensor(f"{owner}.lora_B", up)
