"""Checkpoints on the hub: from the cache where there is no network, refused by name where neither is."""

from __future__ import annotations

import shutil
from pathlib import Path

import huggingface_hub.constants
import pytest

import surgery
from surgery import SurgeryError
from surgery.checkpoint.tensors import Checkpoint
from tests.surgery.merging.parents import family


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the hub's, with two models, and no network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    base, parents = family(tmp_path, 1)
    for name, folder in (("base", base), ("tulu", Path(parents[0]))):
        repository = tmp_path / "cache" / f"models--someone--{name}"
        shutil.copytree(folder, repository / "snapshots" / "abc123")
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text("abc123")
    return tmp_path


def test_models_are_opened_and_merged_from_there(cache: Path) -> None:
    """A script says the place on the hub; the result is that of the folders."""
    session = surgery.open("hf://someone/base")
    session.slerp("", parents=["tulu=hf://someone/tulu"])
    assert session.script.base.source == "hf://someone/base"
    assert '"source": "hf://someone/tulu"' in session.script.to_json()
    local = surgery.open(cache / "base")
    local.slerp("", parents=[str(cache / "parent1")])
    assert session.fingerprint() == local.fingerprint()
    there, here = Checkpoint.at("hf://someone/tulu@main"), Checkpoint.at(cache / "parent1")
    assert there.fingerprint() == here.fingerprint()


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    "place", ["hf://someone", "hf://", "hf://someone/base@", "hf://a/b/c", "hf://../b/c"]
)
def test_no_place_is_refused(place: str) -> None:
    """Before anything is asked of the hub."""
    with pytest.raises(SurgeryError, match="is no place on the hub"):
        Checkpoint.at(place)


@pytest.mark.usefixtures("cache")
def test_what_is_not_there_is_refused() -> None:
    """With the place and the way out."""
    with pytest.raises(SurgeryError, match=r"hf://someone/else: cannot be fetched from the hub.*a folder"):
        surgery.open("hf://someone/else")
