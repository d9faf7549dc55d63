"""What is dragged from the shelf into the model: a parent's block for its own place, or an adapter."""

from __future__ import annotations

from typing import Any

from graph.naming import selector_of
from graph.paths import is_below
from surgery.checkpoint.parents import running_statistics
from surgery.errors import SurgeryError
from surgery.merging.fit import fit
from surgery.merging.vocabularies import Vocabulary
from surgery.operation import Operation
from surgery.registry import operation_named
from surgery.session import Session
from widgets.shelf.curves import schedule
from widgets.shelf.method import ADOPT
from widgets.shelf.row import Row


def adopted_block(
    session: Session, row: Row, path: str, target: str | None, vocabulary: Vocabulary = "same"
) -> Operation:
    """The step after which the part at `path` is the parent's: of that part, only the parent counts.

    `target` is where it was dropped: that very part, or something around it. SurgeryError for another place,
    and for a part that does not fit. Of an adapter, the part carries what it has for it.
    """
    found = _read(row)
    if target is not None and not is_below(path, target):
        raise SurgeryError(
            "a parent's block takes the place that it has there",
            path=target,
            got=f"{path} of {row.alias}",
            expected=path,
        )
    with session.lock:
        graph, patient = session.graph, session.patient
        if not path or path not in graph:
            raise SurgeryError("no module is called so in this state", path=path or "(root)")
        select = selector_of([path], graph)
        fitting = fit(patient, found, [path], vocabulary)
        statistics = running_statistics(patient, [path])
    if path in fitting.refused:
        raise fitting.refused[path]
    if row.is_adapter:
        if path not in fitting.touched:
            raise SurgeryError("this adapter changes nothing here", path=path, got=row.alias)
        return adopted_adapter(row, select)
    values: dict[str, Any] = {"targets": select, "parents": [row.parent], "t": 1.0}
    values |= {"statistics": "parents"} if statistics else {}
    values |= {"vocabulary": vocabulary} if vocabulary != "same" else {}
    return operation_named("soup").from_fields(values)


def adopted_adapter(row: Row, select: str) -> Operation:
    """The step after which the modules selected carry the adapter, times the weight of its row."""
    _read(row)
    if not row.is_adapter:
        raise SurgeryError("is no adapter", path=row.alias, got=row.source, hint="dragging one of its blocks")
    weight = schedule(row.curve)
    if isinstance(weight, tuple):
        raise SurgeryError(
            "adopt takes one weight for all depths", path=row.alias, got=f"a gradient of {len(weight)}"
        )
    values: dict[str, Any] = {"parents": [row.parent], "targets": select}
    values |= {"weights": [weight]} if weight != 1.0 else {}
    return operation_named(ADOPT).from_fields(values)


def _read(row: Row) -> Any:
    """What lies at the row's place."""
    if row.error is not None:
        raise row.error
    if row.found is None:
        raise SurgeryError("is still being read", path=row.alias, got=row.source, hint="a moment later")
    return row.found
