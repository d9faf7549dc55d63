"""How far two models part at a token, in few levels: what tokens are tinted by."""

from __future__ import annotations

FROM_NATS = (0.01, 0.1, 0.5, 2.0)
"""Where each level but the lowest begins. Fixed, so that one colour means one thing on every prompt."""

LEGEND = ("under 0.01", "from 0.01", "from 0.1", "from 0.5", "from 2")


def level(kl: float) -> int:
    """0 for what cannot be told apart, to 4 for what has little in common."""
    return sum(kl >= nats for nats in FROM_NATS)


def seen(text: str) -> str:
    """A token's text with its blanks to be seen, and what would steer a screen as a sign or an escape."""
    if not text:
        return "∅"
    marks = {" ": "·", "\n": "↵", "\t": "⇥", "\r": "␍"}
    return "".join(marks.get(char) or _plain(char) for char in text)


def _plain(char: str) -> str:
    if ord(char) < 0x20:
        return chr(0x2400 + ord(char))
    if char == "\x7f":
        return "␡"
    return char if char.isprintable() else char.encode("unicode_escape").decode()
