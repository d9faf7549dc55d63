"""What real kernels refuse for its dtypes, a trace on shapes alone refuses too."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graph.extract import extract

CASES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "linear": lambda a, b: F.linear(a, b),
    "linear with bias": lambda a, b: F.linear(a, a, b[0]),
    "product": lambda a, b: a @ b,
    "product with a vector": lambda a, b: torch.mv(a, b[0]),
    "convolution": lambda a, b: F.conv1d(a[None], b[:, :, None]),
    "transposed convolution": lambda a, b: F.conv_transpose1d(a[None], b[:, :, None]),
    "layer norm": lambda a, b: F.layer_norm(a, (4,), b[0], b[0]),
    "layer norm, half of it": lambda a, b: F.layer_norm(a, (4,), a[0], b[0]),
    "group norm": lambda a, b: F.group_norm(a, 2, b[0], b[0]),
    "batch norm": lambda a, b: F.batch_norm(a, a[0], a[0] + 1, b[0], b[0]),
    "RMS norm": lambda a, b: F.rms_norm(a, (4,), b[0]),
    "sum": lambda a, b: a + b,
    "assignment by index": lambda a, b: a.index_put((torch.zeros(4, dtype=torch.long),), b),
    "addition by index": lambda a, b: a.index_add(0, torch.zeros(4, dtype=torch.long), b),
    "attention": lambda a, b: F.scaled_dot_product_attention(a[None], b[None], b[None]),
}


@pytest.mark.parametrize("second", [torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("first", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_a_trace_fails_where_the_forward_does(name: str, first: torch.dtype, second: torch.dtype) -> None:
    """And nowhere else: the same call on real tensors of these dtypes says which."""

    class Called(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return CASES[name](a, b)

    given = torch.ones(4, 4, dtype=first), torch.ones(4, 4, dtype=second)
    try:
        with torch.no_grad():
            Called()(*given)
        fails = False
    except RuntimeError:
        fails = True
    assert (extract(Called(), given).problem is not None) == fails
