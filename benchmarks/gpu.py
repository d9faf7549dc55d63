"""Evaluation on a CUDA device: a decoder of 7B shape in bf16, beside what the device's matrix products allow.

Promises: tokens per second of a full evaluation above half of the limit that the device's own bf16 products
set; after an edit at block k what `evaluation.py` promises; a sweep over all blocks. `--small` takes a
decoder that fits anywhere, to see that it runs.
"""

import argparse
import math
import sys
from typing import Any

import torch
from torch import nn

import surgery
from benchmarks.tables import Table, ms, ratio, save, side_by_side, text
from graph import extract, shell
from graph.costs import costs
from graph.rollup import rollup
from surgery.evaluate import Evaluator, Examples, token_windows

WINDOWS = 16


def decoder(*, small: bool) -> nn.Module:
    """A random Llama with the blocks of a 7B, on the CPU in bf16."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=2_000 if small else 32_000,
        hidden_size=256 if small else 4096,
        intermediate_size=688 if small else 11_008,
        num_hidden_layers=6 if small else 32,
        num_attention_heads=8 if small else 32,
        num_key_value_heads=8 if small else 32,
        max_position_embeddings=32 if small else 512,
        dtype=torch.bfloat16,
    )
    torch.manual_seed(0)
    made: nn.Module = LlamaForCausalLM._from_config(config).eval()
    return made


def windows(model: Any) -> Examples:
    """Random tokens, the same for every way."""
    generator = torch.Generator().manual_seed(1)
    return token_windows(
        torch.randint(
            model.config.vocab_size, (WINDOWS, model.config.max_position_embeddings), generator=generator
        )
    )


def product_macs_per_s(device: torch.device) -> float:
    """MACs per second of large bf16 matrix products on the device."""
    side = 8192 if device.type == "cuda" else 256
    one, two = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))

    def multiply() -> None:
        for _ in range(8):
            one @ two
        _wait(device)

    return 8 * side**3 / side_by_side({"product": multiply}, rounds=5)["product"]


def tables(device: torch.device, *, small: bool) -> list[Table]:
    """Throughput, edits along the depth, a sweep."""
    model: Any = decoder(small=small)
    examples = windows(model)
    taped = Evaluator(model, examples=examples, device=device, tasks=["perplexity"])
    full = Evaluator(model, examples=examples, device=device, tasks=["perplexity"], tape_bytes=0)
    for evaluator in (taped, full):
        evaluator.evaluate(model, math.inf)
    graph = extract(model, {"input_ids": examples.inputs["input_ids"][:1], "use_cache": False})
    factors = iter(range(2, 10_000))

    def again(evaluator: Evaluator, block: int) -> Any:
        made: Any = shell(model).model
        projection = made.model.layers[block].mlp.down_proj
        projection.weight = nn.Parameter(projection.weight.detach() * (1 + next(factors) / 100))
        return evaluator.evaluate(made, math.inf)

    return [
        _throughput(full, again, device, costs(graph).macs or 0),
        _depth(taped, full, again, graph),
        _sweep(model, examples, device),
    ]


def _throughput(full: Evaluator, again: Any, device: torch.device, macs: int) -> Table:
    limit = product_macs_per_s(device)
    seconds = side_by_side({"full": lambda: again(full, 0)}, rounds=3)["full"]
    tokens = full.examples.inputs["input_ids"].numel()
    most = limit * tokens / WINDOWS / macs
    rows = [
        ("bf16 products", "", f"{limit / 1e12:.1f} TMAC/s", f"{most:,.0f} tokens/s"),
        ("full evaluation", ms(seconds), "", f"{tokens / seconds:,.0f} tokens/s"),
        ("of the limit", "", "", ratio(tokens / seconds, most)),
    ]
    promise = "Above 0.5 of what the device's own matrix products allow."
    return Table("Throughput", promise, ("what", "median", "rate", "tokens"), tuple(rows))


def _depth(taped: Evaluator, full: Any, again: Any, graph: Any) -> Table:
    shares = rollup(graph)
    total, blocks = shares[""].macs, len(full.original.model.layers)
    block, head = shares["model.layers.0"].macs / total, shares["lm_head"].macs / total
    rows = []
    for number in (0, blocks // 2, blocks - 1):
        found = side_by_side(
            {"tape": lambda n=number: again(taped, n), "full": lambda n=number: again(full, n)}, rounds=3
        )
        share, taken = block * (blocks - number) + head, found["tape"] / found["full"]
        rows.append((f"block {number}", ms(found["full"]), ms(found["tape"]), f"{taken:.3f}", f"{share:.3f}"))
    header = ("edit at", "in full", "over the tape", "ratio", "MAC share")
    promise = "At most 1.15 × the MAC share from the edit on, + 5 %."
    return Table("Perplexity again after an edit", promise, header, tuple(rows))


def _sweep(model: nn.Module, examples: Examples, device: torch.device) -> Table:
    session = surgery.open(model)
    rows = []
    for exact in (False, True):
        found = session.sweep(
            "remove",
            "model.layers[*]",
            examples=examples,
            budget_s=math.inf,
            tasks=["perplexity"],
            device=str(device),
            exact=exact,
        )
        shared = sum(row.shared for row in found)
        rows.append(
            ("exact" if exact else "shared", ms(found.seconds), f"{shared} of {len(found)}", str(found.equal))
        )
    header = ("way", "seconds", "shared a pass", "bit-equal by the probe")
    return Table(
        f"Removing each of {len(found)} blocks", "Candidates in one pass and alone.", header, tuple(rows)
    )


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """`python -m benchmarks.gpu [--device cuda] [--small] [--save]`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--save", action="store_true", help="keep the tables in benchmarks/results")
    chosen = parser.parse_args()
    device = torch.device(chosen.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("benchmarks.gpu needs a CUDA device, or --device cpu --small")
    found = tables(device, small=chosen.small)
    print(text(found))
    if chosen.save:
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
        print(save(f"gpu-{name.lower().replace(' ', '-')}", found))


if __name__ == "__main__":
    main()
