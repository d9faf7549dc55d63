"""Factories: code that a person names runs; code that a script names does not, unless it is allowed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import surgery
from graph.costs import costs
from surgery import SurgeryError
from surgery.cli import main

Written = Callable[[str, str], None]

NETS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(16, 8)
        self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.head = nn.Linear(8, 16, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("scale", torch.full((8,), 2.0))

    def forward(self, ids):
        x = self.embed(ids) * self.scale
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)

def net():
    return Net()

def with_inputs():
    return Net(), {"ids": torch.arange(4).unsqueeze(0)}

def reads():
    made = Net()
    assert float(made.head.weight.sum()) != 7
    return made

def raises():
    raise ValueError("no data\\nin this folder")

def leaves():
    raise SystemExit(3)

def takes(width):
    return nn.Linear(width, width)

def text():
    return "net"

def pair():
    return "net", "net"

class Makers:
    @staticmethod
    def small():
        return nn.Linear(2, 2)

ready = nn.Linear(2, 3)
number = 3
"""


@pytest.fixture
def nets(written: Written) -> str:
    """The module above in the working folder."""
    written("nets", NETS)
    return "nets"


def test_a_factory_makes_the_model(nets: str) -> None:
    """The working folder is importable meanwhile, as for `python -m`; the name is the source."""
    path = list(sys.path)
    session = surgery.open(f"{nets}:net")
    assert (session.opened.name, session.opened.source) == ("nets:net", "nets:net")
    assert type(session.model).__name__ == "Net" and not session.is_skeleton
    assert sys.path == path
    assert 'inputs={"ids": ...}' in str(session.note)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("Makers.small", "Linear"), ("Net", "Net"), ("ready", "Linear"), ("with_inputs", "Net")],
)
def test_what_else_makes_a_model(nets: str, name: str, kind: str) -> None:
    """A class, a method, a module that is there, and a function that gives inputs too."""
    assert type(surgery.open(f"{nets}:{name}").model).__name__ == kind


def test_a_factory_may_give_inputs(nets: str) -> None:
    """They are traced; those of the caller go before."""
    session = surgery.open(f"{nets}:with_inputs")
    assert session.graph.calls and session.graph.tokens == 4
    own = surgery.open(f"{nets}:with_inputs", {"ids": torch.zeros(2, 3, dtype=torch.int64)})
    assert own.graph.tokens == 6


def test_a_module_in_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dotted names on both sides of the colon."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "package_of_nets").mkdir()
    (tmp_path / "package_of_nets" / "small.py").write_text(NETS)
    assert (
        surgery.open("package_of_nets.small:Makers.small").opened.name == "package_of_nets.small:Makers.small"
    )


def test_random_weights_are_the_same_each_time(nets: str) -> None:
    """A factory draws from a fixed seed, and the caller's random state goes on as if nothing had been."""
    state = torch.get_rng_state()
    assert surgery.open(f"{nets}:net").fingerprint() == surgery.open(f"{nets}:net").fingerprint()
    assert torch.equal(torch.get_rng_state(), state)


def test_a_skeleton_of_a_factory(nets: str) -> None:
    """No values, real buffers, the tie that the constructor makes, and the same figures."""
    register = nn.Module.register_parameter
    session, whole = surgery.open(f"{nets}:with_inputs", skeleton=True), surgery.open(f"{nets}:with_inputs")
    assert all(parameter.is_meta for parameter in session.model.parameters())
    assert session.model.get_buffer("scale").tolist() == [2.0] * 8
    assert [tie.paths for tie in session.graph.ties] == [("embed.weight", "head.weight")]
    assert costs(session.graph) == costs(whole.graph)
    assert nn.Module.register_parameter is register


REFUSED = {
    "absent:net": r"^absent:net: there is no module 'absent'\. Try: ",
    "nets.part:net": "there is no module 'nets.part'",
    "broken:net": r"importing it failed: ModuleNotFoundError: No module named 'absent_too'",
    "wrong:net": "importing it failed: ZeroDivisionError: division by zero",
    "nets:nett": r"nets has no 'nett'\. Try: `nets:net`",
    "nets:Makers.smal": r"nets has no 'Makers\.smal'",
    "nets:number": "is no function; got int",
    "nets:raises": "it raised ValueError: no data in this folder",
    "nets:leaves": "it raised SystemExit: 3",
    "nets:takes": "it raised TypeError: .*missing 1 required positional argument: 'width'",
    "nets:text": r"returned no module; got str, expected a torch\.nn\.Module",
    "nets:pair": "returned no module; got str",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_factory_that_makes_nothing_is_one_sentence(nets: str, written: Written, name: str) -> None:
    """What is not there and what it raises, with its own message, on one line."""
    written("broken", "import absent_too")
    written("wrong", "1 / 0")
    path = list(sys.path)
    with pytest.raises(SurgeryError, match=REFUSED[name]) as refusal:
        surgery.open(name)
    assert "\n" not in str(refusal.value)
    assert sys.path == path


def test_a_factory_that_needs_values_is_no_skeleton(nets: str) -> None:
    """It is refused with the way out, and modules are built as ever afterwards."""
    with pytest.raises(SurgeryError, match=r"without weights it raised .* Try: opening it with its weights"):
        surgery.open(f"{nets}:reads", skeleton=True)
    assert surgery.open(f"{nets}:reads").graph.class_name == "Net"
    assert not nn.Linear(2, 2).weight.is_meta


# A script that names one


@pytest.fixture
def script(nets: str) -> surgery.Script:
    """A script made on a factory's model."""
    session = surgery.open(f"{nets}:with_inputs")
    session.remove("blocks[1]")
    return session.script


def test_a_script_runs_no_factory_unasked(script: surgery.Script, tmp_path: Path) -> None:
    """Not even its module is imported: refused with both ways to allow it, and nothing is written."""
    assert script.base.source == "nets:with_inputs"
    (tmp_path / "nets.py").write_text("raise SystemExit('ran')")
    sys.modules.pop("nets", None)
    for allowed in (None, "nets:net", ""):
        with pytest.raises(
            SurgeryError, match=r"names a factory, which is code.*--allow-factory nets:with_in"
        ):
            surgery.replay(script, out=tmp_path / "out", allow_factory=allowed)
    assert not (tmp_path / "out").exists() and "nets" not in sys.modules


def test_a_factory_allowed_by_name_is_run(script: surgery.Script) -> None:
    """The same bits come out."""
    assert surgery.replay(script, allow_factory="nets:with_inputs").fingerprint() == script.result


def test_a_factory_given_as_the_model_needs_no_leave(script: surgery.Script) -> None:
    """Who names it means it."""
    assert surgery.replay(script, model="nets:with_inputs").fingerprint() == script.result


def test_the_command_runs_a_factory_only_by_name(
    script: surgery.Script,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`surgery inspect` runs what was typed, `surgery replay` what was allowed."""
    file = str(script.write(tmp_path / "edits.surgery.json"))

    def status(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["surgery", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    assert status("replay", file) == 2
    assert "--allow-factory nets:with_inputs" in capsys.readouterr().err
    assert status("replay", file, "--allow-factory", "nets:with_inputs") == 0
    assert f"fingerprint {script.result}" in capsys.readouterr().out
    assert status("inspect", "nets:net") == 0
    assert "Net" in capsys.readouterr().out
