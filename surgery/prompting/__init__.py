"""The prompt bench: one prompt, two models side by side, and which step is to blame for what differs."""

from surgery.prompting.answers import (
    Answers,
    Choice,
    ClassAnswers,
    Neighbour,
    NeighbourAnswers,
    Side,
    TextAnswers,
    Token,
)
from surgery.prompting.blame import Blame, StepBlame

__all__ = [
    "Answers",
    "Blame",
    "Choice",
    "ClassAnswers",
    "Neighbour",
    "NeighbourAnswers",
    "Side",
    "StepBlame",
    "TextAnswers",
    "Token",
]
