"""A visitor's kernel: one studio however often it is shown, and a sentence where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import IPython.display
import pytest

import surgery
from surgery.evaluate.device import resolve
from surgery.keeping import memory_bytes
from widgets.studio import Studio
from widgets.voila import kernel


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[Any]]:
    """What was displayed, by a kernel that has just started."""
    found: list[Any] = []
    monkeypatch.setattr(IPython.display, "display", found.append)
    monkeypatch.setattr(kernel, "_studio", None)
    monkeypatch.setenv("SURGERY_KEEPSAKES", str(tmp_path / "keepsakes"))
    for name in ("SURGERY_MODEL", "SURGERY_SCRIPT", "SURGERY_DEVICE"):
        monkeypatch.delenv(name, raising=False)
    yield found
    for one in found:
        one.close()


def test_the_same_studio_is_shown_again(shown: list[Any]) -> None:
    """With the edits that were made, as after a reload."""
    kernel.warm()
    kernel.show()
    shown[0].session.remove("model.layers[1]")
    kernel.show()
    assert isinstance(shown[0], Studio) and shown[0] is shown[1]
    assert len(shown[1].session.steps) == 1


def test_a_refusal_is_shown_and_tried_again(shown: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be opened may be there at the next load."""
    monkeypatch.setenv("SURGERY_MODEL", "no/such/folder")
    kernel.warm(first=True)
    kernel.show()
    assert "there is no such folder" in shown[0].value
    monkeypatch.setenv("SURGERY_MODEL", "demo")
    kernel.show()
    assert isinstance(shown[1], Studio)


def test_an_error_nobody_foresaw_is_a_sentence(
    shown: list[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its traceback is in the log, and nothing of it on the page."""

    def broken() -> None:
        raise ZeroDivisionError("a secret detail")

    monkeypatch.setattr(kernel, "asked_session", broken)
    kernel.show()
    assert "Something went wrong that should not" in shown[0].value
    assert "secret" not in shown[0].value and "Zero" not in shown[0].value
    assert "a secret detail" in caplog.text


def test_a_script_is_begun_with(shown: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On the model it was made on, or on the one that is named."""
    session = surgery.open("demo")
    session.remove("model.layers[1]")
    place = session.script.write(tmp_path / "edits.surgery.json")
    monkeypatch.setenv("SURGERY_SCRIPT", str(place))
    assert len(kernel.asked_session().steps) == 1
    monkeypatch.setenv("SURGERY_MODEL", "demo-cnn")
    with pytest.raises(surgery.SurgeryError, match="made on another model"):
        kernel.asked_session()


def test_only_small_models_are_opened_ahead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A spare copy of a large one would fill the memory that a visitor needs."""
    monkeypatch.delenv("SURGERY_SCRIPT", raising=False)
    monkeypatch.setenv("SURGERY_MODEL", str(tmp_path))
    assert kernel._is_small()
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(int(memory_bytes() * kernel.SMALL) + 1)
    assert not kernel._is_small()
    monkeypatch.setenv("SURGERY_MODEL", "owner/name")
    assert not kernel._is_small()


def test_the_device_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `auto` means is what the server was started with; one that is not there is refused."""
    monkeypatch.setenv("SURGERY_DEVICE", "cpu")
    assert resolve("auto").type == "cpu"
    monkeypatch.setenv("SURGERY_DEVICE", "cuda:99")
    with pytest.raises(surgery.SurgeryError, match="no such device"):
        resolve("auto")
