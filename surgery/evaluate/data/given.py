"""Tensors that the caller has at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from surgery.errors import SurgeryError
from surgery.evaluate.data.examples import MASK, Examples, nothing


def tensors(
    inputs: Tensor | Sequence[Tensor] | Mapping[str, Tensor],
    labels: Tensor | None = None,
    *,
    documents: Tensor | None = None,
    name: str = "your data",
) -> Examples:
    """Inputs as the model takes them, each (n, …), and integer labels (n,) or (n, positions).

    A mapping goes by the names of the model's forward, one tensor or several by position. `documents` (n,):
    which examples belong together, such as the windows of one text. Raises SurgeryError for what is no
    tensor and for tensors that do not fit one another.
    """
    if isinstance(inputs, Tensor):
        inputs = {"input": inputs}
    elif not isinstance(inputs, Mapping):
        inputs = {f"input {place}": tensor for place, tensor in enumerate(inputs)}
    if not inputs:
        raise nothing(name, "no inputs")
    for what, tensor in {**inputs, "labels": labels, "documents": documents}.items():
        if tensor is not None and not isinstance(tensor, Tensor):
            raise SurgeryError(
                f"{what} is no tensor", path=name, got=type(tensor).__name__, expected="a tensor (n, …)"
            )
    held = {key: tensor.detach().cpu() for key, tensor in inputs.items()}
    if MASK in held:
        held[MASK] = held[MASK].long()
    return Examples(
        name,
        True,
        held,
        None if labels is None else _whole(labels.detach().cpu()),
        documents=None if documents is None else documents.cpu().long(),
    )


def _whole(labels: Tensor) -> Tensor:
    is_whole = not labels.is_floating_point() and not labels.is_complex() and labels.numel()
    return labels.long() if is_whole else labels
