"""The inspector: verbs for the selection, the form of the draft with its dry run, and what is pending."""

from __future__ import annotations

import json
from typing import Any

from graph.naming import selector_of
from graph.nodes import ModuleGraph
from surgery.charts import Chart
from surgery.operation import Operation
from surgery.registry import operations
from surgery.script import python_of, step_data
from widgets.commands import GROUPS
from widgets.desk import Desk, Draft
from widgets.facts import selected
from widgets.figures import preview_rows
from widgets.fitting import is_block, reasons
from widgets.forms import form
from widgets.planned import pending_state

CHART_WIDTH = 320.0


def inspector(graph: ModuleGraph, desk: Desk) -> dict[str, Any]:
    """The inspector state of protocol.ts."""
    return {
        "title": _title(graph, desk.selection),
        "detail": selector_of(desk.selection, graph) if desk.selection else "",
        "facts": selected(graph, desk.selection),
        "groups": _groups(graph, desk),
        "form": form(desk.draft) if desk.draft else None,
        "dry_run": _dry_run(desk.draft) if desk.draft else None,
        "chart": _chart(desk.draft.chart) if desk.draft and desk.draft.chart else None,
        "pending": pending_state(desk.planned),
    }


def _title(graph: ModuleGraph, selection: list[str]) -> str:
    if not selection:
        return "Nothing selected"
    if len(selection) == 1:
        path = selection[0]
        short_path = ".".join(path.split(".")[-2:]) if is_block(graph, path) else graph[path].name
        return short_path or graph.class_name
    kinds = {graph[path].class_name for path in selection}
    blocks = all(is_block(graph, path) for path in selection)
    what = "blocks" if blocks else f"{kinds.pop()}s" if len(kinds) == 1 else "modules"
    return f"{len(selection)} {what}"


def _groups(graph: ModuleGraph, desk: Desk) -> list[dict[str, Any]]:
    why = reasons(graph, desk.selection)
    current = desk.draft.operation if desk.draft else None
    made = []
    for name, title in GROUPS.items():
        members = [cls for cls in operations().values() if cls.group == name]
        fitting = [cls for cls in members if why[cls.name] is None]
        made.append(
            {
                "name": name,
                "title": title,
                "enabled": bool(fitting),
                "reason": None if fitting else next(filter(None, (why[cls.name] for cls in members)), None),
                "active": any(cls.name == current for cls in members),
                "operations": [
                    {"name": cls.name, "title": cls.title, "active": cls.name == current}
                    for cls in members
                    if cls in fitting or cls.name == current
                ],
            }
        )
    return made


def _dry_run(draft: Draft) -> dict[str, Any]:
    """The dry run; while one is on its way the figures of the last are there, marked as stale."""
    error, preview = draft.error, draft.preview
    said = "nothing is changed yet" if preview else ""
    return {
        "caption": "computing …" if draft.waiting else said,
        "stale": draft.waiting,
        "rows": preview_rows(preview) if preview else [],
        "python": python_of(preview.steps[0]) if preview and not draft.waiting else "",
        "script": _line(preview.steps[0]) if preview and not draft.waiting else "",
        "error": {"text": error.sentence(with_hint=False), "hint": error.hint or ""} if error else None,
    }


def _chart(chart: Chart) -> dict[str, str]:
    """The chart as an image as wide as the panel; it is light or dark as the page is."""
    return {"title": chart.title, "svg": chart.svg(CHART_WIDTH, theme="auto")}


def _line(step: Operation) -> str:
    """The step as it stands in a script."""
    return json.dumps(step_data(step), ensure_ascii=False)
