"""The colours of a picture: neutral ones, light or dark, and those that are data."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Inks:
    """Neutral colours, as `widgets/frontend/src/styles/tokens.css` has them on the screen."""

    ink: str
    soft: str
    faint: str
    edge: str
    line: str
    ground: str
    surface: str
    raised: str
    calm: str
    accent: str
    better: str
    worse: str


LIGHT = Inks(
    ink="#1c2430",
    soft="#5b6675",
    faint="#667080",
    edge="#c9d0da",
    line="#e3e6eb",
    ground="#fafbfc",
    surface="#ffffff",
    raised="#ffffff",
    calm="#f0f2f5",
    accent="#4f46e5",
    better="#0b7a53",
    worse="#c2410c",
)
DARK = Inks(
    ink="#e8ecf2",
    soft="#a4afbd",
    faint="#97a3b3",
    edge="#3d4654",
    line="#2c323c",
    ground="#171b21",
    surface="#1b1f26",
    raised="#232934",
    calm="#252b35",
    accent="#8b8cff",
    better="#45c792",
    worse="#ff9d66",
)
PAGE = Inks(**{field.name: f"var(--{field.name})" for field in fields(Inks)})
"""The page's own, which may turn dark: for a picture within one that has `variables`."""

TIES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
"""Okabe-Ito, in the order that ties take them; always beside a number."""

CIVIDIS = (
    *("#00204d", "#00306f", "#2a406c", "#48526b", "#5e626e", "#727374"),
    *("#878479", "#9e9677", "#b6a971", "#d0be67", "#ead357", "#ffea46"),
)
"""Twelve stops, from low to high."""


def variables(inks: Inks) -> str:
    """The colours as properties of a style sheet: `--ink: #1c2430; …`."""
    return " ".join(f"--{field.name}: {getattr(inks, field.name)};" for field in fields(Inks))


def tie_colour(index: int) -> str:
    """The colour of tie `index`, counted from 1; they repeat after six, hence the numbers."""
    return TIES[(index - 1) % len(TIES)]


def score_colour(score: float) -> str:
    """A score of 0 to 1 as a colour of cividis."""
    place = min(1.0, max(0.0, score)) * (len(CIVIDIS) - 1)
    low = int(place)
    one, two = _channels(CIVIDIS[low]), _channels(CIVIDIS[min(low + 1, len(CIVIDIS) - 1)])
    return "#" + "".join(f"{round(a + (b - a) * (place - low)):02x}" for a, b in zip(one, two, strict=True))


def is_dark(colour: str) -> bool:
    """Whether white is the better ink on this `#rrggbb`."""
    red, green, blue = _channels(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue < 140


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
