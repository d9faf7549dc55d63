"""A module whose calls go over the tape."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from torch import nn

from surgery.evaluate.tape.configs import Reads, field, watch
from surgery.evaluate.tape.signature import Signature, signature
from surgery.evaluate.tape.values import Unsayable

if TYPE_CHECKING:
    from surgery.evaluate.tape.tape import Tape


class Block:
    """Stands in for the forward of `module`, on a shell that belongs to the evaluation.

    `number` is that of its signature, the same for every block that is the same; `signature` is None for a
    block that always runs.
    """

    taped = True

    def __init__(self, tape: Tape, path: str, module: nn.Module) -> None:
        self.tape, self.path, self.module = tape, path, module
        self.forward: Callable[..., Any] = module.forward
        self.size = float(sum(parameter.numel() for parameter in module.parameters()))
        self.signature: Signature | None = None
        self.number = -1
        self.__wrapped__ = self.forward  # what asks for the arguments of a forward looks here

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        run = self.tape.run
        return self.forward(*args, **kwargs) if run is None else run.call(self, args, kwargs)

    def sign(self) -> None:
        """Reads anew what the module is."""
        self.signature = self.now()
        self.number = -1 if self.signature is None else self.tape.number(self.signature)
        if self.number < 0:
            self.signature = None

    def now(self) -> Signature | None:
        """The signature of the module as it is; None where it cannot be said."""
        try:
            made = signature(self.module)
            for config in made.configs:
                watch(config)
        except Unsayable:
            return None
        return made

    def is_as_signed(self) -> bool:
        """Whether the module is still what it was when it was signed."""
        now = self.now()
        return now is not None and self.signature is not None and now.said == self.signature.said

    def says(self, config: int, name: str) -> Hashable | None:
        """What a field of one of its configs says now."""
        assert self.signature is not None
        return field(self.signature.configs[config], name)

    def read(self, reads: Reads) -> tuple[tuple[int, str, Hashable], ...]:
        """What a call read of configs, by their numbers. Raises Unsayable if that can't be compared later."""
        assert self.signature is not None
        numbers = {id(config): number for number, config in enumerate(self.signature.configs)}
        found = []
        for (config, name), value in reads.items():
            if value is None or config not in numbers:
                raise Unsayable(name)
            found.append((numbers[config], name, value))
        return tuple(found)
