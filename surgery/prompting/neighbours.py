"""The examples of the data that lie nearest to one, by the embeddings of two models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from surgery.errors import SurgeryError
from surgery.evaluate.answer import Answer, Wants
from surgery.evaluate.data.examples import Examples
from surgery.evaluate.running import Runner
from surgery.prompting.answers import Neighbour, NeighbourAnswers
from surgery.prompting.lettering import Lettering
from surgery.prompting.prompt import example_name

MOST = 256
"""Examples that are compared: the first so many of the data's order."""
_BATCH = 16


def neighbour_answers(
    runners: tuple[Runner, Runner],
    answers: tuple[Answer, Answer],
    data: Examples,
    lettering: Lettering,
    top: int,
    progress: Callable[[float, str], None],
    check: Callable[[], None],
    timed: Callable[[], dict[str, Any]],
) -> NeighbourAnswers:
    """The `top` nearest of each model, in the order of the original's."""
    count = min(MOST, len(data))
    found = []
    for number, (runner, answer) in enumerate(zip(runners, answers, strict=True)):

        def told(done: int, before: float = number / 2) -> None:
            check()
            progress(before + done / count / 2, f"example {done:,}")

        found.append(similarities(runner, answer, data, told))
    one, two = found
    ranks = [item.argsort(descending=True, stable=True).argsort() + 1 for item in found]
    shown = one.argsort(descending=True, stable=True)[:top].tolist()
    shown += [item for item in two.argsort(descending=True, stable=True)[:top].tolist() if item not in shown]
    order = data.order[:count].tolist()
    neighbours = tuple(
        Neighbour(
            order[item],
            example_name(data, order[item], lettering),
            (float(one[item]), float(two[item])),
            (int(ranks[0][item]), int(ranks[1][item])),
        )
        for item in shown
    )
    return NeighbourAnswers(
        **timed(), neighbours=neighbours, drift=drift(one, two), compared=count, data=data.label
    )


def similarities(
    runner: Runner, answer: Answer, data: Examples, told: Callable[[int], None] = lambda done: None
) -> Tensor:
    """The cosine of the prompt's embedding and each example's, (examples,) float64, in the data's order."""
    mine = _embedding(runner, answer)
    rows = []
    for start in range(0, min(MOST, len(data)), _BATCH):
        stop = min(start + _BATCH, MOST, len(data))
        batch = data.batch(start, stop).to(runner.device)
        rows.append(_embedding(runner, runner.answer(batch, None, Wants(embedding=True))))
        told(stop)
    return torch.nn.functional.cosine_similarity(mine, torch.cat(rows), dim=-1)


def drift(one: Tensor, two: Tensor) -> float:
    """The mean change of the similarities."""
    return float((one - two).abs().mean())


def _embedding(runner: Runner, answer: Answer) -> Tensor:
    """(examples, width) float64 on the CPU."""
    if answer.embedding is None:
        raise SurgeryError(f"{runner.whose} gives no embedding of these data")
    found = answer.embedding.detach().to("cpu", torch.float64)
    if not bool(found.isfinite().all()):
        raise SurgeryError(f"{runner.whose} gives embeddings that are not numbers")
    return found
