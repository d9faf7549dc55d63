"""The panels of the studio as anywidgets: a state that is shown, and messages that come back.

A panel holds no logic: `state` is plain JSON as the `protocol.ts` beside its code describes it, and what a
person does arrives as a custom message `{"type": ..., ...}` for which a handler is registered.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

STATIC = Path(__file__).parent / "static"
BUILD_COMMAND = "npm --prefix widgets/frontend ci && npm --prefix widgets/frontend run build"

Message = dict[str, Any]
Handler = Callable[[Message], object]
FAILED = "That did not work: something went wrong that should not. What it was, the log says."

_log = logging.getLogger(__name__)


class Panel(anywidget.AnyWidget):
    """One panel: a synced `state` (replaced as a whole, never changed in place) and its messages.

    `lasting` is that part of the state which most gestures leave as it is: it is sent when it changes.
    """

    lasting: "traitlets.Dict[str, Any]" = traitlets.Dict().tag(sync=True)
    state: "traitlets.Dict[str, Any]" = traitlets.Dict().tag(sync=True)

    def __init_subclass__(cls, *, bundle: str = "", **kwargs: Any) -> None:
        """Take the code from `static/<bundle>.js`; the stylesheet is one for all panels."""
        cls._bundle = bundle
        if bundle and not _missing(bundle):
            cls._esm = STATIC / f"{bundle}.js"
            cls._css = STATIC / "studio.css"
        super().__init_subclass__(**kwargs)

    def __init__(self, **kwargs: Any) -> None:
        missing = _missing(self._bundle)
        if missing:
            raise FileNotFoundError(f"{missing[0]}: the panels are not built. Try: {BUILD_COMMAND}")
        super().__init__(**kwargs)
        self._handlers: dict[str, Handler] = {}
        self.failed: Callable[[str], object] = lambda sentence: None  # tells a person; set by the studio
        self.on_msg(self._dispatch)

    def on(self, type: str, handler: Handler) -> None:
        """Call `handler(message)` for messages of this type, in place of an earlier handler."""
        self._handlers[type] = handler

    def _dispatch(self, _widget: object, message: object, _buffers: object) -> None:
        """Pass a message on; whatever is wrong with it is logged, since an error would end the comm."""
        kind = message.get("type") if isinstance(message, dict) else None
        if not isinstance(message, dict) or not isinstance(kind, str):
            _log.warning("%s: malformed message ignored: %.200r", self._bundle, message)
            return
        handler = self._handlers.get(kind)
        if handler is None:
            _log.warning("%s: message of unknown type %.80r ignored", self._bundle, kind)
            return
        try:
            handler(message)
        except Exception:
            _log.exception("%s: the handler of %r failed", self._bundle, kind)
            self.failed(FAILED)


def _missing(bundle: str) -> list[Path]:
    """The files of a panel that are not built."""
    return [path for path in (STATIC / f"{bundle}.js", STATIC / "studio.css") if not path.is_file()]


class TopbarPanel(Panel, bundle="topbar"):
    """Name, figures as before → after, device; evaluate, undo, redo, save; progress and notices."""


class OutlinePanel(Panel, bundle="outline"):
    """The module tree with selector search: every action of the graph, for keyboard and screen reader."""


class CanvasPanel(Panel, bundle="canvas"):
    """The graph: strips of equal blocks, the opened block under its cell, ties as threads."""


class InspectorPanel(Panel, bundle="inspector"):
    """The selection, the verbs that fit it, the operation's form, its dry run, Apply."""


class HistoryPanel(Panel, bundle="history"):
    """The tree of states with their metric, and the script that says the same."""


class ReportPanel(Panel, bundle="report"):
    """The report of the last evaluation: before, after, change, interval."""


class MenuPanel(Panel, bundle="menu"):
    """The palette of all commands, the menu at a node, and the list of keys; nothing until asked for."""


class ComparePanel(Panel, bundle="compare"):
    """Two states side by side over the graph; nothing until asked for."""


class PromptPanel(Panel, bundle="prompt"):
    """The prompt bench over the graph: both models' answers, and who is to blame; nothing until asked for."""


class FilesPanel(Panel, bundle="files"):
    """Folders, recent models and a place to type another source; nothing until asked for."""


class ShelfPanel(Panel, bundle="shelf"):
    """Parents beside the model: a strip row each, weights over depth, the step that merges them."""
