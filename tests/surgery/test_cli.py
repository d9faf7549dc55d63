"""The command: the same results as the API, refusals as one sentence with exit status 2."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import surgery
from surgery.cli import main
from surgery.demo import DECODER
from surgery.evaluate import Report, Stopped


@dataclass(frozen=True)
class Done:
    """What a command left."""

    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Done]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`command("inspect", "demo")`: runs the entry point with these arguments."""

    def run(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["surgery", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Done(int(ended.value.code or 0), said.out, said.err)

    return run


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A script made on the demonstration decoder."""
    session = surgery.open("demo")
    session.remove("model.layers[3]")
    session.tie("model.layers.5", to="model.layers.4")
    return session.script.write(tmp_path_factory.mktemp("cli") / "edits.surgery.json")


def test_replay_gives_the_recorded_fingerprint(command: Command, script: Path, tmp_path: Path) -> None:
    """The base is found where the script says, and the saved folder loads and runs."""
    done = command("replay", script, "--out", tmp_path / "out")
    recorded = surgery.Script.read(script).result
    assert done.returncode == 0, done.stderr
    assert f"fingerprint {recorded}" in done.stdout
    loaded = subprocess.run(  # a fresh process, as the reader of the folder has
        [sys.executable, "-c", f"import surgery; print(surgery.load({str(tmp_path / 'out')!r}))"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert loaded.returncode == 0, loaded.stderr
    assert "LlamaForCausalLM" in loaded.stdout and "(0-8): 9 x LlamaDecoderLayer" in loaded.stdout


def test_replay_on_another_base_is_refused(command: Command, script: Path, tmp_path: Path) -> None:
    """Exit status 2, the reason in one sentence, nothing written."""
    session = surgery.open("demo")
    session.sparsify("**", 0.1)
    session.save(tmp_path / "other")
    done = command("replay", script, "--model", tmp_path / "other", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.startswith("surgery: ") and "the content differs" in done.stderr
    assert done.stderr.strip().count("\n") == 0
    assert not (tmp_path / "out").exists()


def test_inspect_shows_tree_and_ties(command: Command) -> None:
    """Class, parameters and ties of the demonstration decoder."""
    done = command("inspect", "demo", "--depth", "2")
    assert done.returncode == 0
    assert "LlamaForCausalLM" in done.stdout and "lm_head" in done.stdout
    assert "tie 1 (parameter): model.embed_tokens.weight = lm_head.weight" in done.stdout


def test_operations_lists_all(command: Command) -> None:
    """Every operation by name with its fields."""
    done = command("operations")
    assert done.returncode == 0
    for name in ("remove", "tie", "untie", "merge", "sparsify", "attach", "detach", "fold"):
        assert name in done.stdout


def test_evaluate_prints_a_report(command: Command) -> None:
    """A model against itself has not changed, and says on what it was measured."""
    done = command("evaluate", DECODER, "--budget", "0.5")
    assert done.returncode == 0, done.stderr
    assert "no change, perplexity" in done.stdout and "not your data" in done.stdout


def test_evaluate_takes_tasks_and_data(command: Command, script: Path, tmp_path: Path) -> None:
    """Named tasks with their fields, on text files in overlapping windows; as JSON it reads back."""
    (tmp_path / "a.txt").write_text("What a text may say is up to its author. " * 20, encoding="utf-8")
    done = command(
        *("evaluate", "demo", "--script", script, "--data", tmp_path, "--stride", "128", "--budget", "0.1"),
        *("--task", "perplexity", "--task", "generation:tokens=4", "--json"),
    )
    assert done.returncode == 0, done.stderr
    report = Report.from_dict(json.loads(done.stdout))
    assert [figure.name for figure in report.results] == ["perplexity", "greedy tokens alike"]
    assert report.data == "a.txt" and report.tokens == 820


def test_evaluate_on_classifiers(command: Command) -> None:
    """Accuracy by default, on the digits they never saw."""
    done = command("evaluate", "demo-cnn", "--budget", "0.1")
    assert done.returncode == 0 and done.stdout.startswith("no change, accuracy "), done.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--task", "acuracy"), "no task is called 'acuracy'.*`accuracy`"),
        (("--task", "accuracy"), "accuracy cannot be measured here: the data have no labels"),
        (("--task", "generation:token=4"), "generation has no field 'token'.*`tokens`"),
        (("--task", "generation:4"), "a field is given with its value"),
        (("--data", "nowhere"), "nowhere: there is no such file or folder"),
        (("--data", "x", "--text", "y"), "give one"),
    ],
)
def test_evaluate_refuses(command: Command, arguments: tuple[str, ...], problem: str) -> None:
    """A task or data that do not fit, in one sentence with exit status 2."""
    done = command("evaluate", "demo", *arguments)
    assert done.returncode == 2 and re.search(problem, done.stderr), done.stderr


def test_tasks_lists_all(command: Command) -> None:
    """Every task by name with its fields and source."""
    done = command("tasks")
    assert done.returncode == 0
    for text in (
        "fidelity",
        "perplexity",
        "accuracy",
        "top=1",
        "layers",
        "embedding",
        "tokens=16",
        "Kullback",
    ):
        assert text in done.stdout


@pytest.mark.parametrize(
    "arguments", [("inspect", "no/such-model"), ("replay", "absent.surgery.json"), ("evaluate", "absent")]
)
def test_bad_arguments_exit_with_two(command: Command, arguments: tuple[str, ...]) -> None:
    """One sentence on standard error and no traceback."""
    done = command(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("surgery: ") and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "options, said",
    [
        (["--field", "of=2"], "an option of the sweep"),
        (["--json", "none/found.json"], "no such folder"),
        (["--script", "none/best.json"], "no such folder"),
    ],
)
def test_a_sweep_says_what_stands_in_its_way_before_it_begins(
    options: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence, exit status 2."""
    monkeypatch.setattr(sys, "argv", ["surgery", "sweep", "demo", "remove", "model.layers[*]", *options])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_a_sweep_writes_its_results_and_the_best_edits(command: Command, tmp_path: Path) -> None:
    """The table on the screen, JSON beside it, and a script that replays."""
    found, best = tmp_path / "found.json", tmp_path / "best.surgery.json"
    arguments = ("sweep", "demo-vit", "remove", "vit.layers[3:6]", "--budget", "0", "--task", "accuracy")
    done = command(*arguments, "--json", found, "--script", best, "--best", "2")
    assert done.returncode == 0 and "rank" in done.stdout and "accuracy" in done.stdout
    assert len(json.loads(found.read_text())["rows"]) == 3
    assert len(surgery.replay(best).model.vit.layers) == 4  # type: ignore[union-attr]


def test_a_sweep_on_ray_has_workers_of_one_thread(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that there are as many as CPUs; a field of that name is no field."""
    seen = []

    def swept(*_: object, ray: bool, **__: object) -> None:
        seen.append((ray, torch.get_num_threads()))
        raise Stopped("the evaluation was stopped")

    threads = torch.get_num_threads()
    monkeypatch.setattr(surgery.Session, "sweep", swept)
    try:
        command("sweep", "demo-vit", "remove", "vit.layers[*]", "--ray")
    finally:
        torch.set_num_threads(threads)
    assert seen == [(True, 1)]


def test_a_sweep_that_is_stopped_at_once_says_so(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit status 130, as a shell has it, and no traceback."""

    def stopped(*_: object, **__: object) -> None:
        raise Stopped("the evaluation was stopped")

    monkeypatch.setattr(surgery.Session, "sweep", stopped)
    done = command("sweep", "demo-vit", "remove", "vit.layers[*]")
    assert (done.returncode, done.stderr) == (130, "surgery: stopped before anything was measured\n")


def test_speed_prints_a_report(command: Command) -> None:
    """Of a classifier, a forward, with memory and size."""
    done = command("speed", "demo-vit", "--budget", "0", "--device", "cpu")
    assert done.returncode == 0
    assert "forward" in done.stdout and "peak memory" in done.stdout
