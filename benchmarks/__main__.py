"""`python -m benchmarks [graph edits …] [--save]`: measures, prints tables, keeps them if asked."""

import argparse
import os

# Before transformers is imported, which reads it once.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from benchmarks import (
    adapters,
    advisers,
    budget,
    channels,
    compression,
    edits,
    evaluation,
    graph,
    harness,
    low_rank,
    masks,
    merge,
    replay,
    studio,
)
from benchmarks.tables import save, text

BENCHMARKS = {
    "graph": graph.tables,
    "adapters": adapters.tables,
    "edits": edits.tables,
    "channels": channels.tables,
    "replay": replay.tables,
    "studio": studio.tables,
    "evaluation": evaluation.tables,
    "advisers": advisers.tables,
    "budget": budget.tables,
    "low_rank": low_rank.tables,
    "masks": masks.tables,
    "compression": compression.tables,
    "harness": lambda: harness.tables(None),
    "merge": lambda: merge.tables(None),
}


def main() -> None:
    """Runs the benchmarks named, by default all."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    arguments.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(BENCHMARKS)}")
    arguments.add_argument("--save", action="store_true", help="write benchmarks/results/<name>-<machine>.md")
    graph.add_arguments(arguments)
    harness.add_arguments(arguments)
    merge.add_arguments(arguments)
    given = arguments.parse_args()
    BENCHMARKS["graph"] = lambda: graph.tables(given.peers, given.vision, given.only)
    BENCHMARKS["harness"] = lambda: harness.tables(given.harness)
    BENCHMARKS["merge"] = lambda: merge.tables(given.mergekit)
    if "harness" in given.names and given.harness is None:
        arguments.error("harness needs --harness PYTHON, an interpreter that has lm-eval")
    if unknown := sorted(set(given.names) - BENCHMARKS.keys()):
        arguments.error(f"no benchmark is called {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    for name in given.names or BENCHMARKS:
        tables = BENCHMARKS[name]()
        if not tables:  # what it compares with is not here
            continue
        print(text(tables), flush=True)
        if given.save:
            print(f"Written to {save(name, tables)}\n")


main()
