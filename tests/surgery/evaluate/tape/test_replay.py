"""A forward over the tape gives the bits of a full one, whatever was edited, and runs only what it must."""

from __future__ import annotations

from typing import Any

import pytest

import surgery
from graph.shell import shell
from surgery import SurgeryError
from surgery.registry import operation_named
from tests.surgery.evaluate.conftest import decoder, tokens
from tests.surgery.evaluate.tape.forwards import changed, equal, full, tape, taped, without_cache
from tests.zoo import ATLAS

AT_MOST = 8


@pytest.mark.parametrize("name", ATLAS)
def test_any_edited_weight_gives_the_bits_of_a_full_run(name: str) -> None:
    """Wherever in any model of the atlas a weight changes; and nothing changed replays what was recorded."""
    model, inputs = ATLAS[name]()
    model, inputs = shell(model).model, without_cache(model, inputs)
    over = tape()
    assert equal(full(model, inputs), taped(over, model, inputs))
    assert equal(full(model, inputs), taped(over, model, inputs))
    assert over.replays, "nothing was replayed"
    paths = [path for path, _ in model.named_parameters()]
    for path in paths[:: max(1, len(paths) // AT_MOST)]:
        edited = changed(model, path)
        assert equal(full(edited, inputs), taped(over, edited, inputs)), path


STEPS: list[tuple[str, dict[str, Any]]] = [
    ("remove", {"targets": "{}[1]"}),
    ("remove", {"targets": "{}[0]"}),
    ("keep", {"targets": "{}[:2]"}),
    ("swap", {"target": "{}[0]", "other": "{}[1]"}),
    ("move", {"targets": "{}[0]", "to": "{}[1]", "place": "after"}),
    ("duplicate", {"targets": "{}[0:2]"}),
    ("duplicate", {"targets": "{}[1]", "order": "each", "shared": True}),
    ("tie", {"targets": "{}[1]", "to": "{}[0]"}),
    ("untie", {"targets": "**"}),
    ("merge", {"targets": "{}[0:2]"}),
    ("sparsify", {"targets": "{}[1]", "ratio": 0.5}),
    ("narrow", {"targets": "{}[1]", "units": "neurons", "ratio": 0.5}),
    ("attach", {"targets": "{}[1].**:Linear", "rank": 2}),
    ("insert", {"targets": "{}[1]", "module": "identity"}),
    ("wrap", {"targets": "{}[1]", "wrapper": "scale"}),
    ("skip", {"targets": "{}[1]"}),
]
STAY = ("swap", "sparsify", "wrap")
"""Steps that later ones are made on."""
BLOCKS = {
    "llama": "model.layers",
    "gpt2": "transformer.h",
    "gemma3": "model.layers",
    "mixtral": "model.layers",
    "bert": "bert.encoder.layer",
    "t5": "encoder.block",
    "bart": "model.encoder.layers",
    "vit": "vit.layers",
    "whisper": "model.encoder.layers",
    "nested_lists": "grid",
    "encoder": "layers",
}


@pytest.mark.parametrize("name", BLOCKS)
def test_every_operation_gives_the_bits_of_a_full_run(name: str) -> None:
    """After each step alone and after two; a step that does not fit the model is none."""
    model, inputs = ATLAS[name]()
    asked = without_cache(model, inputs)
    session, over, made = surgery.open(model, inputs), tape(), 0
    taped(over, session.opened.model, asked)
    for step, fields in STEPS:
        values = {k: v.format(BLOCKS[name]) if isinstance(v, str) else v for k, v in fields.items()}
        try:
            session.apply(operation_named(step).of(**values))
        except SurgeryError:
            continue
        made += 1
        assert equal(full(session.model, asked), taped(over, session.model, asked)), step
        if step not in STAY:
            session.undo()
    assert made >= 3


def test_only_what_comes_after_an_edit_runs() -> None:
    """Of six blocks the last three run after an edit of the fourth; after undoing it none."""
    model = decoder(blocks=6)
    asked = {"input_ids": tokens(2), "use_cache": False}
    over = tape()
    taped(over, model, asked)
    edited = changed(model, "model.layers.3.mlp.up_proj.weight")
    before = over.store.used_bytes
    taped(over, edited, asked)
    a_block = 2 * 16 * 32 * 4
    assert over.store.used_bytes - before == 4 * a_block  # three blocks and the last norm
    before = over.store.used_bytes
    taped(over, model, asked)
    assert over.store.used_bytes == before


def test_a_copy_of_the_same_values_runs_alone() -> None:
    """An untied block gives the bits it gave before, so nothing after it runs."""
    model = decoder(blocks=6)
    asked = {"input_ids": tokens(2), "use_cache": False}
    over = tape()
    taped(over, model, asked)
    edited = changed(model, "model.layers.1.mlp.up_proj.weight", factor=1.0)
    taped(over, edited, asked)
    assert len(over.replays) == 8  # of nine: the embedding, five blocks, norm, rotary
