"""How deep in a model a tensor lies, for values that vary from the first block to the last."""

from __future__ import annotations

from torch import nn

from surgery.fields import Schedule
from surgery.model import Patient


class Depths:
    """From 0 for the first block of a list to 1 for the last; a list inside a block does not count.

    What stands before the first list of the model is at 0, what stands behind it at 1.
    """

    def __init__(self, patient: Patient) -> None:
        self._lists = {
            path: list(module._modules)
            for path, module in patient.walk()
            if isinstance(module, nn.ModuleList) and len(module) > 0
        }
        first = next((path for path, _ in patient.walk() if path in self._lists), None)
        names = [name for name, _ in patient.root.named_parameters(remove_duplicate=False)]
        inside = [place for place, name in enumerate(names) if first and name.startswith(f"{first}.")]
        self._before = set(names[: inside[0]]) if inside else set()

    def of(self, name: str) -> float:
        """The depth of the tensor at a path."""
        parts = name.split(".")
        for length in range(1, len(parts)):
            items = self._lists.get(".".join(parts[:length]))
            if items is not None and parts[length] in items:
                return items.index(parts[length]) / max(1, len(items) - 1)
        return 0.0 if name in self._before else 1.0


def at(schedule: Schedule, depth: float) -> float:
    """The value of a schedule at a depth in [0, 1]: on straight lines between its numbers, evenly spaced."""
    if not isinstance(schedule, tuple):
        return schedule
    place = depth * (len(schedule) - 1)
    left = min(int(place), len(schedule) - 1)
    right = min(left + 1, len(schedule) - 1)
    return schedule[left] + (place - left) * (schedule[right] - schedule[left])
