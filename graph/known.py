"""What somebody who edits a tree can say of it, so that nobody has to look again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from graph.layouts import Layout
from graph.tree import Site


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a tree as it is: the sites of its modules, and the layouts of some of these."""

    places: Sequence[Site]
    layouts: Mapping[nn.Module, Layout]
