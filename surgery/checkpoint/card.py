"""The card of a saved model: what was done and what was measured, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from graph.costs import costs
from graph.extract import extract
from surgery.families import model_type
from surgery.script import Script, python_of

if TYPE_CHECKING:
    from surgery.checkpoint.content import Content
    from surgery.checkpoint.plain import Plain


def card(content: Content, reason: str | None, unkept: list[str]) -> str:
    """A README.md: edits, figures, and how the folder loads.

    `reason`: why not with transformers alone; `unkept`: sentences on what a reload has not.
    """
    session, plain = content.session, content.plain
    figures = costs(session.graph if plain is None else extract(content.model))
    report = session.history.current.report
    measured = ["Before it was made an ordinary model:", ""] if report and plain else []
    measured.append(str(report) if report else NOT_MEASURED)
    loading = [*_loading(content, reason), *(line for sentence in unkept for line in (sentence, ""))]
    return written(
        session.opened.name, figures.parameters, figures.size_bytes, content.script, measured, loading
    )


NOT_MEASURED = "Not evaluated."
ORDINARY = "An ordinary transformers model: `from_pretrained` loads it."


def written(
    name: str,
    parameters: int,
    size_bytes: int,
    script: Script,
    measured: Sequence[str] = (NOT_MEASURED,),
    loading: Sequence[str] = (ORDINARY, ""),
) -> str:
    """The card with these figures and paragraphs."""
    return "\n".join(
        [
            f"# {name}, edited",
            "",
            f"{parameters:,} parameters, {size_bytes:,} bytes. Edited with model-surgery from "
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
            *measured,
            "",
            "## Loading",
            "",
            *loading,
        ]
    )


def _loading(content: Content, reason: str | None) -> list[str]:
    plain = content.plain
    if reason is not None and model_type(content.model) is None:
        return [
            f"With `surgery.load(folder, into=module)` and a module like the one opened, since {reason}.",
            "",
        ]
    if reason is not None:
        further = (
            "`surgery.open(folder).save(other, plain=True)` makes an ordinary one of it where it can be."
        )
        return [f"With `surgery.load(folder)`, since {reason}.", "", further, ""]
    lines = [ORDINARY, ""]
    if plain is not None:
        steps = " and ".join(f"`{python_of(step)}`" for step in plain.steps)
        lines += [
            f"It was made one by {steps}, which change no output but by rounding. {_agreement(plain)}",
            "",
        ]
    return lines


def _agreement(plain: Plain) -> str:
    if plain.difference is None:
        return "There were no example inputs it runs on to measure that."
    if plain.difference == 0:
        return "On the example inputs its outputs are bit for bit those of the edited model."
    return (
        f"On the example inputs its outputs differ from those of the edited model by at most "
        f"{plain.difference:.1e} of the largest output; up to {plain.tolerance:.1e} was allowed."
    )
