"""What the original and the edited model answer, as records: texts, classes, or neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

Side = Literal["original", "edited"]
"""Whose text it is that both models read."""


@dataclass(frozen=True)
class Token:
    """A token that one of the models wrote, and what both made of its place after the same text.

    `kl`: KL(original ‖ edited) of what may come here, in nats, before any temperature. `probabilities`: of
    this very token, by the original and by the edited model.
    """

    id: int
    text: str
    kl: float
    probabilities: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What all answers say: to what, on which state of the history, where, and in what time.

    `inputs` are the prompt as the models took it.
    """

    prompt: str
    state: int
    device: str
    seconds: float
    inputs: Mapping[str, Tensor] = field(repr=False, compare=False)
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        from surgery.show.prompting import answers_text

        return answers_text(self)

    def _repr_html_(self) -> str:
        from surgery.show.prompting import answers_html

        return answers_html(self)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; what has no end is None."""
        return {
            "prompt": self.prompt,
            "state": self.state,
            "device": self.device,
            "seconds": self.seconds,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, kw_only=True)
class TextAnswers(Answered):
    """The texts that both models wrote after one prompt.

    Each token's `kl` is measured on the text it stands in: both models read the prompt and what this side
    wrote before it. So the two columns agree up to the `divergence`, and each is right for its own after it.
    """

    original: tuple[Token, ...]
    edited: tuple[Token, ...]
    texts: tuple[str, str]
    temperature: float
    seed: int
    stopped: bool = False

    @property
    def divergence(self) -> int | None:
        """The first position at which the two differ, from 0; None where they are the same."""
        pairs = zip(self.original, self.edited, strict=False)
        first = next((place for place, (one, two) in enumerate(pairs) if one.id != two.id), None)
        shorter, longer = sorted((len(self.original), len(self.edited)))
        return first if first is not None or shorter == longer else shorter

    def tokens(self, of: Side) -> tuple[Token, ...]:
        """What this side wrote."""
        return self.original if of == "original" else self.edited

    def to_dict(self) -> dict[str, Any]:
        sides = {
            name: {"text": text, "tokens": [_token(item) for item in tokens]}
            for name, text, tokens in (
                ("original", self.texts[0], self.original),
                ("edited", self.texts[1], self.edited),
            )
        }
        said = {"temperature": self.temperature, "seed": self.seed, "stopped": self.stopped}
        return {"kind": "text", **super().to_dict(), **said, "divergence": self.divergence, **sides}


@dataclass(frozen=True)
class Choice:
    """A class: its probability and rank, from 1, by the original and by the edited model."""

    id: int
    name: str
    probabilities: tuple[float, float]
    ranks: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class ClassAnswers(Answered):
    """The likeliest classes by both models, in the order of the original's; `kl` in nats over all classes.

    `label` is the right one, where the data say it.
    """

    choices: tuple[Choice, ...]
    kl: float
    label: str | None = None

    def to_dict(self) -> dict[str, Any]:
        rows = [
            {
                "id": choice.id,
                "name": choice.name,
                "probabilities": list(choice.probabilities),
                "ranks": list(choice.ranks),
            }
            for choice in self.choices
        ]
        found = {"kl": finite(self.kl), "label": self.label, "choices": rows}
        return {"kind": "classes", **super().to_dict(), **found}


@dataclass(frozen=True)
class Neighbour:
    """An example of the data: its cosine similarity and rank, from 1, by the original and the edited."""

    example: int
    name: str
    similarities: tuple[float, float]
    ranks: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class NeighbourAnswers(Answered):
    """The examples nearest to the prompt by both models, in the order of the original's.

    `drift` is the mean change of the cosine similarity to each of the `compared` examples.
    """

    neighbours: tuple[Neighbour, ...]
    drift: float
    compared: int
    data: str

    def to_dict(self) -> dict[str, Any]:
        rows = [
            {
                "example": item.example,
                "name": item.name,
                "similarities": list(item.similarities),
                "ranks": list(item.ranks),
            }
            for item in self.neighbours
        ]
        found = {"drift": self.drift, "compared": self.compared, "data": self.data, "neighbours": rows}
        return {"kind": "neighbours", **super().to_dict(), **found}


Answers = TextAnswers | ClassAnswers | NeighbourAnswers


def finite(value: float) -> float | None:
    """The value for JSON, which knows no infinity."""
    return value if abs(value) != float("inf") and value == value else None


def _token(token: Token) -> dict[str, Any]:
    said = {"id": token.id, "text": token.text, "kl": finite(token.kl)}
    return {**said, "probabilities": list(token.probabilities)}
