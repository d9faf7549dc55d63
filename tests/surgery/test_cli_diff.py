"""`surgery diff`: the difference of two models in words, as JSON and as an exit status."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from torch import nn

import surgery
from graph import extract
from graph.diff import diff
from surgery.cli import main
from surgery.show.diff import diff_lines


@dataclass(frozen=True)
class Done:
    """What a command left."""

    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Done]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`command("demo", "demo")`: runs `surgery diff` with these arguments."""

    def run(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["surgery", "diff", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Done(int(ended.value.code or 0), said.out, said.err)

    return run


@pytest.fixture(scope="module")
def pruned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demonstration decoder without its fourth block, saved, with its script."""
    folder = tmp_path_factory.mktemp("diff")
    session = surgery.open("demo")
    session.remove("model.layers[3]")
    session.save(folder / "pruned")
    session.tie("model.layers.5", to="model.layers.4")
    session.untie("lm_head")
    session.attach("model.layers[*].self_attn.q_proj", rank=2)
    session.script.write(folder / "edits.surgery.json")
    return folder


def lines(one: nn.Module, two: nn.Module) -> list[str]:
    """The lines for two modules, without the totals."""
    return [line.plain for line in diff_lines(diff(extract(one), extract(two)))][:-1]


def test_equal_models_exit_with_zero(command: Command) -> None:
    """Nothing is different, and the line says what was compared."""
    done = command("demo", "demo")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == (
        "no difference in modules, tensors, ties (values were not compared)"
    )
    assert command("demo", "demo", "--weights").stdout.startswith(
        "no difference in modules, tensors, ties and values\n"
    )


def test_removed_block_without_values(command: Command, pruned: Path) -> None:
    """Alike blocks: one is gone, and the line says that nobody can tell which."""
    done = command("demo", pruned / "pruned")
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == (
        "− model.layers.9  LlamaDecoderLayer  148 k parameters  (which of 10 alike: not known without values)"
    )


def test_removed_block_with_values(command: Command, pruned: Path) -> None:
    """With values the block is named, and the run behind it is one line."""
    done = command("demo", pruned / "pruned", "--weights")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "− model.layers.3  LlamaDecoderLayer  148 k parameters",
        "→ model.layers.4…9 → model.layers.3…8",
        "total  1.51 M → 1.36 M parameters (-9.8%), 6.04 MB → 5.45 MB (-9.8%), 235 M → 212 M MACs (-9.8%)",
    ]


def test_script_against_its_base(command: Command, pruned: Path) -> None:
    """The result of a script: removed, added, moved and retied, each run of blocks in one line."""
    done = command("demo", "--script", pruned / "edits.surgery.json")
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[:-1] == [
        "− model.layers.3  LlamaDecoderLayer  148 k parameters",
        "+ model.layers.0…8.self_attn.q_proj  9 × LoraLinear  4.61 k parameters",
        "→ model.layers.0…2.self_attn.q_proj → model.layers.0…2.self_attn.q_proj.base",
        "→ model.layers.4…9 → model.layers.3…8",
        "→ model.layers.4…9.self_attn.q_proj → model.layers.3…8.self_attn.q_proj.base",
        "= lm_head.weight untied from model.embed_tokens.weight",
        "= model.layers.5 tied to model.layers.4  (9 tensors)",
    ]


def test_json(command: Command, pruned: Path) -> None:
    """The entries as data, the exit status as in words."""
    done = command("demo", pruned / "pruned", "--weights", "--json")
    data = json.loads(done.stdout)
    assert done.returncode == 1 and data["different"] is True
    assert [part["path"] for part in data["removed"]] == ["model.layers.3"]
    assert len(data["moved"]) == 6 and data["values_compared"] is True


@pytest.mark.parametrize("arguments", [("demo",), ("demo", "demo", "--script", "x"), ("demo", "./absent")])
def test_errors_exit_with_two(command: Command, arguments: tuple[str, ...]) -> None:
    """One model, or a second model and a script, or no such model: a sentence and status 2."""
    done = command(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("surgery: ") and "Traceback" not in done.stderr


def test_lines_of_shapes_and_attributes() -> None:
    """Shapes and attributes before and after; alike changes of a run in one line."""
    one = nn.Sequential(*(nn.Linear(2, 4) for _ in range(3)), nn.Conv2d(1, 1, 3))
    two = nn.Sequential(*(nn.Linear(2, 3) for _ in range(3)), nn.Conv2d(1, 1, 3, bias=False))
    assert lines(one, two) == [
        "↔ 0…2.weight  float32 [4, 2] → float32 [3, 2]",
        "↔ 0…2.bias  float32 [4] → float32 [3]",
        "↔ 3.bias  parameter float32 [1] is gone",
        "~ 0…2  out_features 4 → 3",
    ]


def test_lines_of_ties_with_several_members() -> None:
    """A tie that grew, shrank or began says who joined and who left."""

    def tied(*groups: tuple[int, ...]) -> nn.Sequential:
        made = nn.Sequential(*(nn.Linear(2, 2, bias=False) for _ in range(5)))
        for first, *others in groups:
            for other in others:
                made[other].weight = made[first].weight
        return made

    assert lines(tied((0, 1)), tied((0, 1, 2))) == ["= 0.weight: 2.weight tied to it"]
    assert lines(tied((0, 1, 2)), tied((1, 2, 4))) == ["= 1.weight: 4.weight tied to it, 0.weight no longer"]
    assert lines(tied(), tied((1, 3, 4))) == ["= 3.weight, 4.weight tied to 1.weight"]
    assert lines(tied((1, 3, 4)), tied()) == ["= 3.weight, 4.weight untied from 1.weight"]


def test_names_do_not_steer_the_terminal() -> None:
    """Escape sequences, line breaks, directions and markup in names come out as text."""
    names = ["\x1b[2J", "two\nlines", "\u202eevil", "[red]x[/red]", "{0}", "x" * 10_000]
    one = nn.ModuleDict({name: nn.Linear(2, i + 1) for i, name in enumerate(names)})
    said = lines(one, nn.ModuleDict())
    assert [line.split("  ")[0] for line in said[:5]] == [
        "− \\x1b[2J",
        "− two\\nlines",
        "− \\u202eevil",
        "− [red]x[/red]",
        "− {0}",
    ]
    assert len(said) == 6 and len(said[5]) < 300
