"""Every operation on every zoo model it fits keeps the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from surgery.registry import operations
from tests.surgery.cases import DECODERS, OTHERS
from tests.surgery.contract import Case, holds


@pytest.mark.parametrize("case", DECODERS, ids=str)
def test_on_a_decoder(case: Case, tmp_path: Path) -> None:
    """All that the contract asks, and cached generation equals uncached."""
    holds(case, tmp_path, decodes=True)


@pytest.mark.parametrize("case", OTHERS, ids=str)
def test_on_another_model(case: Case, tmp_path: Path) -> None:
    """All that the contract asks."""
    holds(case, tmp_path)


def test_every_operation_is_under_contract() -> None:
    """No operation of the registry is left out of the harness."""
    covered: set[Any] = {case.operation for case in DECODERS + OTHERS}
    assert set(operations()) == covered
