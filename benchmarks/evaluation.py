"""What an evaluation costs beside the forwards that it cannot do without, and what the tape saves of them.

Promises: after an edit at block k at most 1.15 × the share of the MACs from there on, + 5 %, of an evaluation
in full, same figures; recording costs under 3 % of a forward of 50 ms or more; a sweep that removes each
block takes at most 1.2 × the share that it cannot do without of the loop of full evaluations; what is stopped
answers within 0.2 s.
"""

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import nn

import surgery
from benchmarks.tables import Table, ms, ratio, side_by_side
from graph import extract, shell
from graph.rollup import rollup
from surgery.evaluate import Evaluator, Examples, Stopped, demo_text, token_windows
from surgery.evaluate.bench import BATCH
from surgery.evaluate.placing import Placer
from surgery.evaluate.sweep import paths_of
from surgery.evaluate.tape import Tape

WINDOWS = 32
BLOCKS = 16
WIDTH = 320
TOKENS = 128
STOPPED_AFTER_S = (0.05, 0.2, 0.5, 0.9, 1.4)
CPU = torch.device("cpu")


def tables() -> list[Table]:
    """The demonstration decoder's evaluations; the tape and sweeps on random decoders of 16 blocks."""
    small, large = (decoder(vocabulary) for vocabulary in (512, 32_000))
    return [
        _forwards(),
        *(_after_an_edit(model) for model in (small, large)),
        _recording(small),
        _sweep(small),
        _stopping(small),
    ]


def decoder(vocabulary: int) -> nn.Module:
    """A random Llama of 16 blocks."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        intermediate_size=WIDTH * 8 // 3,
        num_hidden_layers=BLOCKS,
        num_attention_heads=5,
        num_key_value_heads=5,
        max_position_embeddings=TOKENS,
    )
    made: nn.Module = LlamaForCausalLM(config).eval()
    return made


def _windows(model: Any, count: int = 4 * BATCH) -> Examples:
    generator = torch.Generator().manual_seed(1)
    return token_windows(torch.randint(model.config.vocab_size, (count, TOKENS), generator=generator))


def _edited(model: nn.Module, block: int, factor: float) -> nn.Module:
    """A shell of the model whose block has one weight times `factor`."""
    made: Any = shell(model).model
    projection = made.model.layers[block].mlp.down_proj
    projection.weight = nn.Parameter(projection.weight.detach() * factor)
    edited: nn.Module = made
    return edited


def _macs(model: nn.Module) -> tuple[float, float]:
    """The MACs of one block and of all that comes after the blocks, as parts of the whole."""
    ids = torch.zeros(1, TOKENS, dtype=torch.int64)
    graph = extract(model, {"input_ids": ids, "use_cache": False})
    found = rollup(graph)
    total = found[""].macs or 1
    return (found["model.layers.0"].macs or 0) / total, (found["lm_head"].macs or 0) / total


def _after_an_edit(model: Any) -> Table:
    examples = _windows(model)
    block, head = _macs(model)
    rows = []
    for number in (0, 5, 10, 15):
        taped = Evaluator(model, examples=examples, device="cpu", tasks=["perplexity"])
        full = Evaluator(model, examples=examples, device="cpu", tasks=["perplexity"], tape_bytes=0)
        for evaluator in (taped, full):
            evaluator.evaluate(model, math.inf)
        factors = iter(range(2, 1000))
        equal = []

        def both(evaluator: Evaluator, number: int = number, factors: Any = factors) -> Any:
            return evaluator.evaluate(_edited(model, number, 1 + next(factors) / 100), math.inf)

        one, two = (evaluator.evaluate(_edited(model, number, 1.5), math.inf) for evaluator in (taped, full))
        equal.append(one.results == two.results)
        found = side_by_side({"tape": lambda e=taped: both(e), "full": lambda e=full: both(e)}, rounds=3)
        share = block * (BLOCKS - number) + head
        taken = found["tape"] / found["full"]
        bound = 1.15 * share + 0.05
        rows.append(
            (
                f"block {number}",
                ms(found["full"]),
                ms(found["tape"]),
                f"{taken:.3f}",
                f"{share:.3f}",
                f"{bound:.3f}",
                "yes" if taken <= bound else "no",
                "equal" if all(equal) else "not equal",
            )
        )
    header = ("edit at", "in full", "over the tape", "ratio", "MAC share", "at most", "kept", "figures")
    title = f"Perplexity again after an edit, {BLOCKS} blocks, vocabulary {model.config.vocab_size:,}"
    return Table(
        title, "At most 1.15 × the MAC share from the edit on, + 5 %; the same bits.", header, tuple(rows)
    )


def _recording(model: Any) -> Table:
    placed = [Placer(CPU).place(model) for _ in range(2)]
    tape = Tape(CPU, 2_000_000_000)
    tape.begin()
    tape.thread(placed[1])
    ids = _windows(model).inputs["input_ids"]
    places = iter(range(10_000))

    def recorded() -> None:
        place = next(places)
        with torch.no_grad(), tape.over((place, place + 1)):
            placed[1](input_ids=ids, use_cache=False)
        if place % 8 == 7:
            tape.forget()

    def bare() -> None:
        with torch.no_grad():
            placed[0](input_ids=ids, use_cache=False)

    found = side_by_side({"forward": bare, "recorded": recorded}, rounds=21)
    rows = [
        ("forward", ms(found["forward"]), ""),
        ("recorded", ms(found["recorded"]), f"{100 * (found['recorded'] / found['forward'] - 1):+.1f} %"),
    ]
    return Table(
        "Recording", "Under 3 % of a forward of 50 ms or more.", ("what", "median", "more"), tuple(rows)
    )


def _sweep(model: Any) -> Table:
    session = surgery.open(model)
    examples = _windows(model)
    block, head = _macs(model)
    full = Evaluator(model, examples=examples, device="cpu", tasks=["perplexity"], tape_bytes=0)
    full.evaluate(model, math.inf)

    def loop() -> Any:
        figures = []
        for number in range(BLOCKS):
            edited: Any = shell(model).model
            del edited.model.layers[number]
            edited.config.num_hidden_layers = BLOCKS - 1
            figures.append(full.evaluate(edited, math.inf).results[0].after)
        return figures

    def swept(exact: bool) -> Any:
        found = session.sweep(
            "remove",
            "model.layers[*]",
            examples=examples,
            budget_s=math.inf,
            tasks=["perplexity"],
            device="cpu",
            exact=exact,
        )
        costs = {paths_of(row.step): row.figures[0].after for row in found}
        return [costs[(f"model.layers.{number}",)] for number in range(BLOCKS)]

    expected = loop()
    equal = [swept(exact) == expected for exact in (False, True)]
    found = side_by_side(
        {"loop": loop, "sweep": lambda: swept(False), "sweep, exact": lambda: swept(True)}, rounds=3
    )
    whole = BLOCKS * (block * (BLOCKS - 1) + head)
    needed = block * BLOCKS + head + sum(block * (BLOCKS - 1 - number) + head for number in range(BLOCKS))
    floor = needed / whole
    rows = [("loop of full evaluations", ms(found["loop"]), "", "", "")]
    for name, same in zip(("sweep", "sweep, exact"), equal, strict=True):
        taken = found[name] / found["loop"]
        rows.append(
            (name, ms(found[name]), f"{taken:.3f}", f"{1.2 * floor:.3f}", "equal" if same else "not equal")
        )
    header = ("way", "median", "ratio", "at most", "figures")
    title = f"Removing each of {BLOCKS} blocks"
    promise = f"At most 1.2 × the MAC share of prefix, suffixes and heads, {floor:.3f}, of the loop."
    return Table(title, promise, header, tuple(rows))


def _stopping(model: Any) -> Table:
    """How long what runs goes on after it was asked to stop, at several moments of it."""
    session, examples = surgery.open(model), _windows(model)
    session.remove("model.layers[3]")
    given: Any = {"budget_s": math.inf, "device": "cpu", "examples": examples}
    ways: dict[str, Callable[[threading.Event], Any]] = {
        "an evaluation": lambda stop: session.evaluate(stop=stop, tasks=["perplexity"], **given),
        "a sweep": lambda stop: session.sweep("remove", "model.layers[*]", stop=stop, **given),
        "a sweep, exact": lambda stop: session.sweep(
            "remove", "model.layers[*]", stop=stop, exact=True, **given
        ),
        "speed": lambda stop: session.speed(60.0, "cpu", stop=stop),
    }
    rows = []
    for name, way in ways.items():
        taken = [_answer_s(way, after_s) for after_s in STOPPED_AFTER_S]
        known = [seconds for seconds in taken if seconds is not None]
        worst = f"stop answers within {ms(max(known))}" if known else "it ended before"
        rows.append((name, worst, f"{len(known)} of {len(taken)}"))
    return Table("Stopping", "At most 200 ms.", ("what runs", "longest", "stopped"), tuple(rows))


def _answer_s(way: Callable[[threading.Event], Any], after_s: float) -> float | None:
    """Seconds from asking to the answer; None where it had ended by itself."""
    stop, asked = threading.Event(), list[float]()

    def ask() -> None:
        asked.append(time.perf_counter())
        stop.set()

    timer = threading.Timer(after_s, ask)
    timer.start()
    with suppress(Stopped):
        way(stop)
    timer.cancel()
    timer.join()
    return time.perf_counter() - asked[0] if asked else None


def _forwards() -> Table:
    """First and second evaluation of an edited demonstration decoder against its bare forwards."""
    session = surgery.open("demo")
    session.remove("model.layers[3]")
    original, edited = session.opened.model, session.model
    windows = demo_text(session.opened.tokenizer).inputs["input_ids"][:WINDOWS]
    examples = token_windows(windows)
    kept = Evaluator(original, examples=examples, device="cpu", tape_bytes=0)

    def forwards(*models: Any) -> None:
        with torch.no_grad():
            for model in models:
                for batch in windows.split(BATCH):
                    model(batch, use_cache=False)

    found = side_by_side(
        {
            "two bare forwards": lambda: forwards(original, edited),
            "first evaluation": lambda: Evaluator(
                original, examples=examples, device="cpu", tape_bytes=0
            ).evaluate(edited, budget_s=math.inf),
            "further evaluation": lambda: kept.evaluate(edited, budget_s=math.inf),
        },
        rounds=3,
    )
    against = {"first evaluation": "two bare forwards", "further evaluation": "two bare forwards"}
    rows = []
    for name, seconds in found.items():
        base = against.get(name)
        rows.append((name, ms(seconds), f"{ratio(seconds, found[base])} {base}" if base else ""))
    promise = "Without a tape: the original's sums are kept, but its logits are compared with every time."
    title = f"Evaluation of {WINDOWS} windows of {windows.shape[1]} tokens"
    return Table(title, promise, ("what", "median", "ratio"), tuple(rows))
