"""What is told of batch norms from shapes alone is what torch's fake tensors find out."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from graph.tracing.fakes import fake, fake_mode
from graph.tracing.norms import at_rest

_aten = torch.ops.aten
OPERATORS: dict[str, tuple[Any, tuple[bool, ...]]] = {
    "native": (_aten.native_batch_norm.default, (False,)),
    "legit": (_aten._native_batch_norm_legit_no_training.default, ()),
}
SHAPES = [
    *((1, 64, 8, 8), (2, 4, 8, 6), (2, 4, 1, 1), (1, 4, 1, 1), (2, 1, 3, 3), (2, 4, 1, 3), (1, 1, 1, 1)),
    *((3, 4), (1, 4), (2, 4, 5), (1, 4, 1), (2, 3, 4, 5, 6), (1, 3, 1, 5, 1), (0, 4, 3, 3)),
]
DTYPES = [
    (torch.float32, torch.float32),
    (torch.float64, torch.float64),
    (torch.bfloat16, torch.float32),
    (torch.float16, torch.float16),
]


def _laid_out(shape: tuple[int, ...]) -> Iterator[Tensor]:
    """Tensors of this shape on meta: contiguous, channels last, reversed, with gaps, expanded."""
    meta = torch.device("meta")
    x = torch.empty(shape, device=meta)
    yield x
    if len(shape) == 4:
        yield x.to(memory_format=torch.channels_last)
    yield torch.empty(shape[::-1], device=meta).permute(*reversed(range(len(shape))))
    yield torch.empty((shape[0], 2 * shape[1], *shape[2:]), device=meta)[:, ::2]
    yield torch.empty((1, *shape[1:]), device=meta).expand(shape)


@pytest.mark.parametrize("affine", [True, False], ids=["affine", "plain"])
@pytest.mark.parametrize("name", OPERATORS)
def test_it_returns_what_the_mode_does(name: str, affine: bool) -> None:
    """In every layout, dtype and number of dimensions; of no entries the mode is asked."""
    operator, said = OPERATORS[name]
    mode = fake_mode()
    told = 0
    for shape in SHAPES:
        for laid in _laid_out(shape):
            for dtype, wide in DTYPES:
                x = fake(torch.empty_strided(shape, laid.stride(), dtype=dtype, device="meta"), mode)
                own = [fake(torch.empty(shape[1], dtype=wide), mode) for _ in range(4)]
                args = (x, *(own[:2] if affine else (None, None)), *own[2:], *said, 0.1, 1e-5)
                with mode, torch.no_grad():
                    out = operator(*args)
                found = at_rest(operator, args, {})
                if found is not None:
                    told += 1
                    assert found == tuple((tuple(each.shape), each.stride(), each.dtype) for each in out)
    assert told >= 200


def test_others_are_not_told() -> None:
    """A norm in training, one without statistics, and one of other widths go the long way."""
    operator = _aten.native_batch_norm.default
    x, own, other = torch.empty(2, 4, 3, 3), torch.empty(4), torch.empty(5)
    assert at_rest(operator, (x, own, own, own, own, False, 0.1, 1e-5), {}) is not None
    for args in (
        (x, own, own, own, own, True, 0.1, 1e-5),
        (x, own, own, None, None, False, 0.1, 1e-5),
        (x, own, own, own, other, False, 0.1, 1e-5),
        (x, other, own, own, own, False, 0.1, 1e-5),
        (x.long(), own, own, own, own, False, 0.1, 1e-5),
        (torch.empty(4), own, own, own, own, False, 0.1, 1e-5),
    ):
        assert at_rest(operator, args, {}) is None
    assert at_rest(_aten.relu.default, (x,), {}) is None
