"""Recipe functions that make the Tucker factors of a convolution's weight: outputs, inputs, and a core.

W (outputs × inputs × height × width) ≈ the core, multiplied along the first side by U (outputs × r) and along
the second by V (inputs × s), both with orthonormal columns. U and V are found in turns, in float64: each
holds the leading eigenvectors of W multiplied by the other (higher-order orthogonal iteration, De Lathauwer
et al. 2000). The first U is that of W itself.
"""

from __future__ import annotations

import torch

from surgery.functions.factors import gram, leading
from surgery.recipes import function

_WORKSPACE = 48  # as of the factors of a matrix


@function(tiling="whole", workspace=_WORKSPACE)
def tucker_outputs(weight: torch.Tensor, *, ranks: tuple[int, ...], rounds: int) -> torch.Tensor:
    """U (outputs × r × 1 × 1) after so many rounds, in the dtype of W; `ranks` are (r, s)."""
    wide = weight.to(torch.float64).contiguous()
    outputs = _leading_along(wide, 0, ranks[0])
    for _ in range(rounds):
        inputs = _leading_along(_taken(wide, 0, outputs), 1, ranks[1])
        outputs = _leading_along(_taken(wide, 1, inputs), 0, ranks[0])
    return outputs[..., None, None].to(weight.dtype)


@function(tiling="whole", workspace=_WORKSPACE)
def tucker_inputs(weight: torch.Tensor, outputs: torch.Tensor, *, rank: int) -> torch.Tensor:
    """Vᵀ (s × inputs × 1 × 1) for the `outputs` U as they are stored."""
    wide = weight.to(torch.float64).contiguous()
    taken = _taken(wide, 0, outputs.flatten(1).to(torch.float64))
    return _leading_along(taken, 1, rank).T.contiguous()[..., None, None].to(weight.dtype)


@function(tiling="whole", workspace=_WORKSPACE)
def tucker_core(weight: torch.Tensor, outputs: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """The core (r × s × height × width): W multiplied by Uᵀ and Vᵀ as they are stored."""
    wide = weight.to(torch.float64).contiguous()
    taken = _taken(wide, 0, outputs.flatten(1).to(torch.float64))
    return _taken(taken, 1, inputs.flatten(1).T.to(torch.float64)).to(weight.dtype)


def unfolded(tensor: torch.Tensor, side: int) -> torch.Tensor:
    """The tensor as a matrix with a row for each place along `side`."""
    return tensor.movedim(side, 0).flatten(1)


def _leading_along(tensor: torch.Tensor, side: int, rank: int) -> torch.Tensor:
    """The leading directions along a side, as columns."""
    return leading(gram(unfolded(tensor, side)), rank)[0]


def _taken(tensor: torch.Tensor, side: int, columns: torch.Tensor) -> torch.Tensor:
    """The tensor multiplied along a side by the transposed columns."""
    made: torch.Tensor = torch.tensordot(columns.T, tensor.movedim(side, 0), dims=1)
    return made.movedim(0, side).contiguous()
