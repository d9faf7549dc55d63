"""What JupyterLab asks of a kernel: studios by place and by variable, scripts as Python, settings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from IPython.core.formatters import DisplayFormatter
from torch import nn

import surgery
from surgery.demo import FOLDERS
from surgery.errors import SurgeryError
from tests.zoo import ZOO
from widgets import keepsakes, lab_entry
from widgets.studio import Studio

Names = dict[str, Any]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Studio]:
    """What was displayed, in an entry that nobody has called before."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    monkeypatch.delenv(keepsakes.AUTOSAVE, raising=False)
    displayed: list[Studio] = []
    monkeypatch.setattr(lab_entry, "display", displayed.append)
    monkeypatch.setattr(lab_entry, "_tabs", {})
    monkeypatch.setattr(lab_entry, "_beside", {})
    return displayed


@pytest.fixture
def names(shown: list[Studio], monkeypatch: pytest.MonkeyPatch) -> Names:
    """The names of a notebook."""
    names: Names = {}
    monkeypatch.setattr(lab_entry, "get_ipython", lambda: SimpleNamespace(user_ns=names))
    return names


def llama() -> tuple[nn.Module, Any]:
    """A small Llama and its inputs."""
    return ZOO["llama"]()


def answer(found: lab_entry.Answer) -> Any:
    """As the page reads it: through Jupyter's formatter."""
    data, _ = DisplayFormatter().format(found)
    return data["application/json"]["answer"]


def test_a_tab_is_shown_again_as_it_was(shown: list[Studio]) -> None:
    """The same place gives the same studio, with its edits; it fills its tab."""
    lab_entry.show("demo")
    shown[0].session.remove("model.layers[3]")
    lab_entry.show("demo")
    assert shown[1] is shown[0]
    assert "ms-fill" in shown[0]._dom_classes and "ms-cell" not in shown[0]._dom_classes


@pytest.mark.parametrize("name", [".", "model.safetensors", "config.json"])
def test_a_file_of_a_model_opens_the_model(
    name: str, shown: list[Studio], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel works in the model's folder, and what is opened is remembered by its whole path."""
    place = shutil.copytree(FOLDERS["demo"], tmp_path / "llama")
    monkeypatch.chdir(place)
    lab_entry.show(name)
    assert shown[0].session.opened.source == str(place)
    assert keepsakes.recent() == [str(place)]


def test_a_script_opens_with_its_steps(
    shown: list[Studio], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit script is opened on the model it was made on."""
    session = surgery.open("demo")
    session.remove("model.layers[3]")
    session.script.write(tmp_path / "cut.surgery.json")
    monkeypatch.chdir(tmp_path)
    lab_entry.show("cut.surgery.json")
    assert [step.name for step in shown[0].session.steps] == ["remove"]


def test_what_cannot_be_opened_is_a_sentence(shown: list[Studio], tmp_path: Path) -> None:
    """A folder without a model is refused as everywhere, and nothing is displayed."""
    with pytest.raises(SurgeryError):
        lab_entry.show(str(tmp_path))
    assert shown == []


def test_models_of_a_notebook_are_listed_once(names: Names) -> None:
    """Modules and sessions, by the first name that holds them; no losses, classes or names of the shell's."""
    model, inputs = llama()
    names |= {"net": model, "again": model, "loss": nn.CrossEntropyLoss(), "cls": nn.Linear, "_last": model}
    names |= {"head": nn.Linear(3, 2), "number": 3}
    names["s"] = surgery.open(model, inputs)
    found = answer(lab_entry.variables())
    assert [(row["name"], row["kind"]) for row in found] == [("net", "LlamaForCausalLM"), ("head", "Linear")]
    assert found[1]["detail"] == "8 parameters"
    del names["net"], names["again"]
    names["s"].remove("model.layers[1]")
    session = next(row for row in answer(lab_entry.variables()) if row["name"] == "s")
    assert session["code"] == "s.view()"
    assert session["detail"].endswith("with edits")


def test_an_open_session_is_shown(names: Names, shown: list[Studio]) -> None:
    """The session on a model is found by its model, in a variable or in a studio of a cell."""
    model, inputs = llama()
    names |= {"net": model, "s": surgery.open(model, inputs)}
    lab_entry.show_variable("net")
    lab_entry.show_variable("s")
    assert shown[0] is shown[1] and shown[0].session is names["s"]

    names["other"], inputs = llama()
    in_cell = surgery.open(names["other"], inputs).view()
    lab_entry.show_variable("other")
    assert shown[2].session is in_cell.session
    assert shown[2] is not in_cell


def test_a_new_session_gets_a_name(names: Names, shown: list[Studio]) -> None:
    """Cells can go on with it; a name that is taken is left alone."""
    names["net"], _ = llama()
    lab_entry.show_variable("net")
    assert shown[0].session is names["s"]
    assert shown[0].errands.notice is not None and "`s`" in shown[0].errands.notice["text"]
    names["s"].remove("model.layers[0]")
    lab_entry.show_variable("net")
    assert shown[1] is shown[0]

    names["other"], _ = llama()
    lab_entry.show_variable("other")
    assert shown[2].session is names["other_session"] is not names["s"]


def test_a_variable_that_is_gone_is_said(names: Names) -> None:
    """After a restart nothing is there until its cell has run."""
    with pytest.raises(SurgeryError, match=r"net: this kernel has no such variable.*Try: running the cell"):
        lab_entry.show_variable("net")


def test_the_script_runs_in_another_notebook(shown: list[Studio], tmp_path: Path) -> None:
    """It opens the model where it lies and makes the same steps."""
    place = shutil.copytree(FOLDERS["demo"], tmp_path / "a model")
    lab_entry.show(str(place))
    shown[0].session.remove("model.layers[3]")
    shown[0].session.tie("model.layers[5]", to="model.layers.4")
    code = answer(lab_entry.script(str(place)))
    run: Names = {}
    exec(code, run)
    assert run["s"].steps == shown[0].session.steps
    assert run["s"].opened.source == str(place)


def test_the_script_of_a_variable_opens_the_variable(names: Names, shown: list[Studio]) -> None:
    """With the inputs it was opened with, and under the name that the session has."""
    names["net"], names["x"] = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), torch.ones(1, 4)
    names["mine"] = surgery.open(names["net"], names["x"])
    lab_entry.show_variable("net")
    shown[0].session.scale("0", factor=2.0)
    code = answer(lab_entry.script("net"))
    assert code.splitlines()[2] == "mine = surgery.open(net, inputs=x)"
    before = names["mine"]
    exec(code, names)
    assert names["mine"] is not before
    assert names["mine"].steps == before.steps


def test_a_skeleton_stays_one(shown: list[Studio], tmp_path: Path) -> None:
    """A model without weights is opened without them."""
    (tmp_path / "config.json").write_text((FOLDERS["demo"] / "config.json").read_text())
    lab_entry.show(str(tmp_path / "config.json"))
    assert "skeleton=True" in answer(lab_entry.script(str(tmp_path / "config.json")))


def test_settings_are_gone_by(shown: list[Studio], tmp_path: Path) -> None:
    """At the first display and when they change; not when a tab is only shown again."""
    settings = json.dumps({"budget": 7, "device": "cpu", "autosave": str(tmp_path / "kept")})
    lab_entry.show("demo", settings)
    studio = shown[0]
    assert (studio.top.state["budget_s"], studio.top.state["device"]) == (7.0, "cpu")
    studio.session.remove("model.layers[3]")
    studio.background.settle(60)
    assert list((tmp_path / "kept").glob("*.surgery.json"))

    studio.errands.budget_s = 3.0
    lab_entry.show("demo", settings)
    assert studio.errands.budget_s == 3.0
    lab_entry.configure(json.dumps({"budget": 9}))
    assert studio.top.state["budget_s"] == 9.0
    assert keepsakes.autosaves() != tmp_path / "kept"


def test_a_device_that_is_not_there_is_said(shown: list[Studio]) -> None:
    """The studio opens all the same, and says what it left out."""
    lab_entry.show("demo", json.dumps({"device": "cuda:99", "budget": "soon", "autosave": None}))
    assert shown[0].errands.device == "auto"
    assert "cuda:99" in shown[0].top.state["notice"]["text"]
    assert shown[0].top.state["budget_s"] == 2.0


def test_settings_hold_for_the_next_model(shown: list[Studio]) -> None:
    """Another model in the same studio is measured by the same settings."""
    lab_entry.show("demo", json.dumps({"budget": 7, "device": "cpu"}))
    shown[0].begin(surgery.open("demo-cnn"))
    assert (shown[0].errands.budget_s, shown[0].errands.device) == (7.0, "cpu")
