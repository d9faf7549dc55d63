"""What a person is told of how a model was opened: sentences for `Opened.note`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from surgery.sources.forward import parameters_of

if TYPE_CHECKING:
    from graph.nodes import ModuleGraph
    from surgery.sources.opened import Opened

_SHOWN = 6
"""Parameters of a forward that a sentence names."""

_LETTERS = 300
"""Of another library's message in a sentence of ours."""


def joined(*sentences: str | None) -> str | None:
    """The sentences that there are, one after another; None if there are none."""
    return " ".join(sentence for sentence in sentences if sentence) or None


def in_one_line(error: BaseException) -> str:
    """The kind of an error and the start of its message, without line breaks."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:_LETTERS]}" + ("…" if len(text) > _LETTERS else "")


def no_inputs(model: nn.Module, because: str) -> str:
    """Why there is no trace, what is shown all the same, and how inputs are passed."""
    return (
        f"No example inputs could be made, since {because}: modules, ties and parameters are shown, "
        f"calls and MACs are not. Try: {how_to_pass(model)}."
    )


def text_alone(model: nn.Module, left: list[str]) -> str:
    """What a language model that takes more than text was not given."""
    return (
        f"The example inputs are text alone, so what takes {', '.join(left)} is not called. "
        f"Try: {how_to_pass(model, ('input_ids', *left))}."
    )


def how_to_pass(model: nn.Module, names: tuple[str, ...] = ()) -> str:
    """The call that passes inputs, with the parameters the forward cannot do without, or its first ones."""
    parameters = parameters_of(model)
    named = list(names) or [name for name, required in parameters.items() if required]
    shown = (named or list(parameters))[:_SHOWN] or ["x"]
    values = ", ".join(f'"{name}": ...' for name in shown)
    return f"`surgery.open(model, inputs={{{values}}})`"


def note_on(opened: Opened, graph: ModuleGraph) -> str | None:
    """What to know of an opened model and its trace; None if there is nothing.

    A forward that fails with inputs made here may be right and the inputs wrong: it is said so.
    """
    if graph.problem is None or not opened.guessed or opened.inputs is None:
        return opened.note
    names = (
        tuple(name for name, value in opened.inputs.items() if hasattr(value, "shape"))
        if isinstance(opened.inputs, dict)
        else ()
    )
    return joined(
        opened.note,
        "The forward fails with the example inputs made here, which may be at fault and not the model. "
        f"Try: {how_to_pass(opened.model, names)}.",
    )
