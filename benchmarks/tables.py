"""Measuring side by side, and small tables of what was found."""

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

RESULTS = Path(__file__).parent / "results"
Way = Callable[[], object]


@dataclass(frozen=True)
class Table:
    """Rows of text under a title; `promise` says what the figures are held against."""

    title: str
    promise: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def side_by_side(ways: Mapping[str, Way], *, rounds: int) -> dict[str, float]:
    """The median seconds of each way, all run in turn in every round, after one round that is not counted.

    Whatever else the machine does then slows all of them alike, and their ratios stay.
    """
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            if number:
                taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def ms(seconds: float) -> str:
    """Milliseconds with as many digits as mean something."""
    value = seconds * 1e3
    return f"{value:,.2f} ms" if value < 10 else f"{value:,.0f} ms"


def ratio(of: float, to: float) -> str:
    """`of` in parts of `to`."""
    value = of / to
    if value < 0.01:
        return "< 0.01 ×"
    return f"{value:.2f} ×" if value < 10 else f"{value:,.0f} ×"


def machine() -> str:
    """What the figures hang on, in a line."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return (
        f"{model}, {os.cpu_count()} CPUs, torch {torch.__version__} on {torch.get_num_threads()} threads, "
        f"Python {platform.python_version()}, {platform.system()}"
    )


def text(tables: list[Table]) -> str:
    """The tables as Markdown that reads well in a terminal too."""
    parts = []
    for table in tables:
        lines = [table.header, *table.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(table.header))]
        drawn = [
            " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
        ]
        drawn.insert(1, " | ".join("-" * width for width in widths))
        parts.append(f"## {table.title}\n\n{table.promise}\n\n" + "".join(f"| {line} |\n" for line in drawn))
    return "\n".join(parts)


def save(name: str, tables: list[Table]) -> Path:
    """Writes the tables to benchmarks/results; returns the file."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{name}-{platform.system().lower()}-{platform.machine()}-{os.cpu_count()}cpu.md"
    git = ["git", "-C", str(RESULTS), "describe", "--always", "--dirty"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    about = f"{machine()}. Commit {commit or 'unknown'}, {time.strftime('%Y-%m-%d')}."
    file.write_text(f"# {name}\n\n{about}\n\n{text(tables)}", encoding="utf-8")
    return file
