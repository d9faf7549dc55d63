"""A visitor's kernel: made ready beforehand, it shows one studio, however often the page is loaded."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import ipywidgets

from surgery import fence
from surgery.errors import SurgeryError
from surgery.keeping import memory_bytes
from surgery.session import Session
from widgets.filing import opened
from widgets.folders import size_of
from widgets.opening import broken_card, refusal_card
from widgets.studio import Studio

SMALL = 0.05
"""Of the machine's memory: a model up to that is opened by each spare kernel, a larger one by the first."""

_log = logging.getLogger(__name__)
_begun = False
_studio: Studio | None = None


def begin() -> None:
    """The fence is held by the interpreter from here on, where there is one."""
    global _begun
    if _begun:
        return
    _begun = True
    logging.getLogger("Comm").setLevel(logging.ERROR)  # else each page that is closed is worth a line
    limits = fence.current()
    if limits is not None:
        from surgery.fence.hook import listen

        listen(limits)


def warm(*, first: bool = False) -> None:
    """All that can be done before anybody has come: what is imported, and the studio where that is cheap.

    The `first` kernel is for whoever started the server, and opens the model whatever it weighs.
    """
    global _studio
    begin()
    if _studio is not None:  # somebody came while this was on its way
        return
    try:
        if first or _is_small():
            _studio = Studio(asked_session(), fills_window=True)
            _studio.background.settle()
        else:
            opened("demo")  # for what it imports
    except SurgeryError:
        pass  # said to the visitor, when there is one
    except Exception:
        _log.exception("the kernel could not be made ready")


def show() -> None:
    """Displays the studio, filling the window; where nothing can be opened, why, with the way out."""
    from IPython.display import display

    global _studio
    shown: ipywidgets.Widget
    try:
        begin()
        if _studio is None:
            _studio = Studio(asked_session(), fills_window=True)
        else:
            _studio.recovery.look()  # what the visitor left before this kernel was theirs
        shown = _studio
    except SurgeryError as error:
        shown = refusal_card(error)
    except Exception:
        _log.exception("the studio could not be opened")
        shown = broken_card()
    display(shown)  # type: ignore[no-untyped-call]


def asked_session() -> Session:
    """A session on what the server was started with: model, script, or both; else the demonstration."""
    model, script = os.environ.get("SURGERY_MODEL"), os.environ.get("SURGERY_SCRIPT")
    return opened(script, model=model) if script else opened(model or "demo")


def _is_small() -> bool:
    """Whether what is asked for can be opened again and again, before anybody wants it."""
    model, script = os.environ.get("SURGERY_MODEL"), os.environ.get("SURGERY_SCRIPT")
    if script is not None:
        return False
    return model is None or (Path(model).is_dir() and size_of(Path(model)) < SMALL * memory_bytes())
