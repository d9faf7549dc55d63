"""The likeliest classes of one example by two models."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from surgery.evaluate.answer import Answer
from surgery.evaluate.data.vocabulary import class_names
from surgery.evaluate.subject import shape_refusal
from surgery.prompting.answers import Choice, ClassAnswers
from surgery.prompting.prompt import Prompt
from surgery.prompting.reading import divergence_nats, log_probabilities


def class_answers(
    model: nn.Module, prompt: Prompt, original: Answer, edited: Answer, top: int, said: dict[str, Any]
) -> ClassAnswers:
    """The `top` classes of each, in the order of the original's."""
    assert original.shape is not None
    if edited.shape is None or edited.shape != original.shape:
        raise shape_refusal("the edited model", edited.shape, original.shape)
    one = said_of(original, "the model before surgery")
    two = said_of(edited, "the edited model")
    names = class_names(model) or {}
    ranks = [_ranks(found) for found in (one, two)]
    shown = [*one.argsort(descending=True, stable=True)[:top].tolist()]
    shown += [item for item in two.argsort(descending=True, stable=True)[:top].tolist() if item not in shown]
    choices = tuple(
        Choice(
            item,
            names.get(item, str(item)),
            (float(one[item].exp()), float(two[item].exp())),
            (int(ranks[0][item]), int(ranks[1][item])),
        )
        for item in shown
    )
    label = None if prompt.label is None else names.get(prompt.label, str(prompt.label))
    return ClassAnswers(**said, choices=choices, kl=divergence_nats(one, two), label=label)


def said_of(answer: Answer, whose: str) -> Tensor:
    """Logarithms of the probabilities of all classes, (classes,)."""
    return log_probabilities(answer.at(torch.zeros(1, dtype=torch.int64))[0, 0], whose)


def _ranks(found: Tensor) -> Tensor:
    """The rank of each, from 1 for the largest, (n,)."""
    return found.argsort(descending=True, stable=True).argsort() + 1
