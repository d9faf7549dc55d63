"""Opening by hand, what is remembered, and what a killed kernel left behind."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery.autosave import Autosave, left_behind
from surgery.script import Base, Script
from tests.widgets.test_studio import cells, send
from tests.zoo import ZOO
from widgets import folders, keepsakes
from widgets.studio import Studio


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered lies in a folder of this test's own."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))


@pytest.fixture
def studio() -> Studio:
    """The studio on the small Llama of four blocks."""
    return Studio(surgery.open(*ZOO["llama"]()))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A saved model with a script, beside a folder and what cannot be opened."""
    place = tmp_path / "models"
    place.mkdir()
    session = surgery.open(*ZOO["llama"]())
    session.remove("model.layers[1]")
    session.save(place / "llama")
    (place / "empty").mkdir()
    (place / "notes.txt").write_text("no model")
    again = surgery.open(place / "llama")
    again.remove("model.layers[0]")
    again.script.write(place / "cut.surgery.json")
    return place


def shown(studio: Studio) -> Any:
    """What the file panel shows."""
    return studio.files.state["shown"]


def test_a_folder_lists_what_can_be_opened(studio: Studio, model: Path) -> None:
    """Models first, with their size; then scripts and folders."""
    assert shown(studio) is None
    send(studio.files, type="browse", path=str(model))
    entries = [(entry["kind"], entry["name"]) for entry in shown(studio)["entries"]]
    assert entries == [("model", "llama"), ("script", "cut.surgery.json"), ("folder", "empty")]
    assert shown(studio)["entries"][0]["detail"].endswith("kB") and shown(studio)["entries"][0]["fits"]
    assert shown(studio)["here"] is None
    send(studio.files, type="browse", path=str(model / "llama"))
    assert shown(studio)["here"]["path"] == str(model / "llama")
    send(studio.files, type="browse", path=str(model / "no such"))
    assert "cannot be read" in shown(studio)["problem"]["text"]
    assert shown(studio)["folder"] == str(model / "llama")
    send(studio.files, type="close")
    assert shown(studio) is None


def test_what_does_not_fit_says_so(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights beyond most of the memory are left where they are."""
    monkeypatch.setattr(folders, "memory_bytes", lambda: 1000)
    fits = {entry["name"]: entry["fits"] for entry in folders.listing(str(model))["entries"]}
    assert fits == {"llama": False, "cut.surgery.json": True, "empty": True}


def test_another_model_takes_the_place(studio: Studio, model: Path) -> None:
    """The same panels show it, its edits are its own, and it is remembered."""
    studio.session.remove("model.layers[0]")
    studio.refresh()
    before, panels = studio.session, studio.children
    send(studio.files, type="open", source=str(model / "llama"), skeleton=False)
    studio.background.settle(60)
    assert studio.session is not before and studio.children is panels
    assert len(cells(studio)) == 3 and studio.session.steps == ()
    send(studio.centre, type="select", paths=["model.layers.1"], mode="set")
    send(studio.centre, type="key", key="P")
    studio.background.settle(60)
    send(studio.right, type="apply")
    assert [step.name for step in studio.session.steps] == ["remove"] and len(before.steps) == 1
    assert keepsakes.recent() == [str(model / "llama")]


def test_a_script_opens_its_model_with_its_steps_made(studio: Studio, model: Path) -> None:
    """Undo leads back to the model as it was."""
    send(studio.files, type="open", source=str(model / "cut.surgery.json"), skeleton=False)
    studio.background.settle(60)
    assert [step.name for step in studio.session.steps] == ["remove"] and len(cells(studio)) == 2
    send(studio.top, type="undo")
    assert len(cells(studio)) == 3


def test_what_cannot_be_opened_leaves_what_is_open(studio: Studio, model: Path) -> None:
    """A sentence, and nothing is remembered."""
    before = studio.session
    send(studio.files, type="open", source=str(model / "empty"), skeleton=False)
    studio.background.settle(60)
    assert studio.session is before
    assert studio.top.state["notice"]["tone"] == "bad" and studio.top.state["saving"] is None
    assert keepsakes.recent() == []


def test_a_skeleton_is_opened_where_asked(studio: Studio, model: Path) -> None:
    """Without weights."""
    send(studio.files, type="open", source=str(model / "llama"), skeleton=True)
    studio.background.settle(60)
    assert studio.session.is_skeleton


def left_by_another() -> None:
    """Two steps on the small Llama, kept by a process that is gone."""
    session = surgery.open(*ZOO["llama"]())
    autosave = Autosave(session, keepsakes.autosaves())
    session.remove("model.layers[1]")
    session.scale("model.layers[0]", factor=0.5)
    autosave.keep()
    assert autosave._lock is not None
    autosave._lock.release()


def test_what_was_left_behind_is_offered_and_restored() -> None:
    """Then it is the session's own, and kept as such."""
    left_by_another()
    studio = Studio(surgery.open(*ZOO["llama"]()))
    studio.background.settle(60)
    offered = studio.top.state["restore"]
    assert (offered["count"], offered["steps"]) == (2, "remove layers[1], scale layers[0] factor 0.5")
    send(studio.top, type="restore", restore=True)
    studio.background.settle(60)
    assert len(studio.session.steps) == 2 and len(cells(studio)) == 3
    assert studio.top.state["restore"] is None
    assert [place.name for place in keepsakes.autosaves().glob("*.json")] == [
        studio.recovery.autosave.place.name
    ]


def test_what_was_left_behind_can_be_forgotten() -> None:
    """It is not offered again."""
    left_by_another()
    studio = Studio(surgery.open(*ZOO["llama"]()))
    studio.background.settle(60)
    send(studio.top, type="restore", restore=False)
    assert studio.top.state["restore"] is None
    again = Studio(surgery.open(*ZOO["llama"]()))
    again.background.settle(60)
    assert again.top.state["restore"] is None


@pytest.mark.parametrize("by", ["hand", "code"])
def test_saving_ends_the_autosave(studio: Studio, tmp_path: Path, by: str) -> None:
    """What is saved elsewhere need not be restored."""
    studio.session.remove("model.layers[1]")
    studio.refresh()
    studio.background.settle(60)
    assert len(list(keepsakes.autosaves().glob("*.json"))) == 1
    if by == "hand":
        send(studio.top, type="save_script", path=str(tmp_path / "edits.surgery.json"))
    else:
        studio.session.save(tmp_path / "out")
    studio.background.settle(60)
    assert list(keepsakes.autosaves().glob("*.json")) == []


def test_a_script_runs_no_code_and_opens_no_other_model(
    studio: Studio, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A factory that it names is refused, and so is a base whose content is another by now."""
    (tmp_path / "evil_module.py").write_text("raise SystemExit('it ran')")
    monkeypatch.syspath_prepend(str(tmp_path))
    crafted = Script(Base("evil_module:make", "Linear", None), ()).write(tmp_path / "crafted.surgery.json")
    before = studio.session
    send(studio.files, type="open", source=str(crafted), skeleton=False)
    studio.background.settle(60)
    assert "a script runs none unasked" in studio.top.state["notice"]["text"] and studio.session is before
    changed = surgery.open(model / "llama")
    changed.scale("lm_head", factor=2.0)
    changed.save(model / "llama", overwrite=True)
    send(studio.files, type="open", source=str(model / "cut.surgery.json"), skeleton=False)
    studio.background.settle(60)
    assert "the content differs" in studio.top.state["notice"]["text"] and studio.session is before


def test_pending_edits_are_not_lost_to_another_model(studio: Studio, model: Path) -> None:
    """They are applied or dropped first."""
    send(studio.centre, type="select", paths=["model.layers.1"], mode="set")
    send(studio.centre, type="key", key="P")
    studio.background.settle(60)
    send(studio.right, type="pend")
    studio.background.settle(60)
    before = studio.session
    send(studio.files, type="open", source=str(model / "llama"), skeleton=False)
    studio.background.settle(60)
    assert studio.session is before and "1 pending edit would be lost" in studio.top.state["notice"]["text"]


def test_steps_are_offered_only_on_the_model_they_were_made_on() -> None:
    """Not on another of the same class."""
    first = surgery.open(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)), torch.ones(1, 2))
    autosave = Autosave(first, keepsakes.autosaves())
    first.skip("1")
    autosave.keep()
    assert autosave._lock is not None
    autosave._lock.release()
    other = surgery.open(nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2)), torch.ones(1, 2))
    same = surgery.open(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)), torch.ones(1, 2))
    assert left_behind(other, keepsakes.autosaves()) == []
    assert len(left_behind(same, keepsakes.autosaves())) == 1


def test_an_edit_made_during_a_save_is_kept(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was saved is the state before it."""
    studio.session.remove("model.layers[1]")
    studio.refresh()
    studio.background.settle(60)
    held, write = threading.Event(), Script.write
    monkeypatch.setattr(
        Script,
        "write",
        lambda self, path: (held.wait(60) if "edits" in str(path) else None, write(self, path))[1],
    )
    send(studio.top, type="save_script", path=str(tmp_path / "edits.surgery.json"))
    studio.session.remove("model.layers[1]")
    studio.refresh()
    held.set()
    studio.background.settle(60)
    (kept,) = keepsakes.autosaves().glob("*.json")
    assert len(Script.read(kept).steps) == 2 and len(Script.read(tmp_path / "edits.surgery.json").steps) == 1


def test_a_file_of_another_kind_is_not_replaced(studio: Studio, tmp_path: Path) -> None:
    """A picture is no text file; where nothing can be written a sentence says so."""
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    for kind in ("save_script", "save_report", "save_picture"):
        send(studio.top, type=kind, path=str(notes))
        studio.background.settle(60)
        assert "is a file that ends so" in studio.top.state["notice"]["text"]
    assert notes.read_text() == "mine"
    send(studio.top, type="save_picture", path=str(notes / "below.svg"))
    studio.background.settle(60)
    assert studio.top.state["notice"]["text"].startswith(f"{notes}/below.svg: cannot write the picture")
    send(studio.top, type="save_picture", path=str(tmp_path / "model.svg"))
    studio.background.settle(60)
    assert (tmp_path / "model.svg").read_text().startswith("<svg")


def test_a_place_that_keeps_nothing_opens_models_all_the_same(
    studio: Studio, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only nothing is remembered."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", "/dev/null/nowhere")
    send(studio.files, type="open", source=str(model / "llama"), skeleton=False)
    studio.background.settle(60)
    assert len(cells(studio)) == 3 and keepsakes.recent() == []
