"""Answers and blame as the prompt bench shows them: plain JSON, with every token's text made visible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graph.export.text import shortened, visible
from surgery.prompting import Answers, Blame, ClassAnswers, NeighbourAnswers, TextAnswers, Token
from surgery.prompting.levels import LEGEND, level, seen
from surgery.show.blame import figure, heading, interaction
from surgery.show.prompting import divergence_said, moved, nats, number

TITLES = {"original": "Original", "edited": "Edited"}


def answers_state(answers: Answers) -> dict[str, Any]:
    """What was said, as far as the prompt state of protocol.ts goes."""
    shown: dict[str, Any] = {
        "asked": visible(answers.prompt),
        "columns": [],
        "divergence": None,
        "rows": [],
        "rows_title": "",
        "legend": list(LEGEND),
        "notes": [visible(note) for note in answers.notes],
    }
    if isinstance(answers, TextAnswers):
        shown["columns"] = _columns({"original": answers.original, "edited": answers.edited})
        shown |= {"divergence": answers.divergence, "sentence": divergence_said(answers)}
    elif isinstance(answers, ClassAnswers):
        right = "" if answers.label is None else f" Right is {visible(answers.label)}."
        shown |= {"rows": _classes(answers), "rows_title": f"Classes of {visible(answers.prompt)}"}
        shown["sentence"] = f"KL(original ‖ edited) {nats(answers.kl)}.{right}"
    elif isinstance(answers, NeighbourAnswers):
        shown |= {"rows": _neighbours(answers), "rows_title": "Nearest of the data, by cosine"}
        shown["sentence"] = (
            f"Similarities to {answers.compared:,} examples of {visible(answers.data)} moved by "
            f"{answers.drift:.4f} on average."
        )
    return shown


def live_state(asked: str, tokens: Mapping[str, Sequence[Token]]) -> dict[str, Any]:
    """What is written so far."""
    pairs = zip(tokens["original"], tokens["edited"], strict=False)
    return {
        "asked": visible(asked),
        "columns": _columns(tokens) if any(tokens.values()) else [],
        "divergence": next((at for at, (one, two) in enumerate(pairs) if one.id != two.id), None),
        "rows": [],
        "legend": list(LEGEND),
        "sentence": None,
        "notes": [],
    }


def blame_state(blame: Blame) -> dict[str, Any]:
    """The bars, each as its part of the longest."""
    known = [abs(step.blame) for step in blame.steps if step.blame is not None]
    most = max((value for value in known if value != float("inf")), default=0.0) or 1.0
    return {
        "title": heading(blame),
        "sentence": interaction(blame),
        "steps": [
            {
                "number": step.number,
                "words": visible(step.words),
                "part": max(-1.0, min(1.0, (step.blame or 0.0) / most)),
                "figure": figure(step),
                "gain": "" if step.gain is None else f"{'+' if step.gain > 0 else ''}{number(step.gain)}",
                "refused": None if step.refused is None else visible(step.refused),
            }
            for step in blame.steps
        ],
    }


def _columns(tokens: Mapping[str, Sequence[Token]]) -> list[dict[str, Any]]:
    return [
        {
            "side": side,
            "title": title,
            "tokens": [_token(place, token) for place, token in enumerate(tokens[side])],
        }
        for side, title in TITLES.items()
    ]


def _token(place: int, token: Token) -> dict[str, Any]:
    before, after = (f"{100 * value:.1f} %" for value in token.probabilities)
    text = seen(token.text)
    return {
        "text": text,
        "level": level(token.kl),
        "tip": f"position {place}, “{text}”: KL {nats(token.kl)}; original {before}, edited {after}",
        "breaks": token.text.endswith("\n"),
    }


def _classes(answers: ClassAnswers) -> list[dict[str, Any]]:
    return [
        {
            "name": visible(choice.name),
            "before": f"{100 * choice.probabilities[0]:.1f} %",
            "after": f"{100 * choice.probabilities[1]:.1f} %",
            "from": choice.probabilities[0],
            "to": choice.probabilities[1],
            "rank": moved(choice.ranks),
        }
        for choice in answers.choices
    ]


def _neighbours(answers: NeighbourAnswers) -> list[dict[str, Any]]:
    return [
        {
            "name": shortened(visible(item.name), 90),
            "before": f"{item.similarities[0]:.3f}".replace("-", "−"),
            "after": f"{item.similarities[1]:.3f}".replace("-", "−"),
            "from": max(0.0, item.similarities[0]),
            "to": max(0.0, item.similarities[1]),
            "rank": moved(item.ranks),
        }
        for item in answers.neighbours
    ]
