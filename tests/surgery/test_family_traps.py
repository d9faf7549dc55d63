"""What is apart in one family of transformers: edits of depth keep it right, or refuse."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

import surgery
from surgery import SurgeryError
from surgery.registry import operation_named
from tests.surgery.by_hand import (
    SMALL,
    block_lists,
    by_hand,
    configs,
    heard,
    loads_with_transformers_alone,
    small,
)
from tests.surgery.states import cached_equals_uncached, loads_again, run, snapshot


def test_a_swin_that_ran_is_saved(tmp_path: Path) -> None:
    """A forward takes the shift from windows as large as the image; that is no difference."""
    model, inputs = small("swin", window_size=4)
    run(model, inputs)
    assert {block.shift_size for block in model.swin.encoder.layers[1].blocks} == {0}
    session = surgery.open(model, inputs)
    session.remove("swin.encoder.layers[0].blocks[1:3]")
    loads_again(session, tmp_path / "out")
    loads_with_transformers_alone(session.model, inputs, tmp_path / "out")
    fresh, _ = small("swin", window_size=4)
    other = surgery.open(fresh, inputs)
    assert other.fingerprint() == surgery.open(model, inputs).fingerprint()
    other.swap("swin.encoder.layers[1].blocks[0]", "swin.encoder.layers[1].blocks[1]")
    other.save(tmp_path / "other")  # before it ran
    assert "shift_size" in json.loads((tmp_path / "other" / "surgery.json").read_text())["because"]


@pytest.mark.parametrize("name", ["swin", "convnext"])
def test_rates_of_dropped_paths_need_the_script(name: str, tmp_path: Path) -> None:
    """They rise from block to block, so a model made anew from the config would train otherwise."""
    model, inputs = small(name, drop_path_rate=0.3)
    session = surgery.open(model, inputs)
    session.remove(f"{block_lists(model)[0]}[1:3]")
    loads_again(session, tmp_path / "out")
    assert "drop_path" in json.loads((tmp_path / "out" / "surgery.json").read_text())["because"]


@pytest.mark.parametrize(
    ("edit", "values"),
    [
        ("remove", {"targets": "[0]"}),
        ("keep", {"targets": "[1:3]"}),
        ("move", {"targets": "[0]", "to": "[2]"}),
        ("swap", {"target": "[1]", "other": "[0]"}),
        ("duplicate", {"targets": "[0]"}),
    ],
)
def test_the_block_that_leads_into_a_stage_stays_the_first(edit: str, values: dict[str, str]) -> None:
    """It changes width and resolution; the sentence names it, and nothing has changed."""
    session = surgery.open(*small("resnet"))
    before, stage = session.fingerprint(), "resnet.encoder.stages.1.layers"
    paths = {key: stage + value for key, value in values.items()}
    with pytest.raises(SurgeryError, match=rf"^{re.escape(stage)}\.0: .* Try: `{re.escape(stage)}\[1:\]`"):
        session.apply(operation_named(edit).from_fields(paths))
    assert session.fingerprint() == before


def test_merged_statistics_are_refused() -> None:
    """Those of the first block are not those of the merged one."""
    session = surgery.open(*small("resnet"))
    with pytest.raises(SurgeryError, match=r"stages\.1\.layers\.1\..*running_mean: .* running statistics"):
        session.merge("resnet.encoder.stages.1.layers[1:3]")


def test_a_t5_that_could_not_generate_is_refused() -> None:
    """Transformers gives its cache as many slots as the encoder has blocks; the sentence says what to do."""
    model, inputs = SMALL["t5"]()
    session = surgery.open(model, inputs)
    before = session.fingerprint()
    said = r"^decoder\.block: .* as encoder\.block has blocks; got 4 blocks, expected at most 3\."
    with pytest.raises(SurgeryError, match=said):
        session.remove("encoder.block[0]")
    with pytest.raises(SurgeryError, match="got 6 blocks, expected at most 4"):
        session.duplicate("decoder.block[1:3]")
    assert session.fingerprint() == before
    session.remove("decoder.block[0]")
    session.remove("encoder.block[0]")
    cached_equals_uncached(session.model, heard("t5", inputs))


@pytest.mark.parametrize(
    ("edit", "values", "order"),
    [
        ("keep", {"targets": "[2:4]"}, [2, 3]),
        ("swap", {"target": "[0]", "other": "[3]"}, [3, 1, 2, 0]),
        ("duplicate", {"targets": "[0]"}, [0, 0, 1, 2, 3]),
        ("duplicate", {"targets": "[0:2]", "shared": True}, [0, 1, 0, 1, 2, 3]),
    ],
)
def test_the_bias_of_positions_stays_with_the_first_block(
    edit: str, values: dict[str, Any], order: list[int]
) -> None:
    """A T5's modules, and the configs that its parts have, are those of the model made by hand."""
    model, inputs = small("t5")
    session, blocks = surgery.open(model, inputs), "encoder.block"
    before = snapshot(session.model)
    fields = {key: blocks + value if isinstance(value, str) else value for key, value in values.items()}
    session.apply(operation_named(edit).from_fields(fields))
    made: Any = by_hand(model, blocks, order)
    bias = model.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight
    first = session.model.encoder.block[0].layer[0].SelfAttention
    assert first.relative_attention_bias.weight.data_ptr() == bias.data_ptr()
    assert list(session.model.state_dict()) == list(made.state_dict())
    assert torch.equal(run(session.model, inputs), run(made, inputs))
    assert configs(session.model) == configs(made)
    flags = [
        block.layer[0].SelfAttention.has_relative_attention_bias for block in session.model.encoder.block
    ]
    assert flags == [True] + [False] * (len(order) - 1)
    session.undo()
    assert snapshot(session.model) == before


@pytest.mark.parametrize("path", ["encoder.block[0]", "encoder.block[0].layer[0].SelfAttention"])
def test_a_bias_inside_a_wrapper_is_not_lost(path: str) -> None:
    """Where the first block is not built as its class builds it, it has to stay the first."""
    model, inputs = SMALL["t5"](num_decoder_layers=2)
    session = surgery.open(model, inputs)
    session.wrap(path)
    for refused in (
        lambda: session.remove("encoder.block[0]"),
        lambda: session.swap("encoder.block[0]", "encoder.block[1]"),
        lambda: session.duplicate("encoder.block[0]"),
    ):
        with pytest.raises(SurgeryError, match=r"^encoder\.block\.0: .* relative_attention_bias"):
            refused()
    session.remove("encoder.block[1]")
    assert torch.equal(run(session.model, inputs), run(by_hand(model, "encoder.block", [0, 2, 3]), inputs))


def test_a_block_without_attention_has_no_heads_that_tell() -> None:
    """Whisper's alignment heads of a skipped block are gone, and those of others stay."""
    model, inputs = SMALL["whisper"]()
    settings: Any = model.generation_config
    settings.alignment_heads = [[0, 1], [1, 2], [3, 0]]
    session = surgery.open(model, inputs)
    session.skip("model.decoder.layers[1]")
    mine: Any = session.model
    assert mine.generation_config.alignment_heads == [[0, 1], [3, 0]]
    session.insert("model.decoder.layers[0]", "identity")
    assert mine.generation_config.alignment_heads == [[1, 1], [4, 0]]


def test_the_heads_that_tell_when_a_word_was_said_follow_their_blocks() -> None:
    """Whisper's alignment heads are pairs of block and head; the opened model's stay."""
    model, inputs = SMALL["whisper"]()
    settings: Any = model.generation_config
    settings.alignment_heads = [[0, 1], [1, 2], [3, 0], [3, 3]]
    session = surgery.open(model, inputs)
    session.remove("model.decoder.layers[1]")
    mine: Any = session.model
    assert mine.generation_config.alignment_heads == [[0, 1], [2, 0], [2, 3]]
    session.duplicate("model.decoder.layers[2]")
    assert mine.generation_config.alignment_heads == [[0, 1], [2, 0], [3, 0], [2, 3], [3, 3]]
    session.move("model.decoder.layers[0]", to="model.decoder.layers[1]", place="after")
    assert mine.generation_config.alignment_heads == [[1, 1], [2, 0], [3, 0], [2, 3], [3, 3]]
    session.goto(0)
    assert (
        mine.generation_config.alignment_heads == settings.alignment_heads == [[0, 1], [1, 2], [3, 0], [3, 3]]
    )
