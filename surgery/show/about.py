"""What a model is called, and what it is in a few words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graph.nodes import ModuleGraph

if TYPE_CHECKING:
    from surgery.session import Session


def name_of(session: Session) -> str:
    """The name to show."""
    return "Demonstration decoder" if session.opened.name == "demo" else session.opened.name


def detail_of(session: Session, graph: ModuleGraph) -> str:
    """`Llama · 10 blocks · float32`."""
    family = session.patient.model_type
    kind = family.capitalize() if family else graph.class_name
    parts = [kind if kind != session.opened.name else ""]
    depth = getattr(session.patient.config, "num_hidden_layers", None)
    if isinstance(depth, int):
        parts.append(f"{depth} blocks")
    # From the graph: the model itself may be under the knife of another thread.
    parts.append(next((tensor.dtype for node in graph.modules for tensor in node.tensors), ""))
    if session.is_skeleton:
        parts.append("no weights")
    return " · ".join(part for part in parts if part)
