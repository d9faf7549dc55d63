"""Blocks in another order, and blocks of other checkpoints among them: the steps that get there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from surgery.mergekit.steps import step
from surgery.operation import Operation


@dataclass(frozen=True)
class Foreign:
    """A block of another checkpoint: its folder, and the block's number there."""

    folder: str
    number: int


def arranged(path: str, count: int, wanted: Sequence[int]) -> list[Operation]:
    """The steps after which a list of `count` blocks holds those in `wanted`."""
    if list(wanted) == sorted(set(wanted)):
        kept = _select(path, wanted)
        return [] if len(wanted) == count else [step("keep", targets=kept)]
    steps = _from_left(path, count, wanted)
    return _sorted(path, count, wanted) if steps is None else steps


def _from_left(path: str, count: int, wanted: Sequence[int]) -> list[Operation] | None:
    """Slices one after another: what stands behind the blocks in place is the rest of the list as it was.

    None where a slice needs blocks that are in no order before it.
    """
    steps: list[Operation] = []
    current, place = list(range(count)), 0
    for first, end in _runs(wanted):
        rest = count - (len(current) - place)  # the block at `place`
        if first > rest:
            steps.append(step("remove", targets=f"{path}[{place}:{place + first - rest}]"))
            del current[place : place + first - rest]
        elif first < rest:
            copied = list(range(first, min(end, rest)))
            found = _places(current[:place], copied)
            if found is None:
                return None
            steps.append(step("duplicate", targets=_select(path, found)))
            behind, many = found[-1] + 1, len(copied)
            if behind < place:
                steps.append(
                    step(
                        "move",
                        targets=f"{path}[{behind}:{behind + many}]",
                        to=f"{path}[{place + many - 1}]",
                        place="after",
                    )
                )
            current[place:place] = copied
        place += end - first
    if place < len(current):
        steps.append(step("remove", targets=f"{path}[{place}:{len(current)}]"))
    return steps


def _sorted(path: str, count: int, wanted: Sequence[int]) -> list[Operation]:
    """Each block as often as it is wanted, and then moved to where it is."""
    steps: list[Operation] = []
    current = sorted(set(wanted))
    if len(current) < count:
        steps.append(step("keep", targets=_select(path, current)))
    for times in range(2, len(wanted) + 1):
        again = [block for block in sorted(set(wanted)) if list(wanted).count(block) >= times]
        if again:
            found = [current.index(block) for block in again]
            steps.append(step("duplicate", targets=_select(path, found), order="each"))
            current = sorted([*current, *again])
    for place, block in enumerate(wanted):
        if current[place] != block:
            start = current.index(block, place)
            many = 1
            while start + many < len(current) and [*wanted[place : place + many + 1]] == [
                *current[start : start + many + 1]
            ]:
                many += 1
            moved = f"{path}[{start}:{start + many}]"
            steps.append(step("move", targets=moved, to=f"{path}[{place}]", place="before"))
            current[place:place] = current[start : start + many]
            del current[start + many : start + 2 * many]
    return steps


def replaced(path: str, foreign: dict[int, Foreign]) -> list[Operation]:
    """The steps after which these places hold blocks of other checkpoints, those that stay where they were
    together.
    """
    steps: list[Operation] = []
    same: dict[str, list[int]] = {}
    for place, block in foreign.items():
        if block.number == place:
            same.setdefault(block.folder, []).append(place)
        else:
            at = f"{path}.{block.number}"
            steps.append(step("replace", targets=f"{path}[{place}]", parents=[block.folder], at=at))
    together = [
        step("replace", targets=_select(path, places), parents=[folder]) for folder, places in same.items()
    ]
    return [*together, *steps]


def _runs(wanted: Sequence[int]) -> list[tuple[int, int]]:
    """The order as ranges of blocks that follow each other."""
    found: list[tuple[int, int]] = []
    for block in wanted:
        if found and found[-1][1] == block:
            found[-1] = found[-1][0], block + 1
        else:
            found.append((block, block + 1))
    return found


def _places(before: Sequence[int], blocks: Sequence[int]) -> list[int] | None:
    """Where these blocks stand, one behind the other and as far behind as they can be; None if nowhere."""
    found: list[int] = []
    end = len(before)
    for block in reversed(blocks):
        place = next((at for at in reversed(range(end)) if before[at] == block), None)
        if place is None:
            return None
        found.insert(0, place)
        end = place
    return found


def _select(path: str, places: Sequence[int]) -> str:
    parts = [
        f"{path}[{first}]" if end == first + 1 else f"{path}[{first}:{end}]" for first, end in _runs(places)
    ]
    return ", ".join(parts)
