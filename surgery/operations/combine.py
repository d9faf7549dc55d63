"""Make several adapters one."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, Literal

from torch import nn

from surgery.adapters.adapter import Adapter, base_of
from surgery.adapters.figures import kept_by_rank, sizes
from surgery.adapters.kinds.sharelora import ShareLoraLinear
from surgery.adapters.lora import LoraLinear, LowRank
from surgery.adapters.lora_layers import LoraConv, LoraEmbedding
from surgery.adapters.stacks import Stack, adapted, named, outermost, slot_at, stack_at
from surgery.charts import Chart
from surgery.edits import Edit, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.fields import Targets, option
from surgery.lazy import Lazy, recipe
from surgery.model import Patient
from surgery.operation import Operation, operation

_PLAIN = (LoraLinear, LoraConv, LoraEmbedding, ShareLoraLinear)


@operation(
    title="Combine",
    group="attach",
    source="PEFT's `add_weighted_adapter`; LoRA: Hu et al. 2021, arXiv:2106.09685",
)
class Combine(Operation):
    """Each module that carries some of these adapters carries one in their place: Σ wᵢ times what they add.

    Fields: `called`: names of LoRA adapters, divided by commas; `weights`: one per name, if empty those they
    have now (their strengths, 0 of one that is off); `how`: `cat` puts the factors one above the other and
    side by side, which is exact, its rank the sum of theirs; `svd` cuts that to `rank` by singular values,
    the nearest there is (a module that carries some of them only may get less); `linear` adds factors of one
    rank, each times √|wᵢ sᵢ|, with s = alpha / r, which adds products of one's A and another's B as well;
    `into`: what it is called; `rank` of `svd`, by default the largest of theirs; `targets`. The new one is
    active, its alpha its rank. Refused: other kinds than LoRA, rsLoRA and ShareLoRA, ranks that differ
    (`linear`), ranks that cannot be had (`svd`), adapters with one in between that does not add up with them.
    """

    called: str = option(help="names of the adapters, divided by commas")
    how: Literal["cat", "linear", "svd"] = option("cat", help="exact; factors added; or cut to a rank")
    weights: tuple[float, ...] = option((), help="one per name; as they are weighed now if empty")
    into: str = option("combined", help="what the one is called that takes their place")
    rank: int | None = option(None, help="of svd; the largest of theirs if not given", minimum=1)
    targets: Targets = option(Targets("**"), help="adapted modules, or what contains them")

    def plan(self, patient: Patient) -> Iterator[Edit]:
        names = named(self.called)
        if len(names) < 2 or (self.weights and len(self.weights) != len(names)):
            raise SurgeryError(
                "combine needs two adapters or more and one weight each",
                got=f"{len(names)} names, {len(self.weights)} weights",
            )
        if self.rank is not None and self.how != "svd":
            raise SurgeryError(f"combine has no rank to choose with how={self.how!r}", hint='`how="svd"`')
        chosen = adapted(patient, self.targets, names)
        known: dict[Hashable, dict[str, Lazy]] = {}
        made: dict[int, Callable[[nn.Module], nn.Module]] = {}
        gone: set[tuple[int, str]] = set()
        for path in dict.fromkeys(outermost(patient, place) for place, _ in chosen):
            members = self._members(patient, path, names)
            weights = self._weights(members)
            key = tuple((item.reading(), *map(id, item._parameters.values())) for _, item in members)
            if key not in known:
                known[key] = self._factors(patient, members, weights)
            factors = known[key]
            rank = next(iter(factors.values())).shape[0]
            place = members[-1][0]
            for inner, _ in members[:-1]:
                if (slot := slot_at(patient, inner)) not in gone:
                    gone.add(slot)
                    yield SetModule(inner, base_of)
            outer = members[-1][1]
            build = made.setdefault(id(outer), _one(type(outer), rank, self.into))
            yield SetModule(place, build)
            for name, tensor in factors.items():
                yield SetTensor(f"{place}.{name}", tensor)

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart | None:
        """For `svd` how much each rank keeps, a line for each module; else how much each adapter changes."""
        names = named(self.called)
        chosen = adapted(patient, self.targets, names)
        if self.how != "svd":
            return sizes(patient, chosen)
        paths = list(dict.fromkeys(outermost(patient, place) for place, _ in chosen))
        sites = [(path, self._members(patient, path, names)) for path in paths]
        ranks = [item.rank for _, members in sites for _, item in members]
        return kept_by_rank(
            patient,
            [(path, members, self._weights(members)) for path, members in sites],
            max(ranks) if self.rank is None else self.rank,
        )

    def _weights(self, members: list[tuple[str, LowRank]]) -> list[float]:
        names = named(self.called)
        given = dict(zip(names, self.weights, strict=True)) if self.weights else {}
        now = [(item.name, item.strength if item.active else 0.0) for _, item in members]
        return [given.get(name, strength) for name, strength in now]

    def _members(self, patient: Patient, path: str, names: tuple[str, ...]) -> list[tuple[str, LowRank]]:
        stack = stack_at(patient, path)
        found: list[tuple[str, LowRank]] = []
        between: Stack = []
        for place, item in stack:
            if item.name not in names:
                if item.name == self.into:
                    raise SurgeryError(
                        f"carries an adapter called {self.into!r} already", path=place, hint="another `into`"
                    )
                between.append((place, item))
            elif isinstance(item, LowRank) and type(item) in _PLAIN:
                if bad := next((other for _, other in between if found and not other.additive), None):
                    raise SurgeryError(
                        f"has {bad.name!r} between the adapters, which changes what those inside it add",
                        path=path,
                        got=bad.kind,
                    )
                found.append((place, item))
            else:
                raise SurgeryError(
                    f"the adapter {item.name!r} here is no sum of low-rank products alone",
                    path=place,
                    got=item.kind,
                    expected="lora, rslora or sharelora",
                )
        return found

    def _factors(
        self, patient: Patient, members: list[tuple[str, LowRank]], weights: list[float]
    ) -> dict[str, Lazy]:
        names = list(members[0][1]._parameters)  # A and B, as the class calls them
        downs, ups = ([patient.tensor(f"{path}.{name}") for path, _ in members] for name in names)
        scaled = tuple(weight * item.scale for weight, (_, item) in zip(weights, members, strict=True))
        ranks = [item.rank for _, item in members]
        path, total = members[-1][0], sum(ranks)
        down, up = downs[0], ups[0]
        if self.how == "linear":
            if len(set(ranks)) > 1:
                raise SurgeryError(
                    "the adapters differ in rank, so their factors cannot be added",
                    path=path,
                    got=ranks,
                    hint='`how="cat"` or `how="svd"`',
                )
            roots = tuple(math.sqrt(abs(value)) for value in scaled)
            signed = tuple(math.copysign(root, value) for root, value in zip(roots, scaled, strict=True))
            added = (
                recipe("weighted_sum", *downs, weights=signed),
                recipe("weighted_sum", *ups, weights=roots),
            )
            return dict(zip(names, added, strict=True))
        rank = total if self.how == "cat" else (max(ranks) if self.rank is None else self.rank)
        shapes = (rank, *down.shape[1:]), (up.shape[0], rank, *up.shape[2:])
        if self.how == "cat":
            ones = tuple(1.0 for _ in scaled)
            both = (
                recipe("stacked_factors", *downs, shape=shapes[0], weights=scaled, dim=0),
                recipe("stacked_factors", *ups, shape=shapes[1], weights=ones, dim=1),
            )
            return dict(zip(names, both, strict=True))
        most = min(total, up.shape[0], down.count // down.shape[0])
        if len(members) < len(named(self.called)):
            rank = min(rank, most)  # a module that carries some of them only keeps what it has
            shapes = (rank, *down.shape[1:]), (up.shape[0], rank, *up.shape[2:])
        if rank > most:
            raise SurgeryError("the sum has no such rank", path=path, got=rank, expected=f"at most {most}")
        pairs = [factor for pair in zip(downs, ups, strict=True) for factor in pair]
        cut = [
            recipe("truncated_product", *pairs, shape=shape, weights=scaled, rank=rank, side=side)
            for side, shape in zip(("down", "up"), shapes, strict=True)
        ]
        return dict(zip(names, cut, strict=True))


def _one(cls: type[LowRank], rank: int, name: str) -> Callable[[nn.Module], nn.Module]:
    """What makes one adapter of the outermost of several; of one object at two slots one object again."""
    made: dict[int, LowRank] = {}
    plain = LoraLinear if cls is ShareLoraLinear else cls

    def build(outer: nn.Module) -> nn.Module:
        assert isinstance(outer, Adapter)
        if id(outer) not in made:
            one: LowRank = plain(outer.base, rank, float(rank))  # type: ignore[call-arg]
            if name != "default":
                one.__dict__["name"] = name
            made[id(outer)] = one
        return made[id(outer)]

    return build
