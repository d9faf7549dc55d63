"""How many tokens a Gram needs."""

from __future__ import annotations

from surgery.calibration.layers import Layer
from surgery.calibration.observing import Inputs
from surgery.errors import SurgeryError


def refuse_few(layer: Layer, inputs: Inputs, ridge: float) -> None:
    """SurgeryError where a Gram stands without a ridge, and saw fewer tokens than it has inputs."""
    if not ridge and inputs.tokens < layer.width:
        raise SurgeryError(
            "without a ridge the Gram of its inputs needs a token for each of them",
            path=layer.path,
            got=f"{inputs.tokens:,} tokens",
            expected=f"at least {layer.width:,}",
            hint="more `samples`, or `ridge=0.01`",
        )
