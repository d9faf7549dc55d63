"""What a tab of JupyterLab asks of its kernel: the studio on a place or a variable, its script, the settings.

The extension (`widgets/lab`) calls these functions by name, with texts; answers are JSON.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import display
from torch import nn

import surgery
from graph.units import short
from surgery.errors import SurgeryError
from surgery.script import python_of_all
from surgery.session import Session
from widgets.filing import opened
from widgets.keepsakes import AUTOSAVE, remember
from widgets.settings import Settings
from widgets.studio import STUDIOS, Studio

_tabs: dict[str, Studio] = {}
"""Of this kernel's own tabs, by what they were opened on."""

_beside: dict[int, Studio] = {}
"""On sessions of the notebook whose kernel this is, by the session's id; a studio keeps its session."""


@dataclass(frozen=True)
class Answer:
    """What the page reads out of a reply."""

    value: Any

    def _repr_json_(self) -> dict[str, Any]:
        return {"answer": self.value}


def show(source: str, settings: str = "{}") -> None:
    """Displays the studio on a place: the one there is, edits and all, or a new one.

    `source`: a folder, a file in a model's folder, an edit script, or a name that `surgery.open` knows.
    Raises SurgeryError for what cannot be opened.
    """
    if source not in _tabs:
        chosen = _chosen(settings)
        place = _place(source)
        _tabs[source] = _studio(opened(place), chosen)
        if place != "demo":
            remember(place)
    _display(_tabs[source])


def show_variable(name: str, settings: str = "{}") -> None:
    """Displays the studio on a variable of the notebook: on the session there is of it, or a new one.

    A new session gets a name in the notebook, so that cells can go on with it; the studio says which.
    Raises SurgeryError if the variable is gone or holds no model.
    """
    names = _names()
    value = names.get(name)
    if not isinstance(value, nn.Module | Session):
        raise SurgeryError(
            "this kernel has no such variable, or it holds no model",
            path=name,
            got=type(value).__name__ if name in names else None,
            hint="running the cell that makes it",
        )
    session, told = _session_of(value), None
    if session is None:
        assert isinstance(value, nn.Module)
        session = surgery.open(value)
        told = _name(session, name)
    if id(session) not in _beside:
        _beside[id(session)] = studio = _studio(session, _chosen(settings))
        if told is not None and studio.errands.notice is None:
            studio.errands.say(
                {"text": f"In the notebook this session is `{told}`.", "tone": "good", "hint": None}
            )
    _display(_beside[id(session)])


def variables() -> Answer:
    """The models that variables of this kernel hold, each once, whether by itself or in a session."""
    found: dict[int, dict[str, str]] = {}
    for name, value in _models():
        session = _session_of(value)
        module: nn.Module = value if session is None else session.model  # type: ignore[assignment]
        count = sum(parameter.numel() for parameter in module.parameters())
        if count:  # a loss function has none
            kind = type(module if session is None else session.opened.model).__name__
            detail = f"{short(count)} parameters" + (", with edits" if session and session.steps else "")
            code = f"{name}.view()" if isinstance(value, Session) else f"surgery.open({name}).view()"
            row = {"name": name, "kind": kind, "detail": detail, "code": code}
            found.setdefault(id(session if session is not None else value), row)
    return Answer(list(found.values()))


def script(name: str) -> Answer:
    """The Python that makes the edits so far, in a notebook that has not made them.

    `name`: what the studio was shown on, a source or a variable. Raises SurgeryError if nothing was.
    """
    if name in _tabs:
        session = _tabs[name].session
        return Answer(_python(session, _opening(session), "s"))
    value = _names().get(name)
    shown = _session_of(value) if isinstance(value, nn.Module | Session) else None
    if shown is None:
        raise SurgeryError("there is no studio on it in this kernel", path=name)
    own = next((known for known, held in _models() if held is shown), "s")
    return Answer(_python(shown, _reopening(shown, own), own))


def configure(settings: str) -> Answer:
    """The studios of this kernel go by these settings from now on."""
    chosen = _chosen(settings)
    for studio in [*_tabs.values(), *_beside.values()]:
        chosen.apply(studio)
    return Answer(None)


def _studio(session: Session, chosen: Settings) -> Studio:
    studio = Studio(session)
    studio.remove_class("ms-cell").add_class("ms-fill")
    chosen.apply(studio)
    return studio


def _chosen(settings: str) -> Settings:
    """The settings that a text says, of which the folder holds for whatever is opened from now on."""
    chosen = Settings.read(json.loads(settings))
    if chosen.autosave:
        os.environ[AUTOSAVE] = chosen.autosave
    else:
        os.environ.pop(AUTOSAVE, None)
    return chosen


def _display(studio: Studio) -> None:
    display(studio)  # type: ignore[no-untyped-call]


def _place(source: str) -> str:
    """What is opened where a file is named: the script, or the model whose file it is."""
    if source.endswith(".surgery.json"):
        return str(Path(source).resolve())
    if source == "." or source.endswith((".safetensors", ".safetensors.index.json", "config.json")):
        place = Path(source).resolve()
        return str(place if place.is_dir() else place.parent)
    return source


# The notebook's names ---------------------------------------------------------------------------


def _names() -> MutableMapping[str, Any]:
    shell = get_ipython()
    return {} if shell is None else shell.user_ns


def _models() -> Iterator[tuple[str, nn.Module | Session]]:
    """Variables that hold a model or a session, as they were made; not the shell's own."""
    for name, value in list(_names().items()):
        if not name.startswith("_") and isinstance(value, nn.Module | Session):
            yield name, value


def _session_of(value: nn.Module | Session) -> Session | None:
    """The session that a value is, or that is open on the model it is."""
    if isinstance(value, Session):
        return value
    module = getattr(value, "_orig_mod", value)  # what torch.compile has wrapped
    known = [held for _, held in _models() if isinstance(held, Session)]
    for session in [*known, *(studio.session for studio in STUDIOS)]:
        if session.opened.model is module or session.model is module:
            return session
    return None


def _name(session: Session, model: str) -> str | None:
    """Gives a new session a name that is free; None if none is."""
    names = _names()
    for name in ("s", f"{model}_session"):
        if name not in names:
            names[name] = session
            return name
    return None


# The script as Python ---------------------------------------------------------------------------


def _python(session: Session, opening: str, name: str) -> str:
    steps = re.sub(r"^s\.", f"{name}.", python_of_all(session.steps), flags=re.MULTILINE)
    return f"import surgery\n\n{name} = surgery.open({opening})\n{steps}".rstrip()


def _opening(session: Session) -> str:
    """The arguments of `surgery.open` for a model that lies somewhere."""
    source: str = json.dumps(session.opened.source, ensure_ascii=False)
    return source + (", skeleton=True" if session.is_skeleton else "")


def _reopening(session: Session, own: str) -> str:
    """The arguments of `surgery.open` for a model of the notebook; without a name, that of the session."""
    if session.opened.source is not None:
        return _opening(session)
    names = {id(value): name for name, value in reversed([*_names().items()]) if not name.startswith("_")}
    model: str = names.get(id(session.opened.model), f"{own}.opened.model")
    if session.opened.guessed or session.opened.inputs is None:
        return model
    return f"{model}, inputs={names.get(id(session.opened.inputs), f'{own}.opened.inputs')}"
