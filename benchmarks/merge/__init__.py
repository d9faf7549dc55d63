"""Merging beside mergekit and beside `cp`: whole processes, each run in turn; and what else must be quick."""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open

from benchmarks.merge.models import decoder, sparse_70b
from benchmarks.tables import Table, ratio

ROUNDS = 3


@dataclass(frozen=True)
class Run:
    """What a process took: seconds of wall time, and the most memory it held."""

    seconds: float
    peak_bytes: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The interpreter that has mergekit."""
    where = "benchmarks/merge/requirements.txt"
    parser.add_argument("--mergekit", metavar="PYTHON", help=f"merge: an interpreter with {where}")


def tables(mergekit: str | None) -> list[Table]:
    """Merges, throughput, and starts; mergekit's column only with an interpreter that has it."""
    with tempfile.TemporaryDirectory(prefix="surgery-merge-") as folder:
        place = Path(folder)
        return [_merges(place, mergekit), _throughput(place), _starts(place)]


def _merges(place: Path, mergekit: str | None) -> Table:
    small = [decoder(place / f"small{number}", number) for number in range(10)]
    large = [decoder(place / f"large{number}", number, blocks=80) for number in range(2)]
    rows = []
    for title, models, more in (
        ("two of 205 M", small[:2], ()),
        ("ten of 205 M", small, ()),
        ("two of 1.0 B, ours with --memory 1GB", large, ("--memory", "1GB")),
    ):
        found = _merged(place, models, mergekit, more)
        ours, copy = found["ours"], found["cp"]
        cells = [_s(copy.seconds), _s(ours.seconds), _mb(ours.peak_bytes)]
        if "mergekit" in found:
            theirs = found["mergekit"]
            cells += [_s(theirs.seconds), _mb(theirs.peak_bytes)]
            cells += [ratio(ours.seconds, theirs.seconds), ratio(ours.peak_bytes, theirs.peak_bytes)]
        else:
            cells += ["", "", "", ""]
        rows.append((title, *cells, _checked(models, place / "ours", place / "mergekit")))
    for folder in (*small[2:], *large):
        shutil.rmtree(folder)
    header = ("linear, bfloat16", "cp of one", "ours", "peak", "mergekit", "peak", "wall", "memory", "bits")
    promise = (
        "Whole processes from start to exit, medians of runs in turn, files in the page cache; ours ends "
        "when the disk has the files, the others before. At most 0.35 of mergekit's wall time and 0.3 of its "
        "memory."
    )
    return Table("Merging", promise, header, tuple(rows))


def _merged(place: Path, models: list[Path], mergekit: str | None, more: tuple[str, ...]) -> dict[str, Run]:
    recipe = place / "linear.yml"
    weights = [{"model": str(model), "parameters": {"weight": 1 / len(models)}} for model in models]
    recipe.write_text(json.dumps({"merge_method": "linear", "models": weights, "dtype": "bfloat16"}))
    ways: dict[str, list[str]] = {
        "cp": ["cp", "-r", str(models[0])],
        "ours": [sys.executable, "-m", "surgery.cli", "replay", str(recipe), *more, "--out"],
    }
    if mergekit is not None:
        ways["mergekit"] = [str(Path(mergekit).with_name("mergekit-yaml")), str(recipe)]
    return _in_turn(ways, place)


def _in_turn(ways: Mapping[str, list[str]], place: Path) -> dict[str, Run]:
    taken: dict[str, list[Run]] = {name: [] for name in ways}
    for number in range(ROUNDS + 1):
        for name, words in ways.items():
            out = place / name
            shutil.rmtree(out, ignore_errors=True)
            run = _run([*words, str(out)])
            if number:
                taken[name].append(run)
    return {
        name: Run(
            statistics.median(run.seconds for run in runs),
            int(statistics.median(run.peak_bytes for run in runs)),
        )
        for name, runs in taken.items()
    }


_ALONE = """
import json, os, subprocess, sys, time
began = time.perf_counter()
process = subprocess.Popen(sys.argv[2:], stdout=subprocess.DEVNULL, stderr=open(sys.argv[1], "wb"))
_, status, used = os.wait4(process.pid, 0)
seconds = time.perf_counter() - began
print(json.dumps([seconds, used.ru_maxrss, os.waitstatus_to_exitcode(status)]))
"""
"""Started in a process of its own: a child's peak counts what its parent held when it was started."""


def _run(words: list[str]) -> Run:
    """One process, alone; SystemExit with what it said where it fails."""
    with tempfile.NamedTemporaryFile() as said:
        small = [sys.executable, "-S", "-c", _ALONE, said.name, *words]
        told = subprocess.run(small, capture_output=True, check=True, cwd=Path(__file__).parents[2])
        seconds, peak, status = json.loads(told.stdout)
        if status:
            raise SystemExit(f"{' '.join(words)}\n{said.read().decode(errors='replace')[-3000:]}")
    return Run(seconds, peak * (1 if sys.platform == "darwin" else 1024))


def _checked(models: list[Path], ours: Path, theirs: Path) -> str:
    """Whether ours is the float32 mean rounded once, and whether mergekit's is the same."""
    share, same, equal = 1 / len(models), True, True
    other = safe_open(theirs / "model.safetensors", "pt") if theirs.is_dir() else None
    made = safe_open(ours / "model.safetensors", "pt")
    inputs = [safe_open(model / "model.safetensors", "pt") for model in models]
    for name in made.keys():  # noqa: SIM118
        total = torch.stack([item.get_tensor(name).float() for item in inputs]).sum(0)
        same &= torch.equal(made.get_tensor(name), (total * share).bfloat16())
        if other is not None:
            equal &= torch.equal(made.get_tensor(name), other.get_tensor(name))
    said = "the float32 mean, rounded" if same else "not the mean"
    return said if other is None else f"{said}; {'equal to' if equal else 'others than'} mergekit's"


def _throughput(place: Path) -> Table:
    from surgery.checkpoint.tensors import Checkpoint
    from surgery.lazy import Lazy, recipe
    from surgery.stream.writing import write

    one, two = (
        {name: entry.lazy() for name, entry in Checkpoint.at(place / f"small{number}").entries.items()}
        for number in range(2)
    )
    mixed: dict[str, Lazy] = {
        name: recipe("weighted_sum", one[name], two[name], weights=(0.5, 0.5)) for name in one
    }

    def written(tensors: Mapping[str, Lazy]) -> None:
        shutil.rmtree(place / "written", ignore_errors=True)
        (place / "written").mkdir()
        write(place / "written", "model", tensors, 10**12)

    def copied() -> None:
        shutil.rmtree(place / "copied", ignore_errors=True)
        subprocess.run(["cp", "-r", str(place / "small0"), str(place / "copied")], check=True)

    from benchmarks.tables import side_by_side

    found = side_by_side(
        {"cp": copied, "pass-through": lambda: written(one), "linear of two": lambda: written(mixed)},
        rounds=5,
    )
    size = sum(file.stat().st_size for file in (place / "small0").iterdir())
    rows = [
        (name, f"{size / seconds / 1e9:.2f} GB/s", f"{found['cp'] / seconds:.2f}", bound)
        for (name, seconds), bound in zip(found.items(), ("", "0.5", "0.3"), strict=True)
    ]
    promise = (
        "Bytes written per second into the page cache, within a process that runs already, fingerprints made "
        "on the way; `cp` is a process, and makes none."
    )
    return Table("Streaming", promise, ("410 MB", "speed", "part of cp", "at least"), tuple(rows))


def _starts(place: Path) -> Table:
    base, other = sparse_70b(place / "70b"), sparse_70b(place / "70b-other")
    layers = {"select": "model.layers[40:44]", "paths": []}
    merge = _script(
        place / "merge.surgery.json",
        base,
        "",
        {"operation": "slerp", "targets": "", "parents": [{"source": str(other), "fingerprint": None}]},
    )
    edits = _script(
        place / "edits.surgery.json",
        base,
        "LlamaForCausalLM",
        {"operation": "remove", "targets": layers},
        {"operation": "tie", "targets": "model.layers[20]", "to": "model.layers[19]", "start": "to"},
    )
    python = [sys.executable, "-m", "surgery.cli"]
    rows = []
    for title, words, bound in (
        ("surgery --help", [*python, "--help"], "0.5 s"),
        ("replay --dry-run: a merge of two 70B of 30 files", [*python, "replay", merge, "--dry-run"], "3 s"),
        ("replay --dry-run: a removal and a tie", [*python, "replay", edits, "--dry-run"], "3 s"),
        ("import of transformers' Llama alone", [sys.executable, "-c", _LLAMA], ""),
    ):
        runs = [_run(words) for _ in range(ROUNDS + 1)][1:]
        seconds = statistics.median(run.seconds for run in runs)
        peak = int(statistics.median(run.peak_bytes for run in runs))
        rows.append((title, _s(seconds), bound, _mb(peak)))
    promise = "Whole processes, medians. Edits of blocks need the model's class, which transformers has."
    return Table("Starts", promise, ("command", "wall", "at most", "peak"), tuple(rows))


_LLAMA = "import transformers; transformers.LlamaForCausalLM"


def _script(file: Path, base: Path, class_name: str, *steps: Mapping[str, object]) -> str:
    head = {"format": "surgery-script", "version": 1}
    told = {"source": str(base), "class": class_name, "fingerprint": None}
    file.write_text(json.dumps(head | {"base": told, "steps": steps}))
    return str(file)


def _s(seconds: float) -> str:
    return f"{seconds:.2f} s"


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.0f} MB"
