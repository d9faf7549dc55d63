"""How small a model should become: `−20 %`, `−0.3 M`, `1.2 M`, `4 MB`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from graph.costs import Costs
from graph.units import short
from surgery.errors import SurgeryError

Of = Literal["parameters", "bytes", "macs"]
"""What a budget is of; MACs over the example inputs."""

FIGURES: dict[Of, Callable[[Costs], int]] = {
    "parameters": lambda costs: costs.parameters,
    "bytes": lambda costs: costs.size_bytes,
    "macs": lambda costs: costs.macs,
}
NOUNS: dict[Of, str] = {"parameters": "parameters", "bytes": "bytes", "macs": "MACs"}
_PARTS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_TEXT = re.compile(r"\s*([-−+]?)\s*(\d+(?:[.,]\d+)?)\s*(?:(%)|([kKMGT]?)(i?B)?)\s*")


@dataclass(frozen=True)
class Goal:
    """At most `limit` of what there was `before`."""

    text: str
    limit: float
    before: int


def goal_of(target: str | float, of: Of, before: int) -> Goal:
    """What `target` means for a model that has so much `before`.

    Text with a minus is less by that, a share or an amount; without, what is to be left. A number is an
    amount. Raises SurgeryError for what is neither.
    """
    if isinstance(target, bool) or not isinstance(target, str | int | float):
        raise _no_goal(target)
    text = target if isinstance(target, str) else f"{target:.12g}"
    found = _TEXT.fullmatch(text)
    if found is None or found[1] == "+" or (found[5] and of != "bytes"):
        raise _no_goal(target)
    amount = float(found[2].replace(",", "."))
    if found[3]:
        amount *= before / 100.0
    else:
        prefix = "k" if found[4] == "K" else found[4] or ""
        step = 1024 ** "kMGT".index(prefix) * 1024 if found[5] == "iB" and prefix else _PARTS[prefix]
        amount *= step
    limit = before - amount if found[1] else amount
    if limit < 0:
        raise SurgeryError(
            "a model cannot be made so much smaller", got=text, expected=f"less than {before:,}"
        )
    return Goal(text.strip(), limit, before)


def refuse_unknown(of: str) -> Of:
    """`of` itself; SurgeryError for a budget of something that is not counted."""
    if of not in get_args(Of):
        raise SurgeryError("a budget is not of that", got=of, expected=f"one of {', '.join(get_args(Of))}")
    found: Of = of  # type: ignore[assignment]
    return found


def amount(number: float, of: Of) -> str:
    """`1.21 M`, `4.84 MB`."""
    return short(number, "B" if of == "bytes" else "")


def change(before: float, after: float) -> str:
    """`−20.0 %`."""
    share = 100.0 * (after - before) / before if before else 0.0
    return f"{share:+.1f} %".replace("-", "−") if round(share, 1) else "0 %"


def saved(before: float, after: float, of: Of) -> str:
    """`−0.30 M`."""
    if before == after:
        return "0"
    return f"{'−' if after < before else '+'}{amount(abs(after - before), of)}"


def _no_goal(target: object) -> SurgeryError:
    return SurgeryError(
        "this says no size",
        got=repr(target),
        expected="less by a share or an amount, or what is to be left",
        hint='`"-20 %"`, `"-0.3 M"`, `"1.2 M"`, or of bytes `"4 MB"`',
    )
