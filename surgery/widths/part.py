"""A part of a model that has equal units side by side, and where in its tensors one of them lies."""

from __future__ import annotations

from dataclasses import dataclass

from graph.records import quickly_made


@quickly_made
@dataclass(frozen=True, slots=True)
class Cut:
    """The units along dimension `dim` of a tensor.

    Each of `sections` is (start, size): from `start` on the units lie one after another, `size` entries
    each. What lies outside every section belongs to no unit and stays.
    """

    path: str
    dim: int
    sections: tuple[tuple[int, int], ...]
    scored: bool = True
    """Whether the magnitude of a unit counts what it has here."""


@quickly_made
@dataclass(frozen=True, slots=True)
class Follow:
    """An attribute of the module at `path` that falls by `size` with each unit that goes, and rises again."""

    path: str
    name: str
    size: int = 1


@quickly_made
@dataclass(frozen=True, slots=True)
class Gain:
    """The tensor at `path`, with `offset` added, is multiplied by √(count / left) when units go."""

    path: str
    offset: float


@dataclass(frozen=True, kw_only=True)
class Part:
    """`count` units at `path`, with their tensors, and what has to say how many there are.

    `config` are (name, size) of config values that are `size` times the units; they are set once all
    parts of the model agree. `fixed` are config values that were implied by others before and must be
    said then, such as a head's width.
    """

    path: str
    count: int
    cuts: tuple[Cut, ...]
    members: tuple[str, ...] = ()
    """Modules that must all be among the targets, `path` with them; none means `path` alone."""
    follows: tuple[Follow, ...] = ()
    agreed: tuple[Follow, ...] = ()
    """Attributes that become `size` times the units once all parts of the model agree."""
    gains: tuple[Gain, ...] = ()
    """What makes up for means over all units, when there are fewer."""
    rates: tuple[Follow, ...] = ()
    """Attributes that are multiplied by count / left."""
    roots: tuple[str, ...] = ()
    """Embeddings that multiply by the root of the number of units."""
    made_anew: tuple[str, ...] = ()
    """Config values that are the number of units, if transformers makes this very model of them."""
    config: tuple[tuple[str, int], ...] = ()
    fixed: tuple[tuple[str, int], ...] = ()
    least: int = 1
    """Fewer units than this cannot be left."""
    most: int | None = None
    """More units than this cannot be had; None if there is no such number."""
    per_unit: int = 1
    """How many of what the user counts make a unit: query heads that share keys, for one."""
    alike: str = ""
    """A selector: of all parts that have the same here, equally many units must be left."""
    reads_config: bool = False
    """Whether the forward reads `config`: then it has to follow, and a class that refuses it is a refusal."""
    refused: str = ""
    """Why it can be neither narrowed nor padded, if it cannot."""
    hint: str | None = None
    """The way out where it is refused."""

    def __hash__(self) -> int:
        return hash((self.path, self.count))  # what tells parts apart: to hash all cuts takes long


def cut(path: str, dim: int, size: int = 1, *, start: int = 0, scored: bool = True) -> Cut:
    """Units of `size` entries each along `dim`."""
    return Cut(path, dim, ((start, size),), scored)


def fused(path: str, dim: int, count: int, sizes: tuple[int, ...]) -> Cut:
    """Sections behind one another, as in a fused projection: `count` units of each size."""
    return Cut(path, dim, behind_one_another(count, sizes))


def behind_one_another(count: int, sizes: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Sections of `count` units each, the units of a section of one size."""
    starts = [count * sum(sizes[:place]) for place in range(len(sizes))]
    return tuple(zip(starts, sizes, strict=True))
