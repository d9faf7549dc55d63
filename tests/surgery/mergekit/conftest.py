"""The models that the cases name, in a folder that tests run in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.surgery.mergekit.models import write_all


@pytest.fixture(scope="package")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all models, for no test to change."""
    place = tmp_path_factory.mktemp("mergekit")
    write_all(place)
    return place


@pytest.fixture
def models(written: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same folder, and the working directory."""
    monkeypatch.chdir(written)
    return written
