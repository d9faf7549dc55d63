"""What a parent has for each part of a model, from the headers of its files alone."""

from __future__ import annotations

from pathlib import Path

import pytest

import surgery
from surgery.checkpoint.adapter import parent_at
from surgery.merging.fit import fit
from tests.surgery.merging.parents import base_model, family, saved
from tests.surgery.merging.test_adapters import adapter

PARTS = ["model.embed_tokens", *(f"model.layers.{number}" for number in range(4)), "model.norm"]


def test_a_model_tuned_from_it_fits_everywhere(tmp_path: Path) -> None:
    """Nothing is refused, and nothing lies beyond."""
    base, parents = family(tmp_path, 1)
    found = fit(surgery.open(base).patient, parent_at(parents[0]), PARTS)
    assert (found.refused, found.touched, found.beyond) == ({}, {}, ())


def test_a_part_that_it_lacks_is_refused_as_in_a_merge(tmp_path: Path) -> None:
    """With the very sentence; what a longer parent has beyond the model is named."""
    shorter = surgery.open(base_model(), inputs=None)
    shorter.remove("model.layers[3]")
    saved(shorter.model, tmp_path / "shorter")
    session = surgery.open(saved(base_model(), tmp_path / "base"))
    found = fit(session.patient, parent_at(str(tmp_path / "shorter")), PARTS)
    assert list(found.refused) == ["model.layers.3"] and not found.beyond
    with pytest.raises(surgery.SurgeryError) as refused:
        session.preview("soup", "model.layers[3]", parents=[str(tmp_path / "shorter")])
    assert str(found.refused["model.layers.3"]) == str(refused.value)
    other = fit(surgery.open(tmp_path / "shorter").patient, parent_at(str(tmp_path / "base")), PARTS[:4])
    assert other.refused == {} and all(name.startswith("model.layers.3.") for name in other.beyond)
    assert other.beyond


def test_of_an_adapter_the_modules_are_named(tmp_path: Path) -> None:
    """Those that it changes, part by part; it fits where it changes nothing too."""
    adapter(tmp_path / "adapter", 1)
    session = surgery.open(saved(base_model(), tmp_path / "base"))
    found = fit(session.patient, parent_at(str(tmp_path / "adapter")), PARTS)
    assert found.refused == {} and set(found.touched) == set(PARTS[1:5])
    assert set(found.touched["model.layers.2"]) == {
        "model.layers.2.self_attn.q_proj",
        "model.layers.2.mlp.down_proj",
    }
