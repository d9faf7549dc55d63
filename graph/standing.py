"""The sites of a tree after an edit, from those before it: most stand where they stood."""

import operator
from collections.abc import Sequence

from torch import nn

from graph.tree import Site, join, unwrapped


def arranged(places: Sequence[Site], path: str, order: Sequence[int]) -> list[Site] | None:
    """What `sites` will give once the container at `path` holds its items by these positions, renumbered.

    `places` are the sites now. None where that takes another look: at a container that is at several paths,
    has empty slots, or holds what is around it.
    """
    start = next((index for index, site in enumerate(places) if site[0] == path), None)
    if start is None:
        return None
    container = places[start][1]
    if sum(site[0] == path or site[1] is container for site in places) > 1:
        return None
    stop = _end(places, start)
    heads = [index for index in range(start + 1, stop) if places[index][3] is container]
    items = [None if item is None else unwrapped(item) for item in container._modules.values()]
    found: list[nn.Module | None] = [places[index][1] for index in heads]
    if len(items) != len(found) or not all(map(operator.is_, items, found)):
        return None
    ends = [*heads[1:], stop]
    after = list(places[: start + 1])
    for number, index in enumerate(order):
        here = places[heads[index] : ends[index]]
        place = join(path, str(number))
        after += here if here[0][0] == place else _moved(here, place)
    after += places[stop:]
    return after


def _moved(here: Sequence[Site], place: str) -> list[Site]:
    """A module and what lies below it, at another place in the same container."""
    _, module, path, container = here[0]
    cut = len(here[0][0])
    moved: list[Site] = [(place, module, path, container)]
    moved += [(place + path[cut:], below, place + up[cut:], around) for path, below, up, around in here[1:]]
    return moved


def _end(places: Sequence[Site], start: int) -> int:
    """The number of the first site behind this one that does not lie below it."""
    around: set[nn.Module] = set()
    outer = places[start][3]
    for index in range(start - 1, -1, -1):  # parents come before what lies in them
        if places[index][1] is outer:
            around.add(outer)
            outer = places[index][3]
    rest = range(start + 1, len(places))
    return next((index for index in rest if places[index][3] in around), len(places))
