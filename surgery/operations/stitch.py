"""Stitch the front of this model to the back of another."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graph.tree import module_at
from surgery.calibration.batches import shown
from surgery.charts import Chart, Curves
from surgery.depth import followed
from surgery.edits import Arrange, Edit, SetAttribute, SetConfig, SetModule, SetTensor
from surgery.errors import SurgeryError, SurgeryWarning
from surgery.families import indexed_modules
from surgery.fields import Parent, option
from surgery.lazy import Lazy, recipe
from surgery.measures import Measured
from surgery.model import Patient
from surgery.modules.passing import as_block
from surgery.modules.widths import dtype_at
from surgery.operation import Operation, operation
from surgery.stitching.fitting import ENOUGH
from surgery.stitching.other import BLOCKS, HEAD, NORM, Other, fits, other_of

POINTS = 17
"""Of a chart: positions that are tried, of deep models evenly spaced ones."""


@operation(
    title="Stitch",
    group="merge",
    source="stitching: Lenc and Vedaldi 2015, arXiv:1411.5908; Bansal et al. 2021, arXiv:2106.07682",
)
class Stitch(Operation):
    """The first blocks of this model, a linear layer, then the back blocks, norm and head of another model.

    Fields: `parents`: the folder of the other model; `at`: how many blocks of this one stay; `to`: the number
    of the other's block that comes next, by default the one at the same part of its depth. The stitching
    layer y = W x + b, W (its width, this width), is the least-squares map, in float64, from what this
    model's last block in front gives to what the other's block is given, over the tokens of `samples`
    examples of the session's `data`; the last fifth of each batch is held out. `measured` holds W, b,
    `r2` on the held-out tokens, `r2_fitted`, and `tokens`, so no replay needs the data; it needs the
    parent's folder. Below 10 · (width +
    1) tokens there is a warning, below width + 1 a refusal. Embeddings and tokenizer stay this model's, so a
    declared tie of embedding and head is undone. Measuring holds both models in memory. Refused: other
    families, another class, vocabulary, mask or rotation of heads, another dtype, no data.
    """

    parents: tuple[Parent, ...] = option(help="the folder of the other model")
    at: int = option(help="how many blocks of this model stay in front", minimum=1)
    to: int | None = option(None, help="the other model's block that comes next, from 0", minimum=0)
    samples: int = option(64, help="at most how many examples of the data are run", minimum=1)
    measured: Measured | None = option(None, help="the stitching layer, once it was fitted")

    def measure(self, patient: Patient, data: Sequence[Any]) -> dict[str, Tensor]:
        other = other_of(patient, self.parents)
        pair = self._pair(patient, other)
        fit = fits(patient, other, [pair], shown(data, self.samples, 0, self.name), self.name)[pair]
        width, tokens = fit.fitted.inputs, fit.fitted.tokens
        enough = ENOUGH * (width + 1)
        if tokens <= width or not fit.held_out.tokens:
            raise SurgeryError(
                "there are too few tokens to fit a stitching layer",
                path="s.data",
                got=f"{tokens} beside {fit.held_out.tokens} held out",
                expected=f"{enough:,}, at the very least {width + 1:,}",
            )
        solution = fit.solution()
        if not torch.isfinite(solution).all():
            raise SurgeryError("what the two models compute on these data are not numbers", path="s.data")
        if tokens < enough:
            warnings.warn(
                f"{tokens:,} tokens are few for a stitching layer of width {width}: {enough:,} are wanted, "
                f"and R² on held-out tokens is {fit.held_out.r2(solution):.3f}",
                SurgeryWarning,
                stacklevel=2,
            )
        dtype = dtype_at(patient, BLOCKS)
        return {
            "weight": solution[:-1].T.to(dtype),
            "bias": solution[-1].to(dtype),
            "r2": torch.tensor(fit.held_out.r2(solution), dtype=torch.float64),
            "r2_fitted": torch.tensor(fit.fitted.r2(solution), dtype=torch.float64),
            "tokens": torch.tensor(tokens),
        }

    def plan(self, patient: Patient) -> Iterator[Edit]:
        other = other_of(patient, self.parents)
        front, back = self._pair(patient, other)
        dtype = dtype_at(patient, BLOCKS)
        order = [*range(front), *[front - 1] * (1 + other.depth - back)]
        yield Arrange(BLOCKS, tuple(order))
        seam, width = f"{BLOCKS}.{front}", int(patient.config.hidden_size)

        def sewn(there: nn.Module) -> nn.Module:
            with torch.device("meta"):
                made = nn.Linear(width, other.width, dtype=dtype)
            return as_block(made, pair=False).train(there.training)

        yield SetModule(seam, sewn)
        yield SetTensor(f"{seam}.base.weight", self._known("weight", (other.width, width), dtype))
        yield SetTensor(f"{seam}.base.bias", self._known("bias", (other.width,), dtype))
        indexed: dict[int, list[str]] = {front: []}
        for number in range(back, other.depth):
            place, path = front + 1 + number - back, f"{BLOCKS}.{number}"
            indexed[place] = [name for name, _ in indexed_modules(module_at(other.skeleton, path))]
            yield SetModule(f"{BLOCKS}.{place}", _of(other, path))
            yield from _stored(other, path, f"{BLOCKS}.{place}", dtype)
        if getattr(patient.config, "tie_word_embeddings", False):
            yield SetConfig("tie_word_embeddings", False)
            yield SetAttribute("", "all_tied_weights_keys", {})
        for path in (NORM, HEAD):
            yield SetModule(path, _of(other, path))
            yield from _stored(other, path, path, dtype)
        yield from followed(patient, BLOCKS, order, self.name, indexed)

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart | None:
        """R² on held-out tokens for each number of blocks in front; the mark is `at`."""
        if not len(data):
            return None
        other, depth = other_of(patient, self.parents), patient.items(BLOCKS)
        self._pair(patient, other)
        step = max(1, -(-depth // POINTS))
        places = sorted({*range(step, depth + 1, step), self.at, depth})
        pairs = {at: self._pair(patient, other, at) for at in places}
        found = fits(patient, other, list(pairs.values()), shown(data, self.samples, 0, self.name), self.name)
        line = tuple(
            (float(at), found[pair].held_out.r2(found[pair].solution())) for at, pair in pairs.items()
        )
        title = "How well a linear layer leads on" + ("" if self.to is None else f" to block {self.to}")
        return Curves(
            title=title,
            lines={"held out": line},
            x="blocks in front",
            y="R² on held-out tokens",
            mark=self.at,
        )

    def _pair(self, patient: Patient, other: Other, at: int | None = None) -> tuple[int, int]:
        """How many blocks are in front, and which of the other's is the next."""
        depth, at = patient.items(BLOCKS), self.at if at is None else at
        if at > depth:
            raise SurgeryError(
                f"has {depth} blocks", path=BLOCKS, got=f"at={at}", expected=f"from 1 to {depth}"
            )
        scaled = min(round(at * other.depth / depth), other.depth - 1)
        back = scaled if self.to is None else self.to
        if back >= other.depth:
            raise SurgeryError(
                f"has {other.depth} blocks",
                path=str(other.folder),
                got=f"to={back}",
                expected=f"from 0 to {other.depth - 1}",
            )
        return at, back

    def _known(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Lazy:
        """A fitted tensor; one without values before it was, and where a structure alone is made."""
        if self.measured is None or self.measured.tensors is None:
            return recipe("unmeasured", shape=shape, dtype=dtype)
        found = self.measured.lazy(name)
        if (found.shape, found.dtype) != (shape, dtype):
            raise SurgeryError(
                "the stitching layer was fitted to other widths",
                path=BLOCKS,
                got=f"{list(found.shape)} {found.dtype}",
                expected=f"{list(shape)} {dtype}",
            )
        return found


def _of(other: Other, path: str) -> Callable[[nn.Module], nn.Module]:
    """Puts the other model's module there, which goes by this model's config where it asks one."""

    def build(there: nn.Module) -> nn.Module:
        made = module_at(other.skeleton, path)
        own = next((item.config for item in there.modules() if "config" in item.__dict__), None)
        for module in made.modules():
            if own is not None and "config" in module.__dict__:
                module.config = own
        return made.train(there.training)

    return build


def _stored(other: Other, path: str, place: str, dtype: torch.dtype) -> Iterator[Edit]:
    """The tensors of the other model's module at `path`, in that at `place`."""
    for name, tensor in other.tensors(path):
        if tensor.dtype != dtype:
            raise SurgeryError(
                "the dtypes differ",
                path=f"{other.folder}: {path}.{name}",
                got=tensor.dtype,
                expected=dtype,
                hint=f'`cast("**", "{str(tensor.dtype).removeprefix("torch.")}")` first',
            )
        yield SetTensor(f"{place}.{name}", tensor)
