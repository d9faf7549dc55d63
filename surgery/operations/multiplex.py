"""Multiplex: layers share weights, and each transforms them a little in its own way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from torch import nn

from surgery.charts import Chart, Curves
from surgery.edits import Edit, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.fields import Targets, option
from surgery.lazy import Lazy
from surgery.model import Patient
from surgery.modules.multiplexed import MultiplexedLinear, Transformation
from surgery.operation import Operation, operation
from surgery.recipes import compute
from surgery.tying.loops import average, is_the_same
from surgery.tying.members import refuse_nested, role_of
from surgery.tying.multiplexing import Kinds, Weight, weights

_LOOKED_AT = 1 << 28  # elements, for a chart


@operation(title="Multiplex", group="tie", source="after MiniViT: Zhang et al. 2022, arXiv:2204.07154")
class Multiplex(Operation):
    """The targets share their weights, and each keeps a small transformation of them, its norms and biases.

    A linear module of the layer ℓ computes with W_ℓ = (M_ℓ ⊗ I) W′ where its outputs or inputs are the heads
    of an attention module, M (heads, heads) being the layer's own, one for each of queries, keys, values and
    outputs; elsewhere with diag(g_ℓ) W′, a factor for each output, or W′ diag(g_ℓ) for each input. MiniViT
    mixes the heads' attention maps before and after the softmax instead, and transforms MLPs by a
    convolution: that needs attention that shows its maps, and nothing of a trained layer says what it should
    start from. This is linear in the weights, so it leaves any attention and the KV cache as they are, and is
    fitted to the weights there were by least squares. Fields: `targets`: blocks, attentions, MLPs or linear
    modules, in the order of the model; those share whose paths differ by numbers alone; `span`: how many of
    them in a row share, all by default; one left over keeps its own; `heads`: mixed, or with `gains` as
    other modules, or `tied` as they are; `others`: factors at `outputs` or `inputs`, or `tied`; `start`: the
    shared weight is that of the `first`, which loses nothing then, or the `average`, or the one to which all
    are `nearest`, each as transformed best, which has the least error in all; `fit`: the transformations are
    fitted, or the identity, which is a plain tie. Parameters of two or more dimensions that are no linear
    module's are shared as they are; those of one dimension are not shared. Refused: modules that do not fit,
    under adapters, or used at several paths, weights tied to other places, made of others already, or that
    torch reads without calling the module.
    """

    targets: Targets = option(help="the modules that share weights, in the order of the model")
    span: int | None = option(None, help="how many in a row share; all if not said", minimum=2, maximum=4096)
    heads: Literal["mixed", "gains", "tied"] = option(
        "mixed", help="each layer's own where outputs or inputs are heads: mixes of heads, gains, or nothing"
    )
    others: Literal["outputs", "inputs", "tied"] = option(
        "outputs", help="each layer's own elsewhere: a factor for each output, for each input, or nothing"
    )
    start: Literal["first", "average", "nearest"] = option(
        "first", help="what is shared: the first's, the average, or the nearest to all as transformed"
    )
    fit: bool = option(True, help="transformations are fitted to the weights; if not they start as identity")

    def plan(self, patient: Patient) -> Iterator[Edit]:
        found = list(self._weights(patient))
        if all(weight.transformation is None for weight in found):
            select = self.targets.select
            raise SurgeryError(
                "no linear module here would have a transformation of its own",
                path=select,
                hint=f'`tie("{select}", to=…, but="vectors")`, which shares them as they are',
            )
        for weight in found:
            kind = weight.transformation
            for place, (path, owner) in enumerate(zip(weight.paths, weight.owners, strict=True)):
                if kind is None:
                    if not is_the_same(weight.own[place], weight.shared):
                        yield SetTensor(f"{path}.{weight.name}", weight.shared)
                    continue
                yield SetModule(owner, _multiplexed(kind))
                yield SetTensor(f"{owner}.shared", weight.shared)
                for name, made in weight.transforming(place, self.fit).items():
                    yield SetTensor(f"{owner}.{name}", made)

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart | None:
        """What each layer loses of its weights, tied as they are and as transformed."""
        found = [weight for weight in self._weights(patient) if weight.transformation is not None]
        names = dict.fromkeys(weight.name for weight in found)
        seen, elements = set[str](), 0
        for name in names:
            elements += sum(sum(own.count for own in weight.own) for weight in found if weight.name == name)
            if seen and elements > _LOOKED_AT:
                break
            seen.add(name)
        errors: dict[str, dict[int, list[float]]] = {}
        places = {path: place for paths in self._roles() for place, path in enumerate(paths)}
        for weight in found:
            if weight.name in seen:
                self._add_errors(weight, places, errors)
        if not errors:
            return None
        return Curves(
            title="What sharing loses of the weights"
            + (f", {len(seen)} of {len(names)} modules of each" if len(seen) < len(names) else ""),
            lines={
                line: tuple(
                    (float(place), (far / whole) ** 0.5) for place, (far, whole) in sorted(by.items())
                )
                for line, by in sorted(errors.items())
            },
            x="place over depth, from 0",
            y="relative error ‖W − W_ℓ‖ / ‖W‖",
        )

    def _add_errors(
        self, weight: Weight, places: dict[str, int], errors: dict[str, dict[int, list[float]]]
    ) -> None:
        """Adds squared errors and squared lengths, by line of the chart and place over depth."""
        assert weight.transformation is not None
        part = "heads" if weight.transformation.heads else "other"
        memo: dict[int, torch.Tensor] = {}
        tie: Lazy = weight.own[0] if self.start == "first" else average(weight.own)
        # All are kept to the end: `memo` goes by their ids, and that of one let go of may be another's.
        made = [weight.transformed(place, self.fit) for place in range(len(weight.paths))]
        for path, own, transformed in zip(weight.paths, weight.own, made, strict=True):
            before = own.parameter.detach().double()
            for kind, lazy in (("tied", tie), ("transformed", transformed)):
                far = compute(lazy, memo).to(before.device, torch.float64) - before
                sums = errors.setdefault(f"{part}, {kind}", {}).setdefault(places[path], [0.0, 0.0])
                sums[0] += float(far.square().sum())
                sums[1] += max(float(before.square().sum()), torch.finfo(torch.float64).tiny)

    def _roles(self) -> list[list[str]]:
        """The targets whose paths differ by numbers alone, in the order of the model."""
        found: dict[str, list[str]] = {}
        for path in self.targets.paths:
            found.setdefault(role_of(path), []).append(path)
        return list(found.values())

    def _weights(self, patient: Patient) -> Iterator[Weight]:
        refuse_nested(patient, self.targets.paths, "what shares weights", "")
        kinds = Kinds(self.heads, self.others)
        for paths in self._roles():
            if len(paths) < 2:
                raise _alone(patient, paths[0])
            span = self.span or len(paths)
            yield from weights(patient, paths, span, self.start, kinds, self.fit)


def _alone(patient: Patient, path: str) -> SurgeryError:
    lists = isinstance(patient.module(path), nn.ModuleList | nn.Sequential)
    wider = (f"{path}[*]" if path else "*") if lists else role_of(path)
    return SurgeryError(
        "is the only one of its role, and shares with nobody",
        path=path or "(root)",
        hint="modules whose paths differ by numbers alone, such as the items of a list"
        if wider == path
        else f"`{wider}`",
    )


def _multiplexed(kind: Transformation) -> Any:
    def build(replaced: nn.Module) -> nn.Module:
        return MultiplexedLinear(replaced, kind)

    return build
