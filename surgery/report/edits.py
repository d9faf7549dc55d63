"""The edits: in words with what each took away, as Python, and as the script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graph.costs import costs
from surgery.evaluate.wording import less_is_better, signed
from surgery.history import State
from surgery.picture.text import safe
from surgery.report.markup import folded, note, section
from surgery.script import Script, python_of
from surgery.show.states import words

if TYPE_CHECKING:
    from surgery.session import Session

MOST_LETTERS = 400_000
"""Of a script's JSON; longer ones are with the model, and a reader of the page has no use for them."""
MOST_CALL = 400
"""Letters of a call in the list; the whole of it stands below."""


def edits(session: Session, script: Script) -> str:
    """The steps from the base to the current state; empty for a model that was not edited."""
    if not script.steps:
        return ""
    states = session.history.current.lineage()[1:]
    data = script.to_json()
    whole = len(data) <= MOST_LETTERS
    return section(
        "Edits",
        f"<ol>{''.join(map(_edit, states))}</ol>",
        folded("As Python", script.to_python(), is_open=True),
        folded("As a script", data) if whole else note(f"As a script it has {len(data):,} letters."),
    )


def _edit(state: State) -> str:
    assert state.step is not None
    call = python_of(state.step)
    call = call if len(call) <= MOST_CALL else f"{call[: MOST_CALL - 1]}…"
    return (
        f"<li><div><b>{safe(words(state.step))}</b><code>{safe(call)}</code></div>"
        f"<aside>{_change(state)}</aside></li>"
    )


def _change(state: State) -> str:
    """What the step did to the number of parameters, where both states were traced."""
    before = state.parent.graph if state.parent else None
    if before is None or state.graph is None:
        return ""
    was, now = costs(before).parameters, costs(state.graph).parameters
    if was == now:
        return '<span class="none">as many parameters</span>'
    return (
        f'<span class="{less_is_better(was, now)}">{safe(signed(now - was))}</span><small>parameters</small>'
    )
