"""Extraction beside torchview, torchvista and torch.export, on the same models in the same run.

    python -m benchmarks.graph [--peers PYTHON] [--vision PYTHON] [--only NAME,...]

All tools run under the peers' interpreter, ours too, so that Python, torch and transformers are the same;
without one there is our column only. Each tool is a process of its own; what is compared runs in turn.
"""

import argparse
import statistics
import sys
from collections.abc import Iterable
from typing import Any

from benchmarks import vision
from benchmarks.peers.models import EXTREMES, SHAPES, zoo_names
from benchmarks.peers.worker import Worker
from benchmarks.tables import Table, ms, text

PEERS = ("torchview", "torchvista", "export")
ROUNDS = 7
SLOW_S = 1.0
"""A tool whose warm-up takes longer runs once more, and not in every round."""
LIMIT_S = 120.0


def tables(
    peers: str | None = None, vision_python: str | None = None, only: tuple[str, ...] = ()
) -> list[Table]:
    """The tables; of `only` the models named, if any are. `peers` and `vision_python` are interpreters."""
    python = peers or sys.executable
    tools = ("ours", *PEERS) if peers else ("ours",)

    def wanted(names: Iterable[str]) -> list[str]:
        return [name for name in names if not only or name in only]

    made = [_small(python, tools, names)] if (names := wanted(zoo_names())) else []
    made += [_deep(python, tools, names)] if (names := wanted(EXTREMES)) else []
    made += [_shapes(python, tools, names)] if (names := wanted(SHAPES)) else []
    if vision_python and (names := wanted(vision.NAMES)):
        made.append(vision.table(vision_python, names))
    return made


def _worker(python: str, tool: str) -> Worker:
    return Worker(python, "benchmarks.peers.run", tool)


# The zoo ------------------------------------------------------------------------------------


def measured(workers: dict[str, Worker], model: str) -> dict[str, dict[str, Any]]:
    """Per tool the median `seconds` and `cpu_s` of extractions in turn, after one not counted; or `error`."""
    found: dict[str, dict[str, Any]] = {}
    left = dict(workers)
    taken: dict[str, list[dict[str, Any]]] = {tool: [] for tool in workers}
    for tool, worker in workers.items():
        # The first request of a process waits for its imports.
        answers = [worker.ask(build=model, limit_s=2 * LIMIT_S)]
        if "error" not in answers[0]:
            answers.append(worker.ask(extract=True, limit_s=LIMIT_S))
        if "error" in answers[-1]:
            found[tool] = answers[-1]
            del left[tool]
        else:
            found[tool] = {"first_s": answers[-1]["seconds"]}
    for number in range(ROUNDS):
        for tool, worker in list(left.items()):
            if number and found[tool]["first_s"] > SLOW_S:
                continue
            answer = worker.ask(extract=True, limit_s=LIMIT_S)
            if "error" in answer:
                found[tool] = answer
                del left[tool]
            else:
                taken[tool].append(answer)
    for tool, worker in left.items():
        found[tool] |= {
            key: statistics.median(run[key] for run in taken[tool]) for key in ("seconds", "cpu_s")
        }
        found[tool] |= worker.ask(leaves=True, limit_s=LIMIT_S)
    return found


def _small(python: str, tools: tuple[str, ...], names: list[str]) -> Table:
    workers = {tool: _worker(python, tool) for tool in tools}
    rows = []
    ratios: list[float] = []
    busy: list[float] = []
    done = dict.fromkeys(tools, 0)
    for name in names:
        found = measured(workers, name)
        for tool in tools:
            done[tool] += "seconds" in found[tool]
        row = [name, *(_time(found[tool]) for tool in tools)]
        if len(tools) > 1:
            fastest = {
                key: min((found[tool][key] for tool in PEERS if key in found[tool]), default=None)
                for key in ("seconds", "cpu_s")
            }
            if "seconds" in found["ours"] and fastest["seconds"] and fastest["cpu_s"]:
                ratios.append(found["ours"]["seconds"] / fastest["seconds"])
                busy.append(found["ours"]["cpu_s"] / fastest["cpu_s"])
                row += [f"{ratios[-1]:.2f}", f"{busy[-1]:.2f}"]
            else:
                row += ["", ""]
        called = found["ours"].get("called", "?")
        row += ["/".join(str(found[tool].get("leaves") or "–") for tool in tools) + f" of {called}"]
        rows.append(tuple(row))
    for worker in workers.values():
        worker.stop()
    header = ["model", *tools]
    total = ["extracted", *(f"{done[tool]} of {len(names)}" for tool in tools)]
    if len(tools) > 1:
        header += ["of the fastest", "by processor"]
        total += [_spread(ratios), _spread(busy)]
    promise = (
        f"Medians of {ROUNDS} runs in turn after one that is not counted (a tool that takes over "
        f"{SLOW_S:.0f} s: one), one thread each. Ours should take no longer than the fastest of the others. "
        "A leaf that is given no tensor of the model's has no edge."
    )
    if len(tools) == 1:
        promise += " Ours only: no --peers was given, which `make bench` does."
    leaves = "leaf calls with an edge: " + "/".join(tools)
    return Table("Models of the zoo", promise, (*header, leaves), (*rows, (*total, "")))


def _spread(ratios: list[float]) -> str:
    if not ratios:
        return ""
    within = sum(value <= 1 for value in ratios)
    return f"median {statistics.median(ratios):.2f}, most {max(ratios):.2f}; {within} of {len(ratios)} ≤ 1"


def _time(answer: dict[str, Any]) -> str:
    if "seconds" in answer:
        return ms(answer["seconds"])
    return "no: " + str(answer["error"])[:60]


# Deep and long models -----------------------------------------------------------------------


def _deep(python: str, tools: tuple[str, ...], names: list[str]) -> Table:
    rows = []
    for name in names:
        row = [name]
        for tool in tools:
            worker = _worker(python, tool)
            # What a tool imports when it is first used is no cost of depth.
            worker.ask(build="siamese", limit_s=2 * LIMIT_S)
            worker.ask(extract=True, limit_s=LIMIT_S)
            answer = worker.ask(build=name, limit_s=LIMIT_S)
            if "error" not in answer:
                answer = worker.ask(extract=True, limit_s=LIMIT_S)
            worker.stop()
            row.append(f"{answer['seconds']:.1f} s" if "seconds" in answer else _time(answer))
        rows.append(tuple(row))
    promise = (
        "Once each, after a small model. The others run with a raised recursion limit and a large stack."
    )
    return Table("Deep and long models", promise, ("model", *tools), tuple(rows))


# Shapes of large decoders -------------------------------------------------------------------


def _shapes(python: str, tools: tuple[str, ...], names: list[str]) -> Table:
    rows = []
    for name in names:
        for tool in tools if name == "Llama 70B" else ("ours",):
            runs = [_shape(python, tool, name) for _ in range(3 if tool == "ours" else 1)]
            rows.append(
                (name, tool, *_shape_row(sorted(runs, key=lambda run: run.get("seconds", 0))[-2:][0]))
            )
    promise = (
        "From its config, parameters on meta, each in a fresh process (ours: the median of three). Seconds "
        "are of the build and the extraction; imports of torch and transformers come before and are not "
        "counted, but their memory is. Under 2 s and 1 GB for 70B."
    )
    header = ("shape", "tool", "seconds", "of these build", "processor", "peak memory", "beyond imports")
    return Table("Large decoders without weights", promise, (*header, "leaf calls with an edge"), tuple(rows))


def _shape(python: str, tool: str, name: str) -> dict[str, Any]:
    worker = _worker(python, tool)
    answer = worker.ask(shape=name, limit_s=2 * LIMIT_S if tool == "ours" else LIMIT_S)
    worker.stop()
    return answer


def _shape_row(run: dict[str, Any]) -> tuple[str, ...]:
    if "seconds" not in run:
        after = f" (after {run['after_s']:.1f} s)" if "after_s" in run else ""
        return ("no: " + str(run["error"])[:90] + after, "", "", "", "", "")
    leaves = "–" if run["leaves"] is None else str(run["leaves"])
    if "nodes" in run:
        leaves += f" of {run['called']}; {run['nodes']:,} nodes, {run['edges']:,} edges"
    return (
        f"{run['seconds']:.2f} s",
        f"{run['build_s']:.2f} s",
        f"{run['cpu_s']:.2f} s",
        f"{run['peak_bytes'] / 1e6:,.0f} MB",
        f"{(run['peak_bytes'] - run['imports_bytes']) / 1e6:,.0f} MB",
        leaves,
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The interpreters of the other tools, and a choice of models."""

    def listed(names: str) -> tuple[str, ...]:
        return tuple(name for name in names.split(",") if name)

    peers, vision_file = (f"benchmarks/{kind}/requirements.txt" for kind in ("peers", "vision"))
    parser.add_argument("--peers", metavar="PYTHON", help=f"graph: an interpreter with {peers}")
    parser.add_argument("--vision", metavar="PYTHON", help=f"graph: an interpreter with {vision_file}")
    parser.add_argument(
        "--only", default=(), type=listed, metavar="NAME,...", help="graph: of these models only"
    )


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.graph")
    add_arguments(parser)
    given = parser.parse_args()
    print(text(tables(given.peers, given.vision, given.only)))


if __name__ == "__main__":
    main()
