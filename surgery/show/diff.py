"""A difference between two graphs as lines for the terminal."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from rich.console import Console
from rich.text import Text

from graph.diff import Changed, GraphDiff, Part, Resized, diff_to_json
from graph.diff.retied import Retied
from graph.export.text import shortened, visible
from graph.nodes import ParameterNode
from graph.units import short
from surgery.show.marks import stretches

_STYLES = {"−": "red", "+": "green", "→": "cyan", "=": "magenta", "↔": "yellow", "~": "yellow", "≈": "blue"}
_DEEPEST_NUMBER = 4  # so many numbers of a path are tried as the one that counts


@dataclass(frozen=True)
class Entry:
    """A line before it is drawn: its sign, its paths, what it says of them, and its sums.

    Entries whose paths differ only in one number, and follow each other, become one line. `text` has
    `{0}`, `{1}` where the paths go, and is equal for entries that may be joined.
    """

    sign: str
    paths: tuple[str, ...]
    text: str
    kind: str = ""
    parameters: int = 0
    note: str = ""
    count: int = 1


def diff_json(difference: GraphDiff) -> str:
    """The difference as JSON text."""
    return json.dumps(diff_to_json(difference), allow_nan=False)


def print_diff(difference: GraphDiff) -> None:
    """Prints a line per entry, runs of alike ones as one, and the sums before and after.

    `−` removed, `+` added, `→` moved, `=` tied or untied, `↔` other shape or dtype, `~` other class or
    attributes, `≈` other values. Names are printed as text: none of their characters steers the terminal.
    """
    console = Console(soft_wrap=True, highlight=False)
    for line in diff_lines(difference):
        console.print(line)


def diff_lines(difference: GraphDiff) -> Iterator[Text]:
    """What `print_diff` prints."""
    for entry in folded(entries(difference)):
        yield _line(entry)
    if not difference:
        values = "and values" if difference.values_compared else "(values were not compared)"
        yield Text(f"no difference in modules, tensors, ties {values}")
    yield Text(_totals(difference), style="dim")


def entries(difference: GraphDiff) -> Iterator[Entry]:
    """One entry for each thing that is different, in the order in which they are shown."""
    for sign, parts in (("−", difference.removed), ("+", difference.added)):
        for part in parts:
            yield Entry(sign, (part.path,), "{0}", part.class_name, part.parameters, _alike(part))
    for moved in difference.moved:
        yield Entry("→", (moved.before, moved.after), "{0} → {1}")
    yield from _ties(difference.retied)
    for resized in difference.resized:
        yield _resized(resized)
    for changed in difference.changed:
        yield Entry("~", (changed.after,), "{0}", note=_change(changed))
    for revalued in difference.revalued:
        names = ", ".join(visible(name) for name in revalued.tensors)
        yield Entry("≈", (revalued.after,), "{0}", note=f"values changed: {names}")


def folded(found: Iterable[Entry]) -> list[Entry]:
    """Entries with runs joined: `layers.8`, `layers.9`, `layers.10` are `layers.8…10`."""
    waiting = list(enumerate(found))
    done: list[tuple[int, Entry]] = []
    for depth in range(_DEEPEST_NUMBER):
        groups: dict[object, list[tuple[int, int, Entry]]] = defaultdict(list)
        rest = []
        for place, entry in waiting:
            split = [_split(path, depth) for path in entry.paths]
            if all(number is not None for _, number in split):
                numbers = [number or 0 for _, number in split]
                ahead = tuple(number - numbers[0] for number in numbers)
                around = tuple(text for text, _ in split)
                key = (entry.sign, entry.text, entry.kind, entry.note, around, ahead)
                groups[key].append((numbers[0], place, entry))
            else:
                rest.append((place, entry))
        for group in groups.values():
            group.sort(key=lambda item: item[0])
            for stretch in stretches([number for number, _, _ in group]):
                items = [group[index] for index in stretch]
                if len(items) == 1:
                    rest.append(items[0][1:])
                else:
                    done.append((min(place for _, place, _ in items), _joined(items, depth)))
        waiting = sorted(rest, key=lambda item: item[0])
    return [entry for _, entry in sorted([*done, *waiting], key=lambda item: item[0])]


def _split(path: str, depth: int) -> tuple[tuple[str, str], int | None]:
    """The path around its number at `depth`, counted from the outermost, and that number if there is one."""
    segments = path.split(".")
    places = [place for place, segment in enumerate(segments) if segment.isdecimal() and segment.isascii()]
    if depth >= len(places):
        return ("", ""), None
    place = places[depth]
    return (".".join(segments[:place]), ".".join(segments[place + 1 :])), int(segments[place])


def _joined(items: list[tuple[int, int, Entry]], depth: int) -> Entry:
    first, last = items[0][2], items[-1][2]
    paths = []
    for one, two in zip(first.paths, last.paths, strict=True):
        (before, behind), number = _split(one, depth)
        numbers = f"{number}…{_split(two, depth)[1]}"
        paths.append(".".join(part for part in (before, numbers, behind) if part))
    parameters = sum(entry.parameters for _, _, entry in items)
    return replace(first, paths=tuple(paths), parameters=parameters, count=len(items))


def _line(entry: Entry) -> Text:
    style = _STYLES[entry.sign]
    line = Text(f"{entry.sign} ", style=style)
    for index, piece in enumerate(entry.text.split("{")):
        number, closed, plain = piece.partition("}") if index else ("", "", piece)
        if closed:
            line.append(visible(shortened(entry.paths[int(number)], 160)) or "(root)", style="bold")
        line.append(plain, style="default")
    if entry.kind:
        many = f"{entry.count} × " if entry.count > 1 else ""
        line.append(f"  {many}{visible(shortened(entry.kind))}", style="dim")
    if entry.parameters:
        line.append(f"  {short(entry.parameters)} parameters", style="default")
    if entry.note:
        line.append(f"  {entry.note}", style="default")
    return line


def _alike(part: Part) -> str:
    return f"(which of {part.alike} alike: not known without values)" if part.alike > 1 else ""


def _resized(resized: Resized) -> Entry:
    one, two = resized.before, resized.after
    path = (two or one or _NOTHING).path
    if one and two and one.kind != two.kind:
        return Entry("↔", (path,), "{0}", note=f"{one.kind} {_form(one)} → {two.kind} {_form(two)}")
    if one and two:
        return Entry("↔", (path,), "{0}", note=f"{_form(one)} → {_form(two)}")
    there = two or one or _NOTHING
    return Entry("↔", (path,), "{0}", note=f"{there.kind} {_form(there)} {'is new' if two else 'is gone'}")


_NOTHING = ParameterNode("", (), "", 0, "parameter")


def _form(tensor: ParameterNode) -> str:
    return f"{tensor.dtype} {list(tensor.shape)}"


def _change(changed: Changed) -> str:
    said = []
    if changed.class_before != changed.class_after:
        said.append(f"{visible(changed.class_before)} → {visible(changed.class_after)}")
    before, after = dict(changed.attributes_before), dict(changed.attributes_after)
    for name in before | after:
        values = [
            visible(shortened(repr(side[name]))) if name in side else "none" for side in (before, after)
        ]
        said.append(f"{visible(shortened(name))} {values[0]} → {values[1]}")
    if changed.order:
        said.append("children in another order")
    return ", ".join(said)


def _ties(found: tuple[Retied, ...]) -> Iterator[Entry]:
    """Ties of the same modules in one line: tied blocks share each of their parameters."""
    groups: dict[tuple[tuple[str, ...], ...], list[Retied]] = defaultdict(list)
    for tie in found:
        ends = [path.split(".") for path in (*tie.before, *tie.after)]
        same = 0
        while all(len(end) > same + 1 and end[-1 - same] == ends[0][-1 - same] for end in ends):
            same += 1
        lists = (tie.before, tie.after, tie.left, tie.joined)
        owners = (tuple(_without(path, same) for path in paths) for paths in lists)
        groups[(tie.kind,), *owners].append(tie)
    for (_, *shared), ties in groups.items():
        first = ties[0]
        alone = (first.before, first.after, first.left, first.joined)
        before, after, left, joined = alone if len(ties) == 1 else shared
        what = "" if first.kind == "parameter" else f"({first.kind})"
        if len(ties) > 1:
            what = f"({len(ties)} {first.kind.replace('parameter', 'tensor')}s)"
        yield Entry("=", *_tie(before, after, left, joined), note=what)


def _without(path: str, segments: int) -> str:
    return ".".join(path.split(".")[: -segments or None])


def _tie(
    before: tuple[str, ...], after: tuple[str, ...], left: tuple[str, ...], joined: tuple[str, ...]
) -> tuple[tuple[str, ...], str]:
    """The paths and the text of a tie's line."""
    if not before:
        return (*after[1:], after[0]), f"{_listed(len(after) - 1)} tied to {{{len(after) - 1}}}"
    if not after:
        return (*before[1:], before[0]), f"{_listed(len(before) - 1)} untied from {{{len(before) - 1}}}"
    kept = [path for path in after if path not in joined] or list(after)
    said = []
    if joined:
        said.append(f"{_listed(len(joined), 1)} tied to it")
    if left:
        said.append(f"{_listed(len(left), 1 + len(joined))} no longer")
    return (kept[0], *joined, *left), f"{{0}}: {', '.join(said)}"


def _listed(count: int, first: int = 0) -> str:
    return ", ".join(f"{{{place}}}" for place in range(first, first + count))


def _totals(difference: GraphDiff) -> str:
    one, two = difference.before, difference.after
    rows = [("parameters", "", one.parameters, two.parameters), ("", "B", one.size_bytes, two.size_bytes)]
    if one.macs or two.macs:
        rows.append(("MACs", "", one.macs, two.macs))
    said = []
    for name, unit, was, now in rows:
        change = f" ({(now - was) / was:+.1%})" if was and now != was else ""
        figures = short(was, unit) if was == now else f"{short(was, unit)} → {short(now, unit)}"
        said.append(f"{figures} {name}".rstrip() + change)
    return "total  " + ", ".join(said)
