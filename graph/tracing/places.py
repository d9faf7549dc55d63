"""Watching whether a block asks where it sits: two alike blocks that ask may answer differently."""

from typing import Any

from torch import nn

from graph.repeats import PLACES


class Places:
    """Counts reads of attributes such as `layer_idx` on the modules it watches.

    Each watched module gets a class of its own: the same name, the same everything, and a property in
    front of the attribute. For shells that are thrown away.
    """

    def __init__(self) -> None:
        self.reads = 0
        self.classes: dict[tuple[type, tuple[str, ...]], type] = {}

    def watch(self, module: nn.Module) -> None:
        """Count every read of `module`'s place from now on."""
        names = tuple(sorted(PLACES & module.__dict__.keys()))
        if names:
            key = (type(module), names)
            if key not in self.classes:
                self.classes[key] = self._watched(*key)
            module.__class__ = self.classes[key]

    def _watched(self, cls: type, names: tuple[str, ...]) -> type:
        same = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
        return type(cls.__name__, (cls,), same | {name: self._property(name) for name in names})

    def _property(self, name: str) -> property:
        def read(module: nn.Module) -> Any:
            self.reads += 1
            return module.__dict__[name]

        def write(module: nn.Module, value: Any) -> None:
            module.__dict__[name] = value

        return property(read, write)
