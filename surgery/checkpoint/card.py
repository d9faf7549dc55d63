"""The card of a saved model: what was done and what was measured, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graph.costs import costs

if TYPE_CHECKING:
    from surgery.session import Session


CAST = (
    "had been cast with the weights; no checkpoint stores such buffers, so a reloaded model has them in the "
    "dtype its class gives them and its outputs differ by rounding"
)


def card(session: Session, reason: str | None, cast: list[str]) -> str:
    """A README.md: edits, figures, and how the folder loads.

    `reason`: why not with transformers alone; `cast`: buffers that a reload has in another dtype.
    """
    state, script = session.history.current, session.script
    figures = costs(session.graph)
    lines = [
        f"# {session.opened.name}, edited",
        "",
        f"{figures.parameters:,} parameters, {figures.size_bytes:,} bytes. Edited with model-surgery from "
        f"`{script.base.source or script.base.class_name}`.",
        "",
        "## Edits",
        "",
        "```python",
        script.to_python() or "# none",
        "```",
        "",
        "## Measured",
        "",
        str(state.report) if state.report else "Not evaluated.",
        "",
        "## Loading",
        "",
    ]
    if reason is None:
        lines += ["An ordinary transformers model: `from_pretrained` loads it.", ""]
    else:
        lines += [f"With `surgery.load(folder)`, since {reason}.", ""]
    if cast:
        lines += [f"{', '.join(cast)}: {CAST}.", ""]
    return "\n".join(lines)
