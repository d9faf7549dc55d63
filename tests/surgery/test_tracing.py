"""The switch of transformers that a trace turns."""

import os

import pytest

from surgery.tracing import values_unchecked

SWITCH = "TRANSFORMERS_DISABLE_TORCH_CHECK"


@pytest.mark.parametrize("before", [None, "0", "1"])
def test_the_switch_is_afterwards_as_before(monkeypatch: pytest.MonkeyPatch, before: str | None) -> None:
    """Also after an error inside."""
    monkeypatch.delenv(SWITCH, raising=False)
    if before is not None:
        monkeypatch.setenv(SWITCH, before)
    with pytest.raises(RuntimeError), values_unchecked():
        assert os.environ[SWITCH] == "1"
        raise RuntimeError
    assert os.environ.get(SWITCH) == before
