"""`python -m benchmarks.harness.run`: answers `{"rounds": N}` with figures and seconds of both.

Ours and lm-evaluation-harness run in one process, in turn, on one thread.
"""

import json
import math
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from torch import Tensor, nn

import surgery
from benchmarks.harness import data
from benchmarks.tables import side_by_side
from surgery.demo import DECODER
from surgery.evaluate import Evaluator
from surgery.evaluate.bench import BATCH
from surgery.evaluate.data.examples import Batch

OPENING = ord("\n")
"""What the first token of a document is predicted from; the demonstration's tokens are bytes."""
MODELS = ("demo", "demo, a block removed")
Found = dict[str, tuple[float, float]]
"""Figures by name, of each of the MODELS."""


class Both:
    """Evaluates the demonstration decoder, and the same without a block, from their folders."""

    def __init__(self, folder: Path) -> None:
        session = surgery.open("demo")
        session.remove("model.layers[3]")
        session.save(folder / "edited")
        self.folders = (Path(DECODER), folder / "edited")
        self.text, self.choices = data.written(folder)
        self.manager = TaskManager(include_defaults=False)
        texts = data.documents()
        self.bytes = sum(len(text.encode()) for text in texts)
        self.words = sum(len(re.split(r"\s+", text)) for text in texts)

    # Ours -----------------------------------------------------------------------------------

    def text_of_ours(self) -> Found:
        """Our perplexity, which is per token, and what follows for words."""
        (found,) = self._reported(lambda tokenizer: data.text_examples(tokenizer, OPENING), ["perplexity"])
        per_word = self.bytes / self.words  # a token is a byte
        return {"byte perplexity": found, "word perplexity": (found[0] ** per_word, found[1] ** per_word)}

    def choices_of_ours(self) -> Found:
        """Functions given as tasks: accuracy, the same per character, the right choice's log-likelihood."""
        asked = Choices()
        names = ("acc", "acc_norm", "log-likelihood")
        found = self._reported(
            data.choice_examples, [asked.likeliest, asked.likeliest_per_character, asked.right]
        )
        return dict(zip(names, found, strict=True))

    def _reported(self, examples: Callable[[Any], Any], tasks: list[Any]) -> list[tuple[float, float]]:
        opened = [surgery.open(folder).opened for folder in self.folders]
        evaluator = Evaluator(opened[0].model, examples=examples(opened[0].tokenizer), device="cpu")
        report = evaluator.evaluate(opened[1].model, math.inf, tasks=tasks)
        return [(figure.before or 0.0, figure.after) for figure in report.results]

    # Theirs ---------------------------------------------------------------------------------

    def text_of_theirs(self) -> Found:
        """Rolling log-likelihood of each document."""
        task = {
            "task": "surgery_text",
            "output_type": "loglikelihood_rolling",
            "doc_to_text": "",
            "doc_to_target": "{{text}}",
            "metric_list": [{"metric": "byte_perplexity"}, {"metric": "word_perplexity"}],
        }
        results = [self._evaluated(folder, task, self.text) for folder in self.folders]
        return {
            name.replace("_", " "): _pair(
                result["results"]["surgery_text"][f"{name},none"] for result in results
            )
            for name in ("byte_perplexity", "word_perplexity")
        }

    def choices_of_theirs(self) -> Found:
        """Multiple choice by log-likelihood."""
        task = {
            "task": "surgery_choices",
            "output_type": "multiple_choice",
            "doc_to_text": "{{context}}",
            "doc_to_choice": "{{choices}}",
            "doc_to_target": "label",
            "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
        }
        results = [self._evaluated(folder, task, self.choices) for folder in self.folders]
        found = {
            name: _pair(result["results"]["surgery_choices"][f"{name},none"] for result in results)
            for name in ("acc", "acc_norm")
        }
        return found | {"log-likelihood": _pair(map(_right, results))}

    def _evaluated(self, folder: Path, task: dict[str, Any], file: Path) -> Any:
        kept = {"data_files": {"test": str(file)}, "cache_dir": str(file.parent / "cache")}
        local = {"dataset_path": "json", "dataset_kwargs": kept}
        model = HFLM(
            pretrained=str(folder),
            device="cpu",
            dtype="float32",
            batch_size=BATCH,
            max_length=data.WINDOW - 1,
            prefix_token_id=OPENING,
        )
        return simple_evaluate(
            model,
            tasks=[task | local | {"test_split": "test"}],
            task_manager=self.manager,
            bootstrap_iters=0,
        )


class Choices:
    """Functions of a model and a batch of questions; what a model says to a batch is computed once."""

    def __init__(self) -> None:
        self._batch: Batch | None = None
        self._known: dict[int, Tensor] = {}

    def likeliest(self, model: nn.Module, batch: Batch) -> Tensor:
        """Whether the right choice is the likeliest."""
        return (self._nats(model, batch).argmax(1) == batch.labels).double()

    def likeliest_per_character(self, model: nn.Module, batch: Batch) -> Tensor:
        """The same once each is divided by its length; the space before it is not of it."""
        assert batch.counted is not None
        characters = batch.counted.reshape(len(batch), data.CHOICES, -1).sum(2) - 1
        return ((self._nats(model, batch) / characters).argmax(1) == batch.labels).double()

    def right(self, model: nn.Module, batch: Batch) -> Tensor:
        """The log-likelihood of the right choice in nats."""
        assert batch.labels is not None
        return self._nats(model, batch).gather(1, batch.labels.unsqueeze(1)).squeeze(1)

    def _nats(self, model: nn.Module, batch: Batch) -> Tensor:
        if batch is not self._batch:
            self._batch, self._known = batch, {}
        if id(model) not in self._known:
            self._known[id(model)] = log_likelihoods(model, batch)
        return self._known[id(model)]


def log_likelihoods(model: nn.Module, batch: Batch) -> Tensor:
    """The log-likelihood of each choice, (questions, choices), in nats."""
    ids, real, counted = batch.ids, batch.real, batch.counted
    assert ids is not None and real is not None and counted is not None
    rows = ids.reshape(len(ids) * data.CHOICES, -1)
    longest = int(real.reshape(rows.shape).sum(1).max())
    rows, counts = rows[:, :longest], counted.reshape(rows.shape)[:, 1:longest]
    logits = model(rows, use_cache=False).logits[:, :-1].float()  # padding is behind the text
    nats = logits.log_softmax(-1).gather(-1, rows[:, 1:, None]).squeeze(-1)
    return (nats.double() * counts).sum(1).reshape(len(ids), data.CHOICES)


def _right(result: Any) -> float:
    """The mean log-likelihood of the right choices among the harness's samples."""
    samples = result["samples"]["surgery_choices"]
    return sum(float(each["filtered_resps"][each["target"]][0]) for each in samples) / len(samples)


def _pair(values: Any) -> tuple[float, float]:
    one, two = values
    return float(one), float(two)


def measured(rounds: int) -> dict[str, Any]:
    """Figures of both by model, and the median seconds of each whole evaluation."""
    with tempfile.TemporaryDirectory() as folder:
        both = Both(Path(folder))
        last: dict[str, Found] = {}

        def kept(name: str, way: Callable[[], Found]) -> Callable[[], None]:
            return lambda: last.__setitem__(name, way())

        seconds = side_by_side(
            {
                "text, ours": kept("text, ours", both.text_of_ours),
                "text, theirs": kept("text, theirs", both.text_of_theirs),
                "choices, ours": kept("choices, ours", both.choices_of_ours),
                "choices, theirs": kept("choices, theirs", both.choices_of_theirs),
            },
            rounds=rounds,
        )
    ours, theirs = (last[f"text, {whose}"] | last[f"choices, {whose}"] for whose in ("ours", "theirs"))
    figures = [
        {"model": model, "figure": name, "ours": ours[name][place], "theirs": theirs[name][place]}
        for place, model in enumerate(MODELS)
        for name in ours
    ]
    return {"figures": figures, "seconds": seconds}


def main() -> None:
    """Answers until there are no more requests."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the harness prints is no answer
    torch.set_num_threads(1)
    for line in sys.stdin:
        try:
            said = measured(**json.loads(line))
        except Exception as error:
            said = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
