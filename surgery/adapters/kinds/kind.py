"""What a kind of adapter is to the operations: its name, its fields, where it fits, and how one is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from torch import nn

from surgery.adapters.adapter import Adapter
from surgery.errors import SurgeryError
from surgery.fields import Options
from surgery.model import Patient

Share = Literal["a", "b", "both"]
Side = Literal["output", "input"]
Activation = Literal["relu", "gelu", "silu", "tanh"]
Squeeze = Literal["both", "channel", "space"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the fields of `attach` say of the adapter itself; each kind reads some of them."""

    rank: int = 8
    alpha: float | None = None
    share: Share = "a"
    side: Side = "output"
    activation: Activation = "relu"
    experts: int = 4
    squeeze: Squeeze = "both"
    seed: int = 0
    options: Options = field(default_factory=Options)

    @property
    def scaled(self) -> float:
        """Alpha, which is twice the rank if it is not given."""
        return 2.0 * self.rank if self.alpha is None else self.alpha


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of adapter by name.

    `fields` are those of `attach` that it reads. `parameters` is its formula per module: d inputs, o outputs,
    r the rank, k elements of a kernel, E experts; what is shared counts once for all. `exact`: the output is
    bit-equal at first; otherwise equal to rounding. `misfit` says why a module is none that it suits, None
    for one that is. `make` makes one around a module at a path.
    """

    name: str
    title: str
    source: str
    fields: tuple[str, ...]
    parameters: str
    exact: bool
    suits: str
    misfit: Callable[[nn.Module], str | None]
    make: Callable[[Patient, str, Settings], Adapter]
    reads_weight: bool = True
    """Whether it is about the weight of the innermost module; otherwise about what the outermost gives."""
    hint: str = "`**:Linear`"
    """What to select where a module does not suit."""
    innermost: bool = False
    """Whether it must be next to the module itself, with other adapters around it only."""

    def refuse_misfit(self, module: nn.Module, path: str) -> None:
        """SurgeryError for a module that this kind does not suit."""
        if why := self.misfit(module):
            raise SurgeryError(
                why, path=path, got=type(module).__name__, expected=self.suits or None, hint=self.hint
            )
