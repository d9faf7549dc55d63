"""What hangs together in a model: which slices of which tensors can only go at once.

`couple` runs a shell on fake tensors once. Every entry along a dimension of a parameter or buffer has a
label, which the operators carry on: what is added, concatenated or multiplied out together is coupled.
`following` runs the shell, `labels` joins them, `rules` says what each operator does to them (`mixing` and
`moving` have the rules, `reordering` those for units that only change places, `streamed` those that
hold for units that go too), `groups` reads the result.
"""

from graph.coupling import mixing, moving, reordering
from graph.coupling.following import NotCoupled
from graph.coupling.groups import Coupling, Group, Place, couple, numbers, reorderable, streams

__all__ = [
    "Coupling",
    "Group",
    "NotCoupled",
    "Place",
    "couple",
    "mixing",
    "moving",
    "numbers",
    "reorderable",
    "reordering",
    "streams",
]
