"""The panels' Python end: state out, messages in, without a browser."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import ipywidgets
import pytest

from tests.tested import child_path
from widgets import panels

NAMES = ["topbar", "outline", "canvas", "inspector", "history", "report", "shelf", "prompt"]
CLASSES = [
    panels.TopbarPanel,
    panels.OutlinePanel,
    panels.CanvasPanel,
    panels.InspectorPanel,
    panels.HistoryPanel,
    panels.ReportPanel,
    panels.ShelfPanel,
    panels.PromptPanel,
]
BUILT = all((panels.STATIC / f"{name}.js").is_file() for name in NAMES)
needs_build = pytest.mark.skipif(not BUILT, reason=f"run {panels.BUILD_COMMAND}")


@pytest.fixture
def canvas() -> Iterator[panels.CanvasPanel]:
    """A panel that is closed afterwards."""
    panel = panels.CanvasPanel()
    yield panel
    panel.close()


@needs_build
@pytest.mark.parametrize("cls", CLASSES, ids=NAMES)
def test_a_panel_carries_its_code_and_the_stylesheet(cls: type[panels.Panel]) -> None:
    """Every panel is a widget with its own module, the shared styles and a sentence about itself."""
    panel = cls(state={"empty": "nothing yet"})

    assert isinstance(panel, ipywidgets.DOMWidget)
    assert "export" in str(panel._esm)
    assert ".ms-studio" in str(panel._css)
    assert panel.state == {"empty": "nothing yet"}
    assert cls.__doc__


@needs_build
def test_a_new_state_is_sent_to_the_browser(
    canvas: panels.CanvasPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replacing `state` syncs the whole of it, as JSON."""
    sent: list[object] = []
    monkeypatch.setattr(canvas, "send_state", lambda key=None: sent.append(key))

    canvas.state = {"selection": ["model.layers.3"]}

    assert sent == ["state"]
    assert json.loads(json.dumps(canvas.get_state("state")["state"])) == {"selection": ["model.layers.3"]}


@needs_build
def test_a_message_reaches_the_handler_of_its_type(canvas: panels.CanvasPanel) -> None:
    """Handlers get the message as the browser sent it; the last one registered counts."""
    seen: list[panels.Message] = []
    canvas.on("select", lambda message: pytest.fail("replaced"))
    canvas.on("select", seen.append)
    canvas.on("open", lambda message: pytest.fail("another type"))

    canvas._handle_custom_msg({"type": "select", "paths": ["a.b"], "mode": "set"}, [])

    assert seen == [{"type": "select", "paths": ["a.b"], "mode": "set"}]


@needs_build
@pytest.mark.parametrize(
    "message",
    [None, "select", [], {}, {"type": None}, {"type": 3}, {"type": ["select"]}, {"type": "format_disk"}],
    ids=repr,
)
def test_unknown_and_malformed_messages_are_logged_and_ignored(
    canvas: panels.CanvasPanel, caplog: pytest.LogCaptureFixture, message: object
) -> None:
    """What the browser sends is not trusted: nothing is called, a warning says what came."""
    canvas.on("select", lambda message: pytest.fail("not for this message"))

    with caplog.at_level(logging.WARNING, logger="widgets.panels"):
        canvas._handle_custom_msg(message, [])

    assert [record.levelname for record in caplog.records] == ["WARNING"]


@needs_build
def test_a_handler_that_fails_is_logged_and_the_next_message_arrives(
    canvas: panels.CanvasPanel, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception never ends the comm."""
    seen: list[panels.Message] = []

    def fail(message: panels.Message) -> None:
        raise ValueError("no such path")

    canvas.on("open", fail)
    canvas.on("select", seen.append)

    canvas._handle_custom_msg({"type": "open", "path": "x"}, [])
    canvas._handle_custom_msg({"type": "select", "paths": [], "mode": "set"}, [])

    assert len(seen) == 1
    assert "no such path" in caplog.text


def test_without_a_build_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A checkout that was never built says how to build it, and only once a panel is made."""
    monkeypatch.setattr(panels, "STATIC", tmp_path / "static")

    class Unbuilt(panels.Panel, bundle="canvas"):
        """A panel whose files are missing."""

    with pytest.raises(FileNotFoundError, match="npm --prefix widgets/frontend ci"):
        Unbuilt()


def test_the_panels_import_without_the_engine() -> None:
    """The panels are plain widgets: they load neither torch nor the engine."""
    code = "import sys, widgets.panels; assert not {'torch', 'surgery', 'graph'} & set(sys.modules)"
    environment = {**os.environ, "PYTHONPATH": child_path()}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stderr == ""
