"""A linear layer as widths see it: which way its weight lies, and what repeats its widths."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from graph.records import quickly_made
from surgery.adapters.lora import LoraLinear, is_linear, is_transposed, weight_of
from surgery.modules.low_rank import LowRankLinear
from surgery.widths.part import Cut, Follow

Section = tuple[int, int]


@quickly_made
@dataclass(frozen=True, slots=True)
class Linear:
    """The linear layer `module` at `path`; under an adapter it is the layer inside.

    Of two thin ones in the place of one it is the last, and `first` the one that the inputs go into.
    """

    path: str
    module: nn.Module
    first: Linear | None = None

    @classmethod
    def at(cls, path: str, around: nn.Module, name: str) -> Linear | None:
        """The linear layer called `name` from the module `around` at `path` on; None if there is none."""
        found: nn.Module | None = around
        for step in name.split("."):
            found = None if found is None else found._modules.get(step)
        full = f"{path}.{name}".lstrip(".")
        if isinstance(found, LoraLinear):  # to be refused by name, not overlooked
            found, full = found.base, f"{full}.base"
        if isinstance(found, LowRankLinear):
            return cls(f"{full}.up", found.up, cls(f"{full}.down", found.down))
        return cls(full, found) if found is not None and is_linear(found) else None

    @property
    def outputs(self) -> int:
        return int(weight_of(self.module).shape[self._output_dim])

    @property
    def inputs(self) -> int:
        if self.first is not None:
            return self.first.inputs
        return int(weight_of(self.module).shape[1 - self._output_dim])

    @property
    def _output_dim(self) -> int:
        return 1 if is_transposed(self.module) else 0

    def along_outputs(self, *sections: Section) -> list[Cut]:
        """The units in its outputs: weight, and bias where there is one. See `Cut` for sections."""
        cuts = [Cut(f"{self.path}.weight", self._output_dim, sections)]
        if self.module._parameters.get("bias") is not None:
            cuts.append(Cut(f"{self.path}.bias", 0, sections))
        return cuts

    def along_inputs(self, *sections: Section) -> list[Cut]:
        """The units in its inputs."""
        if self.first is not None:
            return self.first.along_inputs(*sections)
        return [Cut(f"{self.path}.weight", 1 - self._output_dim, sections)]

    def follow_outputs(self, size: int) -> Follow:
        """Its attribute that says how many outputs it has."""
        return Follow(self.path, "nf" if is_transposed(self.module) else "out_features", size)

    def follow_inputs(self, size: int) -> Follow:
        """Its attribute that says how many inputs it has."""
        if self.first is not None:
            return self.first.follow_inputs(size)
        return Follow(self.path, "nx" if is_transposed(self.module) else "in_features", size)


def linears(path: str, around: nn.Module, names: tuple[str, ...]) -> list[Linear] | None:
    """All of these linear layers; None if one is missing."""
    found = [Linear.at(path, around, name) for name in names]
    there = [linear for linear in found if linear is not None]
    return there if len(there) == len(names) else None
