"""Held-out text as lm-evaluation-harness and as we take it: documents, and questions with four answers."""

import json
import random
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from surgery.demo.text import topics
from surgery.evaluate import Examples, token_windows

WINDOW = 256
QUESTIONS, CHOICES = 96, 4
_LEAST, _MOST = 60, 160
"""Characters of a sentence that makes a question."""


@dataclass(frozen=True)
class Question:
    """A beginning, four endings, and which of them is the sentence's own."""

    context: str
    choices: tuple[str, ...]
    label: int


def documents() -> tuple[str, ...]:
    """The topics of the bundled corpus that no demonstration model was trained on."""
    return topics("held-out")


def questions() -> list[Question]:
    """Sentences of the corpus cut in two, with wrong endings beside their own; the same every time."""
    found = [
        words
        for text in documents()
        for sentence in re.split(r"(?<=[.:])\s+|\n\n+", text)
        if _LEAST <= len(" ".join(words := sentence.split())) <= _MOST
        and len(words) > 7
        and sentence.isascii()  # so that a character is a byte, which is a token of the demonstration
    ]
    halves = [(" ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])) for words in found]
    drawing = random.Random(0)
    drawing.shuffle(halves)
    made = []
    for number, (context, ending) in enumerate(halves[:QUESTIONS]):
        others = sorted({other for place, (_, other) in enumerate(halves) if place != number} - {ending})
        choices = [drawing.choice(others)]
        while len(choices) < CHOICES - 1:
            words = ending.split()
            drawing.shuffle(words)
            if (other := " ".join(words)) not in (ending, *choices):
                choices.append(other)
        label = drawing.randrange(CHOICES)
        choices.insert(label, ending)
        made.append(Question(context, tuple(choices), label))
    return made


def written(folder: Path) -> tuple[Path, Path]:
    """The documents and the questions as lines of JSON, which `datasets` reads."""
    text, choices = folder / "text.jsonl", folder / "choices.jsonl"
    text.write_text("".join(json.dumps({"text": each}) + "\n" for each in documents()), encoding="utf-8")
    choices.write_text("".join(json.dumps(asdict(each)) + "\n" for each in questions()), encoding="utf-8")
    return text, choices


def text_examples(tokenizer: Any, opening: int) -> Examples:
    """Every token of every document once: windows that overlap by a token, the last one full."""
    rows: list[list[int]] = []
    fresh: list[int] = []
    whose: list[int] = []
    for number, text in enumerate(documents()):
        tokens = [opening, *tokenizer(text)["input_ids"]]
        done = 1
        while done < len(tokens):
            stop = min(done + WINDOW - 1, len(tokens))
            rows.append(tokens[max(0, stop - WINDOW) : stop])
            fresh.append(stop - done)
            whose.append(number)
            done = stop
    ids, mask, counted = _laid(rows, fresh, WINDOW)
    return token_windows(
        ids, mask, counted=counted, documents=torch.tensor(whose), name="Python's manual, held out"
    )


def choice_examples(tokenizer: Any) -> Examples:
    """A window per question: its four choices side by side, each behind the question, padded alike.

    `counted` says which tokens are a choice's own. A model runs on them apart: see `benchmarks.harness.run`.
    """
    asked = questions()
    rows: list[list[int]] = []
    fresh: list[int] = []
    for each in asked:
        context = tokenizer(each.context)["input_ids"]
        for choice in each.choices:
            whole = tokenizer(f"{each.context} {choice}")["input_ids"]
            rows.append(whole)
            fresh.append(len(whole) - len(context))
    width = max(map(len, rows))
    tensors = (found.reshape(len(asked), CHOICES * width) for found in _laid(rows, fresh, width))
    ids, mask, counted = tensors
    labels = torch.tensor([each.label for each in asked])
    inputs = {"input_ids": ids, "attention_mask": mask}
    return Examples("questions of the manual", True, inputs, labels, counted)


def _laid(rows: Sequence[Sequence[int]], fresh: Sequence[int], width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, mask and what counts, (rows, width): the last `fresh` tokens of each row."""
    sizes, places = torch.tensor([len(row) for row in rows]).unsqueeze(1), torch.arange(width)
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
    real = places < sizes
    return ids, real.long(), real & (places >= sizes - torch.tensor(fresh).unsqueeze(1))
