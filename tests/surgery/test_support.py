"""The support table in the documentation says what the models do."""

import os

import pytest

from surgery.families import FAMILIES
from surgery.merging import Merging
from surgery.recipes import one_thread
from surgery.registry import operations
from tests.surgery import support

# One of each kind in the ordinary run; `make check-long` looks at all.
KINDS = ["llama", "gpt2", "mixtral", "bert", "vit", "t5", "clip", "resnet", *list(support.MODELS)[-6:]]
CHECKED = support.MODELS if os.environ.get("SURGERY_EXAMPLES") else KINDS


@pytest.mark.parametrize("name", CHECKED)
def test_a_row_is_what_the_model_does(name: str) -> None:
    """Each ✓ is an operation that works, each number the reason of its refusal."""
    with one_thread():
        cells = support.row(name)
    assert support.written_row(name) == [support.reason(cell) for cell in cells]


def test_the_table_is_whole() -> None:
    """Every proved family and every operation is in it."""
    assert set(FAMILIES) <= set(support.MODELS)
    merging = {name for name, cls in operations().items() if issubclass(cls, Merging)}
    used = {name for column in support.COLUMNS for name in (column.operation, *dict(column.first))}
    assert used | merging | {"adopt", "scale"} == set(operations()) and used & merging
    for name in support.MODELS:
        assert len(support.written_row(name)) == len(support.COLUMNS)
