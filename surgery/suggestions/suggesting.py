"""The ranked list: what was measured, by what it costs for what it saves; then what advisers propose."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from surgery.budget.candidates import Candidate, candidates, now
from surgery.budget.goal import FIGURES, NOUNS, Of, refuse_unknown, saved
from surgery.errors import SurgeryError
from surgery.suggestions.advised import Advised, Voice, proposed, voices
from surgery.suggestions.suggestion import Suggestion, Suggestions
from surgery.suggestions.wording import effect, paths_in, reasons, short_names, words

if TYPE_CHECKING:
    from surgery.operation import Operation
    from surgery.session import Session

PROPOSED = 3
"""Of each adviser's ranking, so many are suggested that nobody measured."""


def suggestions(
    session: Session, count: int, of: str = "parameters", advice: Collection[Advised] = ()
) -> Suggestions:
    """Suggestions for the current state, `count` at the most. SurgeryError where nothing is known of it."""
    kind = refuse_unknown(of)
    state = session.history.current
    sweeps = [report for report in state.sweeps.values() if report.measured]
    if not sweeps and not advice:
        raise SurgeryError(
            "nothing was measured of this state that an edit could be suggested from",
            path=f"state {state.id}",
            hint='`s.sweep("remove", "model.layers[*]")`',
        )
    ranked = candidates(session, sweeps, kind)
    told = voices(advice)
    found = [_measured(session, ranked, place, kind, told) for place in range(min(count, len(ranked)))]
    known = {_about(item.step) for item in ranked}
    extra = [
        made
        for advised in advice
        for step, voice in proposed(advised, PROPOSED)
        if (made := _proposed(session, step, voice, kind, known)) is not None
    ]
    note = f"ranked by what they cost for the {NOUNS[kind]} they save"
    if sweeps:
        note += f"; {sweeps[-1].by} on {sweeps[-1].data}"
    listed = [*found, *extra][: max(count, 0)]
    return Suggestions(_told_apart(listed), note, len(ranked) + len(extra) - len(listed))


def _measured(
    session: Session,
    ranked: list[Candidate],
    place: int,
    of: Of,
    told: dict[tuple[str, frozenset[str]], list[Voice]],
) -> Suggestion:
    item, before = ranked[place], now(session, of)
    why = reasons(item, place + 1, len(ranked), NOUNS[of])
    why += [f"Advisers: {voice} ({voice.advised.source})." for voice in told.get(_about(item.step), [])]
    less = saved(before, before - item.saved, of)
    return Suggestion(session, session.history.current, item.step, "", less, effect(item.figure), tuple(why))


def _proposed(
    session: Session, step: Operation, voice: Voice, of: Of, known: set[tuple[str, frozenset[str]]]
) -> Suggestion | None:
    """What only an adviser speaks for, with what a preview says it saves; None for what is refused."""
    try:
        shown = session.preview(step)
    except SurgeryError:
        return None
    made, count = shown.steps[0], FIGURES[of]
    if _about(made) in known:
        return None
    known.add(_about(made))
    advised = voice.advised
    why = (
        f"Proposed by {advised.called}: {advised.text(voice.value)}, rank {voice.rank} of {voice.of}.",
        f"Source: {advised.source}.",
        f"On {advised.grounds}. What it costs was not measured: `s.sweep({made.name!r}, …)` does.",
    )
    less = saved(count(shown.before), count(shown.after), of)
    costs = f"not measured; {advised.called} {advised.text(voice.value)}"
    return Suggestion(session, session.history.current, made, "", less, costs, why, measured=False)


def _told_apart(found: list[Suggestion]) -> tuple[Suggestion, ...]:
    """With words, by names that tell all modules of the list apart."""
    names = short_names(path for item in found for path in paths_in(item.step))
    return tuple(replace(item, words=words(item.step, names)) for item in found)


def _about(step: Operation) -> tuple[str, frozenset[str]]:
    return step.name, frozenset(paths_in(step))
