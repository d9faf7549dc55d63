"""Answers and blame as a person reads them: lines, HTML, and the command."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import surgery
from surgery import Session
from surgery.cli import main
from surgery.prompting import ClassAnswers, TextAnswers
from surgery.prompting.answers import Choice, Token
from surgery.prompting.levels import FROM_NATS, LEGEND, level, seen

Command = Callable[..., tuple[int, str, str]]
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`command("demo", "a prompt")`: status, what was printed, and the errors of `surgery ask`."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["surgery", "ask", *map(str, arguments), "--device", "cpu"])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


@pytest.fixture(scope="module")
def cut() -> Session:
    """Two damages, and a step that cannot be reverted alone."""
    session = surgery.open("demo")
    session.scale("model.layers[6].mlp", factor=0.2)
    session.duplicate("model.layers[4]")
    session.scale("model.layers[5].mlp", factor=0.5)
    return session


@pytest.fixture(scope="module")
def script(cut: Session, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a script."""
    return cut.script.write(tmp_path_factory.mktemp("ask") / "edits.surgery.json")


def test_lines_say_what_differs_and_who_did_it(cut: Session) -> None:
    """Both texts, the divergence, a bar for each step, and why one has none."""
    answers = cut.ask("The for statement is", tokens=16, device="cpu")
    assert isinstance(answers, TextAnswers) and answers.divergence is not None
    lines = str(answers).splitlines()
    assert lines[0] == "prompt    The for statement is"
    assert lines[1].startswith("original  ") and lines[3].startswith("edited    ")
    assert f"They part at position {answers.divergence}: " in str(answers)
    blame = cut.blame(answers, answers.divergence, device="cpu")
    rows = str(blame).splitlines()
    assert rows[0].startswith(f"Position {answers.divergence}, where the original says “")
    assert "█" in rows[1] and "Step 3 cannot be made without it" in rows[2]


def test_names_and_tokens_are_text() -> None:
    """Markup in them is shown as it is written, and what steers a terminal does not."""
    token = Token(0, HOSTILE + "\x1b[2J", 3.0, (0.5, 0.1))
    said = {"prompt": HOSTILE, "state": 0, "device": "cpu", "seconds": 0.0, "inputs": {}}
    text = TextAnswers(
        **said,  # type: ignore[arg-type]
        original=(token,),
        edited=(token,),
        texts=(token.text, token.text),
        temperature=0.0,
        seed=0,
        notes=(HOSTILE,),
    )
    choice = Choice(0, HOSTILE, (0.5, 0.5), (1, 1))
    for answers in (text, ClassAnswers(**said, choices=(choice,), kl=0.0, label=HOSTILE)):  # type: ignore[arg-type]
        html = answers._repr_html_()
        assert "<img" not in html and "&lt;img" in html
        assert "\x1b" not in str(answers) + html


def test_tints_are_levels_of_nats_with_a_legend() -> None:
    """A colour means the same on every prompt; the deepest is told by its line as well."""
    assert [level(kl) for kl in (0.0, 0.009, 0.01, 0.3, 0.5, 2.0, float("inf"))] == [0, 0, 1, 2, 3, 4, 4]
    assert len(LEGEND) == len(FROM_NATS) + 1
    session = surgery.open("demo")
    session.scale("model.layers[6].mlp", factor=0.2)
    html = session.ask("The for statement is", tokens=16, device="cpu")._repr_html_()
    assert all(name in html for name in LEGEND) and html.count("data-first") == 2 + html.count("[data-first]")
    assert "surgery-kl2" in html and "<script" not in html


def test_blanks_are_seen() -> None:
    """So are control characters, the end of nothing, and parts of characters."""
    assert seen(" a\n\t\x00\x7f\u202e") == "·a↵⇥␀␡\\u202e" and seen("") == "∅"
    session = surgery.open("demo")
    token = session.ask([0xC3], tokens=1, device="cpu")
    assert isinstance(token, TextAnswers) and token.prompt
    from surgery.prompting.lettering import Lettering

    assert Lettering(session.opened.model, session.opened.tokenizer).token(0xC3) == "<195>"


def test_the_command_asks_both_models_of_a_script(command: Command, script: Path, cut: Session) -> None:
    """Its figures are those of Python."""
    status, said, _ = command(script, "The for statement is", "--tokens", "6", "--blame", "first", "--json")
    assert status == 0
    answers = cut.ask("The for statement is", tokens=6, device="cpu")
    assert isinstance(answers, TextAnswers)
    blame = cut.blame(answers, answers.divergence or 0, device="cpu")
    found, wanted = json.loads(said), {"answers": answers.to_dict(), "blame": blame.to_dict()}
    for record in (found, wanted):
        del record["answers"]["seconds"], record["answers"]["state"]
    assert found["answers"] == wanted["answers"]
    assert found["blame"]["steps"][0]["blame"] == pytest.approx(blame.steps[0].blame, rel=1e-4)


def test_the_command_prints_bars(command: Command, script: Path) -> None:
    """The same lines as `print`."""
    status, said, _ = command(script, "The for", "--tokens", "4", "--blame", "2", "--of", "edited")
    assert status == 0 and "prompt    The for" in said and "2 of the edited model's text" in said


def test_the_command_takes_images_and_examples(command: Command, tmp_path: Path) -> None:
    """Of a model alone, which answers as the original."""
    from PIL import Image

    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    for given in (("--image", tmp_path / "a.png"), ("--example", "3")):
        status, said, _ = command("demo-cnn", *given, "--top", "3")
        assert status == 0 and "KL(original ‖ edited) 0 nats" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("demo",), "one thing is asked"),
        (("demo", "a", "--example", "1"), "one thing is asked"),
        (("demo", "a", "--of", "edited"), "--blame is not given"),
        (("demo", "a", "--blame", "1"), "no step was made"),
        (("demo", "a", "--model", "demo"), "the base of a script"),
    ],
)
def test_what_the_command_refuses(command: Command, arguments: tuple[str, ...], said: str) -> None:
    """One sentence, exit status 2."""
    status, _, errors = command(*arguments, "--tokens", "2")
    assert status == 2 and said in errors and errors.count("\n") == 1


def test_the_command_refuses_what_is_no_position(command: Command, script: Path) -> None:
    """Before bars of another place are drawn."""
    status, _, errors = command(script, "a", "--tokens", "2", "--blame", "last")
    assert status == 2 and "is no position" in errors


def test_the_random_state_is_the_users(cut: Session) -> None:
    """What is drawn has a generator of its own."""
    torch.manual_seed(7)
    wanted = torch.rand(1)
    torch.manual_seed(7)
    cut.ask("a", tokens=3, temperature=1.0, device="cpu")
    assert torch.equal(torch.rand(1), wanted)


def test_a_terminal_shows_both_as_they_are_written() -> None:
    """Side by side; what steers a terminal is shown as an escape, the first difference stands out."""
    from io import StringIO

    from rich.console import Console

    from surgery.show.prompting_live import side_by_side

    same, one, two = (
        Token(id, text, kl, (0.5, 0.5)) for id, text, kl in ((1, "a", 0), (2, "b\x1b[2J", 3), (3, "c", 3))
    )
    written = {"original": [same, one], "edited": [same, two]}
    console = Console(file=StringIO(), width=60, force_terminal=True, color_system="standard")
    console.print(side_by_side(written))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "original" in shown and "edited" in shown and "\x1b[2J" not in shown
    assert "\x1b[7mb\\x1b[2J" in shown and "\x1b[7mc" in shown


def test_a_terminal_is_drawn_on_and_left_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere nothing is written to it."""
    from io import StringIO

    from surgery.show.prompting_live import live_answers

    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    for stream, drawn in ((Terminal(), True), (StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        with live_answers() as told:
            told("original", 0, Token(1, "abc", 0.0, (0.5, 0.5)))
        assert ("abc" in stream.getvalue()) == drawn
