"""Every operation on every zoo model it fits keeps the contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from surgery.registry import operations
from tests.surgery.cases import DECODERS, OTHERS
from tests.surgery.contract import CHECKS, Case, generates_with_its_cache, survives_saving


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("case", DECODERS + OTHERS, ids=str)
def test_contract(check: Callable[[Case], None], case: Case) -> None:
    """The check holds for the operation on this model."""
    check(case)


@pytest.mark.parametrize("case", DECODERS + OTHERS, ids=str)
def test_survives_saving(case: Case, tmp_path: Path) -> None:
    """Save and load give the same model."""
    survives_saving(case, tmp_path)


@pytest.mark.parametrize("case", DECODERS, ids=str)
def test_generates_with_its_cache(case: Case) -> None:
    """Cached generation equals uncached after the operation."""
    generates_with_its_cache(case)


def test_every_operation_is_under_contract() -> None:
    """No operation of the registry is left out of the harness."""
    covered: set[Any] = {case.operation for case in DECODERS + OTHERS}
    assert set(operations()) == covered
