"""Slices: stacks of blocks, and merges of parts of models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

import surgery
from surgery.mergekit.stacking import arranged
from tests.surgery.mergekit.models import BLOCKS, EMBEDDING, HEAD, tensors, write
from tests.surgery.mergekit.test_agreement import result

ORDERS = st.lists(st.integers(0, 4), min_size=1, max_size=9)


class Blocks(nn.Module):
    """Five blocks in a list, each with its number as its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(1, 1, bias=False) for _ in range(5)])
        with torch.no_grad():
            for number, block in enumerate(self.blocks):
                block.weight.fill_(number)


def numbers_after(order: list[int]) -> list[int]:
    """The numbers of the blocks once the steps to this order were made."""
    session = surgery.open(Blocks())
    for step in arranged("blocks", 5, order):
        session.apply_unchecked(step)
    return [int(block.weight) for block in session.model.blocks]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(ORDERS)
def test_every_order_of_blocks_is_found(order: list[int]) -> None:
    """Whatever blocks come again, are left out or change places."""
    assert numbers_after(order) == order


def test_overlapping_slices_take_a_step_each() -> None:
    """As a person would stack them."""
    assert [step.name for step in arranged("blocks", 5, [0, 1, 2, 3, 4])] == []
    assert [step.name for step in arranged("blocks", 5, [0, 2, 4])] == ["keep"]
    assert [step.name for step in arranged("blocks", 5, [0, 1, 2, 3, 1, 2, 3, 4])] == ["duplicate"]
    assert [step.name for step in arranged("blocks", 5, [3, 4, 0, 1, 2])] == ["move"]


def slices_of(*sources: str) -> str:
    """A file with these slices."""
    return "\n".join(f"  - sources: [{source}]" for source in sources)


def test_sources_with_different_ranges_are_refused(models: Path) -> None:
    """A block is merged with those of its own number; the sentence names the slice."""
    text = "merge_method: linear\nparameters: {weight: 1}\nslices:\n" + slices_of(
        "{model: base, layer_range: [0, 1]}, {model: one, layer_range: [0, 1]}",
        "{model: base, layer_range: [1, 3]}, {model: one, layer_range: [0, 2]}",
    )
    with pytest.raises(surgery.SurgeryError, match=r"slices\[1\]: blocks of different numbers"):
        result(text, models)


@pytest.mark.parametrize("sources", ["{model: base, layer_range: [1, 4]}", "{M}, {N}"])
def test_blocks_that_are_not_there_are_refused(sources: str, models: Path) -> None:
    """Of the base, whether they are merged or not."""
    sources = sources.replace("{M}", "{model: base, layer_range: [1, 4]}")
    sources = sources.replace("{N}", "{model: deep, layer_range: [1, 4]}")
    method = "linear\nparameters: {weight: 1}" if "deep" in sources else "passthrough"
    with pytest.raises(surgery.SurgeryError, match=r"slices\[0\]: takes blocks that the model does not have"):
        result(f"merge_method: {method}\nslices:\n" + slices_of(sources), models)


@pytest.mark.parametrize("weight", ["2", "[1, 2]", "[{filter: layers.1, value: 2}, {value: 1}]"])
def test_a_block_is_not_merged_in_two_ways(weight: str, models: Path) -> None:
    """Slices that share blocks have the same models and parameters, which do not hang on the place."""
    text = "merge_method: linear\nslices:\n" + slices_of(
        "{model: base, layer_range: [0, 2], parameters: {weight: 1}}, "
        "{model: one, layer_range: [0, 2], parameters: {weight: %s}}" % ("1" if weight == "2" else weight),
        "{model: base, layer_range: [1, 3], parameters: {weight: 1}}, "
        "{model: one, layer_range: [1, 3], parameters: {weight: WEIGHT}}",
    ).replace("WEIGHT", weight)
    with pytest.raises(surgery.SurgeryError, match=r"slices\[1\]: merges a block in another way.*block 1"):
        result(text, models)


def test_the_head_is_that_of_the_last_slice(models: Path) -> None:
    """Also of a model that ties it to its embedding, which is another model's then."""
    text = "merge_method: passthrough\nbase_model: tied\nslices:\n" + slices_of(
        "{model: untied_one, layer_range: [0, 1]}", "{model: tied, layer_range: [1, 3]}"
    )
    made = result(text, models)
    tied, other = (load_file(models / name / "model.safetensors") for name in ("tied", "untied_one"))
    assert torch.equal(made[EMBEDDING], other[EMBEDDING])
    assert torch.equal(made[HEAD], tied[EMBEDDING])


def test_a_merged_block_may_come_again_as_it_was(models: Path) -> None:
    """Its tensors are read again from the base's folder."""
    text = "merge_method: linear\nparameters: {weight: 1}\nslices:\n" + slices_of(
        "{model: base, layer_range: [0, 3]}, {model: one, layer_range: [0, 3]}",
        "{model: base, layer_range: [1, 2]}",
    )
    made = result(text, models)
    base, one = (load_file(models / name / "model.safetensors") for name in ("base", "one"))
    name = "mlp.up_proj.weight"
    both = (base[f"model.layers.1.{name}"] + one[f"model.layers.1.{name}"]) / 2
    torch.testing.assert_close(made[f"model.layers.1.{name}"], both)
    assert torch.equal(made[f"model.layers.3.{name}"], base[f"model.layers.1.{name}"])


def test_other_sources_may_have_more_blocks(models: Path) -> None:
    """Only those of the slices are read."""
    text = "merge_method: linear\nparameters: {weight: 1}\nslices:\n" + slices_of(
        "{model: base, layer_range: [0, 3]}, {model: deep, layer_range: [0, 3]}"
    )
    made = result(text, models)
    base, deep = (load_file(models / name / "model.safetensors") for name in ("base", "deep"))
    assert sum("q_proj" in name for name in made) == BLOCKS
    for name, tensor in made.items():
        torch.testing.assert_close(tensor, (base[name] + deep[name]) / 2)


def test_a_base_that_gives_no_block_gives_the_config_alone(models: Path) -> None:
    """What lies outside the blocks is from the first and last slice, as in mergekit."""
    text = "merge_method: passthrough\nbase_model: base\nslices:\n" + slices_of(
        "{model: one, layer_range: [0, 2]}", "{model: two, layer_range: [1, 2]}"
    )
    made = result(text, models)
    one, two = (load_file(models / name / "model.safetensors") for name in ("one", "two"))
    assert torch.equal(made[EMBEDDING], one[EMBEDDING])
    assert torch.equal(made[HEAD], two[HEAD])
    name = "self_attn.v_proj.weight"
    assert torch.equal(made[f"model.layers.0.{name}"], one[f"model.layers.0.{name}"])
    assert torch.equal(made[f"model.layers.2.{name}"], two[f"model.layers.1.{name}"])


def test_the_head_of_a_tied_last_model_is_its_embedding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The base has a head of its own, and its folder none: mergekit would leave the head out."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "base", tensors(0))
    tied = write(tmp_path / "tied", tensors(1, tied=True), tied=True)
    text = "merge_method: passthrough\nslices:\n" + slices_of(
        "{model: base, layer_range: [0, 2]}", "{model: tied, layer_range: [2, 3]}"
    )
    assert torch.equal(result(text, tmp_path)[HEAD], tied[EMBEDDING])


def test_models_of_another_dtype_are_not_stacked(models: Path) -> None:
    """Blocks of one model have one dtype; the sentence says which cast would help."""
    text = "merge_method: passthrough\nslices:\n" + slices_of(
        "{model: base, layer_range: [0, 2]}", "{model: half, layer_range: [2, 3]}"
    )
    with pytest.raises(surgery.SurgeryError, match=r"the dtypes differ.*bfloat16"):
        result(text, models)


def test_layers_of_a_model_with_several_lists_are_refused(models: Path) -> None:
    """Which of them would be meant."""
    model = nn.ModuleDict({"a": Blocks(), "b": Blocks()})
    path = models / "config.yml"
    path.write_text("merge_method: passthrough\nslices:\n" + slices_of("{model: x, layer_range: [0, 2]}"))
    with pytest.raises(surgery.SurgeryError, match=r"slices: layers are counted in a model with one list"):
        surgery.replay(path, model)
