"""How much each step is to blame: bars for a terminal, and for a notebook."""

from __future__ import annotations

from html import escape

from graph.export.text import shortened, visible
from surgery.prompting.blame import Blame, StepBlame
from surgery.prompting.levels import seen
from surgery.show.prompting import number
from surgery.show.prompting_style import STYLE

_CELLS = 24


def blame_text(blame: Blame) -> str:
    """A line per step with its bar, in the order of the script; what is left as interaction."""
    names = [shortened(visible(f"{item.number} {item.words}"), 48) for item in blame.steps]
    width = max(map(len, names))
    most = _most(blame)
    lines = [heading(blame)]
    for item, name in zip(blame.steps, names, strict=True):
        if item.refused is not None:
            lines.append(f"{name:<{width}}  – {visible(item.refused)}")
            continue
        bar = ("█" if (item.blame or 0) >= 0 else "░") * round(_CELLS * abs(item.blame or 0.0) / most)
        lines.append(f"{name:<{width}}  {figure(item):>16}  {bar}".rstrip())
        lines += [f"{'':<{width}}  {note}" for note in item.notes]
    return "\n".join([*lines, interaction(blame)])


def blame_html(blame: Blame) -> str:
    """The same as a table with bars, without script."""
    most = _most(blame)
    rows = []
    for item in blame.steps:
        name = f'<th scope="row">{item.number} {escape(visible(item.words))}</th>'
        if item.refused is not None:
            rows.append(
                f'<tr>{name}<td colspan="3" class="surgery-refused">{escape(visible(item.refused))}</td></tr>'
            )
            continue
        part = 50 * abs(item.blame or 0.0) / most
        below = (item.blame or 0.0) < 0
        left = f"right:50%;width:{part:.1f}%" if below else f"left:50%;width:{part:.1f}%"
        kind = ' class="surgery-less"' if below else ""
        bar = f'<div class="surgery-bar"><b style="left:50%"></b><i{kind} style="{left}"></i></div>'
        gain = "" if item.gain is None else number(item.gain)
        rows.append(f"<tr>{name}<td>{bar}</td><td>{escape(figure(item))}</td><td>{escape(gain)}</td></tr>")
    titles = ("step", "", f"blame, {blame.unit}", "log p regained")
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    return (
        f'<div class="surgery-ask">{STYLE}<p>{escape(heading(blame))}</p>'
        f"<table><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table><p>{escape(interaction(blame))}</p></div>"
    )


def heading(blame: Blame) -> str:
    """What is explained: where, what the original says there, and how large it is."""
    what = "KL" if blame.unit == "nats" else "drift of similarities"
    effect = f"{what} {number(blame.effect)}{' nats' if blame.unit == 'nats' else ''}"
    if blame.position is None:
        return f"{effect} in all"
    whose = "" if blame.of == "original" else " of the edited model's text"
    return f"Position {blame.position:,}{whose}, where the original says “{seen(blame.said)}”: {effect}"


def figure(item: StepBlame) -> str:
    """`+0.116 (57 %)`."""
    if item.blame is None:
        return ""
    sign = "+" if item.blame > 0 else ""
    share = "" if item.share is None else f" ({100 * item.share:.0f} %)".replace("-", "−")
    return f"{sign}{number(item.blame)}{share}"


def interaction(blame: Blame) -> str:
    """What no single step accounts for."""
    left = blame.interaction
    if left != left or abs(left) == float("inf"):
        return "One of the models gives what the other holds to be impossible: shares mean little here."
    if abs(left) <= 0.01 * abs(blame.effect):
        return "The blame of the steps adds up to the effect of all."
    total = number(blame.effect - left)
    return (
        f"The bars add up to {total}, the effect is {number(blame.effect)}: what steps do together is in "
        "several of them, or in none."
    )


def _most(blame: Blame) -> float:
    known = [abs(item.blame) for item in blame.steps if item.blame is not None]
    return max((value for value in known if value != float("inf")), default=0.0) or 1.0
