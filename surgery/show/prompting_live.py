"""Both answers side by side on a terminal, as they are written."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from graph.export.text import visible

if TYPE_CHECKING:
    from rich.table import Table

    from surgery.prompting import Side, Token
    from surgery.prompting.writing import OnToken

Written = dict[str, list["Token"]]

_STYLES = ("", "", "underline", "underline", "bold underline")
"""By level of KL: told by lines and weight, since a terminal's colours are its user's."""


@contextmanager
def live_answers() -> Iterator[OnToken]:
    """Within, whom to tell of tokens: on a terminal both texts are drawn, elsewhere nothing is."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.live import Live

    written: Written = {"original": [], "edited": []}
    with Live(console=Console(stderr=True), refresh_per_second=12, transient=True) as shown:

        def told(side: Side, position: int, token: Token) -> None:
            written[side].append(token)
            shown.update(side_by_side(written))

        yield told


def side_by_side(written: Written) -> Table:
    """Two columns of tokens; what the models part at is underlined, the first difference reversed."""
    from rich.table import Table
    from rich.text import Text

    from surgery.prompting.levels import level

    table = Table(expand=True, box=None, padding=(0, 2, 0, 0))
    pairs = zip(written["original"], written["edited"], strict=False)
    first = next((place for place, (one, two) in enumerate(pairs) if one.id != two.id), None)
    cells = []
    for side in ("original", "edited"):
        table.add_column(side, ratio=1, overflow="fold")
        text = Text()
        for place, token in enumerate(written[side]):
            style = "reverse" if place == first else _STYLES[level(token.kl)]
            shown = "\n".join(visible(line) for line in token.text.split("\n"))
            text.append(shown, style)
        cells.append(text)
    table.add_row(*cells)
    return table
