r"""Paths of modules and tensors, and the selectors that pick several of them.

A path is dotted as torch prints it; `layers[9]` and `layers.9` are the same path, the second is
its canonical form; the root is the empty path. A selector is a pattern of paths:

=================  ==========================================================================
`*`                one segment; inside a segment any text (`q_*`)
`**`               any number of segments, also none
`{a,b}`            either text, also inside a segment (`{q,v}_proj`)
`[3]` `[-1]`       a child of an indexed container, the second counted from its end
`[8:24:2]` `[*]`   a slice of its children; all of them
`**:Linear`        only modules of that class (`*` and `{}` work here too)
`a.b, c.d`         both
`\`                the next character means itself
=================  ==========================================================================
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

_SPECIAL = "\\*{}[]:,"
MOST_STARS = 4  # more let the regular expression try too many ways
MOST_BRACES = 8


class SelectorError(ValueError):
    """A selector that can't be read; `position` counts characters of `text` from 0."""

    def __init__(self, text: str, position: int, problem: str, hint: str) -> None:
        super().__init__(f"selector {text!r}, character {position}: {problem}. Try: {hint}.")
        self.text, self.position, self.problem, self.hint = text, position, problem, hint


@dataclass(frozen=True, slots=True)
class Name:
    """One segment, as a regular expression it must match entirely."""

    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Index:
    """Children of an indexed container, as a Python index or slice."""

    index: int | slice


@dataclass(frozen=True, slots=True)
class Deep:
    """`**`: any number of segments."""


Segment = Name | Index | Deep


@dataclass(frozen=True, slots=True)
class Branch:
    """One of the comma-separated patterns: its segments and the class it asks for, if any."""

    segments: tuple[Segment, ...]
    class_name: re.Pattern[str] | None = None


def canonical(path: str) -> str:
    """`path` in its stored form: `model.layers[9].mlp` becomes `model.layers.9.mlp`.

    Only plain indices are rewritten; raises SelectorError for slices and negative indices, which
    need a model to mean anything.
    """
    found = re.search(r"\[(?!\d+\])", path)
    if found:
        raise SelectorError(path, found.start(), "this is a pattern, not a path", "a plain index such as [9]")
    return re.sub(r"\[(\d+)\]", r".\1", path).removeprefix(".")


def escape(path: str) -> str:
    """A selector that matches exactly `path`, whatever characters its names are made of."""
    return "".join(f"\\{char}" if char in _SPECIAL or char.isspace() else char for char in path)


def nearest(text: str, candidates: Iterable[str], n: int = 3) -> tuple[str, ...]:
    """Up to `n` of `candidates` that look most like `text`, best first; for hints in errors."""
    known = list(dict.fromkeys(candidates))
    close = difflib.get_close_matches(text, known, n=n, cutoff=0.5)
    if not close:
        # A path typed without its beginning (`mlp.up_prj`) is compared with the ends of paths.
        depth = text.count(".") + 1
        ends: dict[str, str] = {}
        for path in known:
            ends.setdefault(".".join(path.split(".")[-depth:]), path)
        close = [ends[end] for end in difflib.get_close_matches(text, ends, n=n, cutoff=0.6)]
    return tuple(close)


def parse(text: str) -> tuple[Branch, ...]:
    """The branches of a selector's text; raises SelectorError. The empty text is the root."""
    return _Parser(text).branches()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.stars = self.depth = 0

    def fail(self, problem: str, hint: str, at: int | None = None) -> SelectorError:
        return SelectorError(self.text, self.at if at is None else at, problem, hint)

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def blanks(self) -> None:
        while self.peek().isspace():
            self.at += 1

    def branches(self) -> tuple[Branch, ...]:
        if not self.text.strip():
            return (Branch(()),)
        found = []
        while True:
            self.blanks()
            found.append(self.branch())
            if not self.peek():
                return tuple(found)
            self.at += 1  # over the comma

    def branch(self) -> Branch:
        segments: list[Segment] = []
        if self.peek() in ("", ",", ":"):
            raise self.fail("a pattern is missing here", "** for any module, as in **:Linear")
        while True:
            if self.peek() == "[":
                segments.append(self.index())
            else:
                segments.append(self.segment())
            while self.peek() == "[":
                segments.append(self.index())
            if self.peek() != ".":
                break
            self.at += 1
        wanted = None
        if self.peek() == ":":
            self.at += 1
            wanted = self.glob("a class name")
        self.blanks()
        if self.peek() not in ("", ","):
            raise self.fail(
                f"unexpected {self.peek()!r}", "a dot between segments, a comma between selectors"
            )
        return Branch(tuple(segments), wanted)

    def segment(self) -> Segment:
        if self.text.startswith("**", self.at):
            after = self.text[self.at + 2 : self.at + 3]
            if after and after not in ".:,[" and not after.isspace():
                raise self.fail("** stands alone between dots", "**.*name or a single *", self.at + 2)
            self.at += 2
            return Deep()
        return Name(self.glob("a segment"))

    def glob(self, what: str) -> re.Pattern[str]:
        start, self.stars = self.at, 0
        pattern = self.alternatives(inside=False)
        if self.at == start:
            raise self.fail(f"{what} is missing", "a name, * or **")
        return re.compile(pattern, re.DOTALL)

    def alternatives(self, inside: bool) -> str:
        """The regular expression of text with `*` and `{}`; inside braces commas separate."""
        made = ""
        while True:
            char = self.peek()
            if not char or (char in ",}" if inside else (char in ".,[:" or char.isspace())):
                return made
            if char == "\\":
                self.at += 1
                if not self.peek():
                    raise self.fail("nothing follows the backslash", "\\\\ for a backslash")
                made += re.escape(self.peek())
                self.at += 1
            elif char == "*":
                while self.peek() == "*":  # several in a row match what one does, only slower
                    self.at += 1
                self.stars += 1
                if self.stars > MOST_STARS:
                    raise self.fail(f"more than {MOST_STARS} wildcards in one name", "fewer")
                made += ".*"
            elif char == "{":
                made += self.braces()
            elif char in "}]" or (inside and char in ".[:"):
                raise self.fail(f"unexpected {char!r}", f"\\{char} if a name contains it")
            else:
                made, self.at = made + re.escape(char), self.at + 1

    def braces(self) -> str:
        start, options = self.at, []
        self.depth += 1
        if self.depth > MOST_BRACES:
            raise self.fail(f"braces nested more than {MOST_BRACES} deep", "{a,b}")
        while True:
            self.at += 1  # over the brace or comma
            options.append(self.alternatives(inside=True).strip())
            if not self.peek():
                raise self.fail("{ is never closed", "{a,b}", start)
            if self.peek() == "}":
                self.at += 1
                self.depth -= 1
                return f"(?:{'|'.join(options)})"

    def index(self) -> Index:
        start = self.at
        end = self.text.find("]", start)
        if end < 0:
            raise self.fail("[ is never closed", "[3], [-1] or [8:24:2]")
        body = self.text[start + 1 : end].strip()
        self.at = end + 1
        if body == "*":
            return Index(slice(None))
        if re.search(r"\d{10}", body):
            raise self.fail("no list is that long", "[3], [-1] or [8:24:2]", start + 1)
        if re.fullmatch(r"-?\d+", body):
            return Index(int(body))
        if re.fullmatch(r"(-?\d+)?\s*:\s*(-?\d+)?\s*(:\s*(-?\d+)?\s*)?", body):
            bounds = [int(part) if part.strip() else None for part in body.split(":")]
            if len(bounds) == 3 and bounds[2] == 0:
                raise self.fail("a step of 0 goes nowhere", "a step of 1 or more", start)
            return Index(slice(*bounds))
        raise self.fail(f"[{body}] is no index", "[3], [-1], [8:24:2] or [*]; {1,3} after a dot", start + 1)


def is_below(path: str, parent: str) -> bool:
    """Whether `path` is `parent` or lies below it."""
    return not parent or path == parent or path.startswith(parent + ".")


def is_among(path: str, parents: Iterable[str]) -> bool:
    """Whether `path` is one of `parents` or lies below one."""
    return any(is_below(path, parent) for parent in parents)
