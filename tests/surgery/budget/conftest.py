"""A random decoder of seven blocks that was swept, once for all tests that leave it as it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

import surgery
from surgery.evaluate import Examples, token_windows
from tests.surgery.evaluate.conftest import decoder, tokens

BLOCKS = 7


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Models this small run ten times slower where threads wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="package")
def shown() -> Examples:
    """Sixteen windows of sixteen random tokens."""
    return token_windows(tokens(16))


def opened(shown: Examples, *operations: str) -> surgery.Session:
    """A session on the decoder, swept over its blocks by these operations, in this order."""
    session = surgery.open(decoder(blocks=BLOCKS).eval())
    for operation in operations:
        session.sweep(operation, "model.layers[*]", examples=shown, device="cpu", budget_s=0)
    return session


@pytest.fixture
def session(shown: Examples) -> surgery.Session:
    """One that a test may edit."""
    return opened(shown, "tie", "remove")


@pytest.fixture(scope="package")
def swept(shown: Examples) -> surgery.Session:
    """One that tests leave as it is."""
    return opened(shown, "tie", "remove")
