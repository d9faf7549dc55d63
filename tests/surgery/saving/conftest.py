"""A session to save, and a folder that an earlier one was saved in."""

from pathlib import Path

import pytest
import torch

import surgery
from surgery import Session
from tests.surgery.saving.folders import module


@pytest.fixture
def session() -> Session:
    """A small module, its second layer tied to the first."""
    session = surgery.open(module(), (torch.zeros(1, 4),))
    session.tie("1", to="0")
    return session


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A folder an earlier save wrote, alone in a folder of its own."""
    return surgery.open(module(), (torch.zeros(1, 4),)).save(tmp_path / "alone" / "model")
