"""Views, concatenations and stacks of stored tensors, by hand."""

import torch

from surgery.lazy import Held, recipe
from surgery.recipes import compute

SOURCE = torch.nn.Parameter(torch.arange(24.0).reshape(2, 3, 4))


def test_viewed() -> None:
    """Every element is where offset and strides say, in storage of its own."""
    held = Held.of(SOURCE)
    cases = {
        "slice": (SOURCE[:, 1:], (2, 2, 4), (12, 4, 1), 4),
        "transpose": (SOURCE.transpose(0, 2), (4, 3, 2), (1, 4, 12), 0),
        "reshape": (SOURCE.reshape(6, 4), (6, 4), (4, 1), 0),
        "one": (SOURCE[1], (3, 4), (4, 1), 12),
    }
    for name, (expected, sides, strides, offset) in cases.items():
        made = recipe("viewed", held, shape=sides, sides=sides, strides=strides, offset=offset)
        found = compute(made, {})
        assert torch.equal(found, expected), name
        assert found.is_contiguous() and found.untyped_storage().nbytes() == found.nbytes, name
        assert found.untyped_storage().data_ptr() != SOURCE.untyped_storage().data_ptr(), name


def test_concatenated_and_stacked() -> None:
    """Along a dimension there is, and along a new one."""
    held = Held.of(SOURCE)
    long = compute(recipe("concatenated", held, held, shape=(2, 6, 4), dim=1), {})
    assert torch.equal(long[:, :3], SOURCE) and torch.equal(long[:, 3:], SOURCE)
    high = compute(recipe("stacked", held, held, held, shape=(2, 3, 3, 4), dim=1), {})
    assert all(torch.equal(high[:, index], SOURCE) for index in range(3))
