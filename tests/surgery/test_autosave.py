"""What a process left behind is found by the next one, and made again."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
import weakref
from pathlib import Path

import pytest

import surgery
from surgery import SurgeryError
from surgery.autosave import MOST, Autosave, left_behind
from surgery.session import Session
from tests.tested import child_path
from tests.zoo import ZOO

KILLED = """
import os, signal, sys
import surgery
from surgery.autosave import Autosave
from tests.zoo import ZOO
session = surgery.open(*ZOO["llama"]())
autosave = Autosave(session, sys.argv[1])
session.remove("model.layers[1]")
session.tie("model.layers[2]", to="model.layers.0")
autosave.keep()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def session() -> Session:
    """The small Llama of four blocks."""
    return surgery.open(*ZOO["llama"]())


def test_a_killed_process_leaves_its_steps(session: Session, tmp_path: Path) -> None:
    """They are found for the same model, made again, and gone once they are discarded."""
    environment = {**os.environ, "PYTHONPATH": child_path()}
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=environment, check=False)
    assert ended.returncode < 0
    (left,) = left_behind(session, tmp_path)
    assert [step.name for step in left.script.steps] == ["remove", "tie"]
    left.restore(session)
    assert session.steps == left.script.steps
    left.discard()
    assert left_behind(session, tmp_path) == [] and list(tmp_path.iterdir()) == []


def test_what_a_living_process_keeps_is_its_own(session: Session, tmp_path: Path) -> None:
    """Two sessions at once do not offer each other their steps."""
    autosave = Autosave(session, tmp_path)
    session.remove("model.layers[1]")
    autosave.keep()
    other = surgery.open(*ZOO["llama"]())
    assert left_behind(other, tmp_path) == []
    assert autosave._lock is not None
    autosave._lock.release()  # as the system does when a process ends
    assert len(left_behind(other, tmp_path)) == 1
    assert left_behind(surgery.open(*ZOO["cnn"]()), tmp_path) == []  # another model


def test_it_follows_the_current_state(session: Session, tmp_path: Path) -> None:
    """Undone is not kept; without steps, or once they are saved elsewhere, nothing is left."""
    autosave = Autosave(session, tmp_path)
    autosave.keep()
    assert list(tmp_path.iterdir()) == []
    session.remove("model.layers[1]")
    session.remove("model.layers[1]")
    autosave.keep()
    session.undo()
    autosave.keep()
    assert len(surgery.Script.read(autosave.place).steps) == 1
    session.undo()
    autosave.keep()
    assert list(tmp_path.iterdir()) == []
    session.redo()
    autosave.keep()
    session.history.saved(session.history.current)
    autosave.keep()
    assert list(tmp_path.iterdir()) == []
    session.redo()
    autosave.keep()
    assert len(surgery.Script.read(autosave.place).steps) == 2


def test_a_refused_step_restores_nothing(session: Session, tmp_path: Path) -> None:
    """The model is another one by now: it stays as it was."""
    autosave = Autosave(session, tmp_path)
    session.remove("model.layers[0]")
    session.scale("model.layers[2]", factor=0.5)
    autosave.keep()
    assert autosave._lock is not None
    autosave._lock.release()
    other = surgery.open(*ZOO["llama"]())
    other.remove("model.layers[0]")
    before = other.history.current
    (left,) = left_behind(other, tmp_path)
    states = len(list(other.history))
    with pytest.raises(SurgeryError):
        left.restore(other)
    assert (
        other.history.current is before and len(list(other.history)) == states and not other.history.can_redo
    )


def test_old_files_are_tidied_up(session: Session, tmp_path: Path) -> None:
    """Those that are too many or too old, and nothing that is none of them."""
    for number in range(MOST + 5):
        (tmp_path / f"{number}.surgery.json").write_text("{}")
    old = tmp_path / "old.surgery.json"
    old.write_text("{}")
    os.utime(old, (time.time() - 1e8,) * 2)
    (tmp_path / "notes.txt").write_text("mine")
    autosave = Autosave(session, tmp_path)
    session.remove("model.layers[1]")
    autosave.keep()
    found = {place.name for place in tmp_path.iterdir() if not place.name.startswith(".")}
    assert len(found) == MOST + 2 and {autosave.place.name, "notes.txt"} <= found and old.name not in found


def test_a_folder_that_cannot_be_written_is_said(session: Session, tmp_path: Path) -> None:
    """In a sentence."""
    (tmp_path / "file").write_text("")
    session.remove("model.layers[1]")
    with pytest.raises(SurgeryError, match="the steps cannot be kept here"):
        Autosave(session, tmp_path / "file" / "below").keep()


def test_a_session_is_not_kept_alive(tmp_path: Path) -> None:
    """It goes with the last who holds it; what it had not saved can be found then."""
    session = surgery.open(*ZOO["llama"]())
    autosave = Autosave.of(session, tmp_path)
    assert Autosave.of(session, tmp_path) is autosave
    session.remove("model.layers[1]")
    autosave.keep()
    gone = weakref.ref(session)
    del session, autosave
    gc.collect()
    assert gone() is None
    assert len(left_behind(surgery.open(*ZOO["llama"]()), tmp_path)) == 1
