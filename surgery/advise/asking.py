"""Asks an adviser about the current state of a session, which stays as it is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from surgery.advise.advice import Advice
from surgery.advise.case import Case
from surgery.advise.contract import Adviser
from surgery.advise.register import adviser_in
from surgery.errors import SurgeryError
from surgery.evaluate.bench import random_state_kept
from surgery.evaluate.data.examples import Examples
from surgery.evaluate.evaluator import Progress
from surgery.model import private_shell

if TYPE_CHECKING:
    from surgery.history import State
    from surgery.session import Session


def advised(
    session: Session,
    adviser: str | Adviser | type[Adviser],
    *,
    select: str | None,
    budget_s: float,
    shown: Callable[[], Examples],
    device: str,
    progress: Progress | None,
    stop: threading.Event | None,
    fields: dict[str, Any],
) -> tuple[State, Advice]:
    """What `session.advise` gives, see there, and of which state."""
    asked = _asked(adviser, fields)
    if session.is_skeleton:
        raise SurgeryError(
            "a model opened without weights has nothing that could be scored",
            hint="open the model without `skeleton=True`",
        )
    with session.lock:
        state, base = session.history.current, private_shell(session.model)
    case = Case(
        base,
        shown,
        inputs=session.opened.inputs,
        tokenizer=session.opened.tokenizer,
        select=select,
        device=device,
        budget_s=budget_s,
        progress=progress,
        stop=stop,
    )
    case.check()
    with torch.no_grad(), random_state_kept(case.device):
        return state, asked.score(case)


def _asked(adviser: str | Adviser | type[Adviser], fields: dict[str, Any]) -> Adviser:
    if isinstance(adviser, str):
        return adviser_in(adviser, fields)
    if isinstance(adviser, type):
        return adviser.from_fields(fields)
    if fields:
        raise SurgeryError(f"{adviser.name} has its fields already", got=", ".join(fields))
    return adviser
