"""The proof a family of transformers gives before edits of depth are allowed on it.

What is compared with is built by transformers alone: a model of the class, from a config written by hand,
into whose blocks the wanted blocks of the original are loaded.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import surgery
from surgery import Session, SurgeryError
from surgery.families import FAMILIES
from surgery.registry import operation_named
from tests.surgery.by_hand import (
    CACHED,
    SMALL,
    TWO_LISTS,
    block_lists,
    by_hand,
    configs,
    heard,
    load,
    loads_with_transformers_alone,
    small,
)
from tests.surgery.states import cached_equals_uncached, generated, loads_again, run, untouched
from tests.zoo import ATLAS
from tests.zoo.families import DECODERS, ENCODERS, STAGES, TOWERS, TRANSLATORS, VARIANTS

EDITS: dict[str, tuple[str, dict[str, Any], list[int]]] = {
    "remove-first": ("remove", {"targets": "[0]"}, [1, 2, 3]),
    "remove-middle": ("remove", {"targets": "[1]"}, [0, 2, 3]),
    "keep-every-second": ("keep", {"targets": "[::2]"}, [0, 2]),
    "move": ("move", {"targets": "[0]", "to": "[2]", "place": "after"}, [1, 2, 0, 3]),
    "swap": ("swap", {"target": "[0]", "other": "[3]"}, [3, 1, 2, 0]),
    "duplicate": ("duplicate", {"targets": "[1:3]"}, [0, 1, 2, 1, 2, 3]),
}
"""By name: the operation, its fields with paths from the block list on, the order of the blocks then."""

# A variant knows its blocks and their names as its family does; what is its own is the cache.
CASES = [
    *((name, 0, edit) for name in DECODERS | ENCODERS for edit in EDITS),
    *((name, 0, "remove-first") for name in TWO_LISTS),
    *((name, -1, edit) for name in TWO_LISTS for edit in ("remove-middle", "duplicate")),
    *((name, -1, "move") for name in TWO_LISTS if name != "resnet"),
    *((name, 0, "move") for name in VARIANTS),
    *((name, 0, "duplicate") for name in ("bart-decoder", "whisper-decoder")),
]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tensors this small are computed sooner by one thread than handed to two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def edited(session: Session, edit: str, blocks: str) -> None:
    """Carries out the edit on the blocks of that list."""
    operation, fields, _ = EDITS[edit]
    paths = {key: value if key == "place" else blocks + value for key, value in fields.items()}
    session.apply(operation_named(operation).from_fields(paths))


def lengths(model: Any, inputs: Any, what: str) -> list[int]:
    """How many of `hidden_states` or `attentions` each part of the model gives when asked for them."""
    with torch.no_grad():
        out = model(**inputs, **{f"output_{what}": True})
    parts = [out, *(value for value in out.values() if hasattr(value, "items"))]
    named = [(key, value) for part in parts for key, value in part.items()]
    return [len(value) for key, value in named if key.endswith(what) and isinstance(value, tuple)]


@pytest.mark.parametrize(("name", "which", "edit"), CASES)
def test_depth(name: str, which: int, edit: str, tmp_path: Path) -> None:
    """The edited model is the one made by hand: outputs, cache, hidden states, folder; and undo undoes it."""
    model, inputs = small(name, which)
    before = untouched(model)
    session = surgery.open(model, inputs)
    lengths(session.model, inputs, "hidden_states")  # transformers hooks the blocks it finds this first time
    original, blocks = run(session.model, inputs), block_lists(model)[which]
    made = by_hand(model, blocks, EDITS[edit][2])
    edited(session, edit, blocks)

    output = run(session.model, inputs)
    assert torch.equal(output, run(made, inputs))
    assert not torch.allclose(output, original, atol=1e-2)
    counted = lengths(session.model, inputs, "hidden_states")
    assert counted == lengths(made, inputs, "hidden_states") != []
    if name in CACHED:
        cached_equals_uncached(session.model, heard(name, inputs))
    loads_again(session, tmp_path / "out")
    if name == "swin" and edit != "duplicate":  # of which alone every second shifts as before
        manifest = json.loads((tmp_path / "out" / "surgery.json").read_text())
        assert re.match(r"swin\.encoder\.layers.*shift_size is", manifest["because"])
    else:
        loads_with_transformers_alone(session.model, inputs, tmp_path / "out")

    session.undo()
    assert torch.equal(run(session.model, inputs), original)
    assert untouched(model) == before
    assert torch.equal(run(model, inputs), original)


@pytest.mark.parametrize("name", [name for name in SMALL if name not in ("convnext", "resnet")])
def test_eager_attention(name: str) -> None:
    """The other implementation of attention, which masks in another way and can show itself."""
    model, inputs = small(name, attn_implementation="eager")
    session = surgery.open(model, inputs)
    lengths(session.model, inputs, "attentions")
    blocks = block_lists(model)[0]
    edited(session, "remove-first", blocks)
    made = by_hand(model, blocks, EDITS["remove-first"][2])
    assert made.config._attn_implementation == "eager"
    assert torch.equal(run(session.model, inputs), run(made, inputs))
    assert lengths(session.model, inputs, "attentions") == lengths(made, inputs, "attentions") != []
    if name in CACHED:
        cached_equals_uncached(session.model, heard(name, inputs))


@pytest.mark.parametrize("name", ["llama", "gemma3_text", "gpt2", "bert-decoder", *TRANSLATORS])
def test_beams_and_a_static_cache(name: str) -> None:
    """Beams reorder every slot of the cache, and a static one is made for as many as the config says."""
    model, inputs = small(name, -1)
    session = surgery.open(model, inputs)
    edited(session, "remove-first", block_lists(model)[-1])
    for beams in (1, 2):
        plain = generated(session.model, heard(name, inputs), num_beams=beams, use_cache=False)
        for cache in ("dynamic", "static"):
            settings = {"num_beams": beams, "cache_implementation": cache}
            assert torch.equal(generated(session.model, heard(name, inputs), **settings), plain)


@pytest.mark.parametrize("name", ["gemma3_text", "mixtral", "distilbert", "t5", "whisper", "resnet"])
def test_shared_copies(name: str, tmp_path: Path) -> None:
    """Each has its own slot in the cache; the folder, which transformers cannot load, keeps them shared."""
    model, inputs = small(name)
    session = surgery.open(model, inputs)
    blocks = block_lists(model)[0]
    session.duplicate(f"{blocks}[1:3]", shared=True)
    assert torch.equal(run(session.model, inputs), run(by_hand(model, blocks, [0, 1, 2, 1, 2, 3]), inputs))
    if name in CACHED:
        cached_equals_uncached(session.model, heard(name, inputs))
    loads_again(session, tmp_path / "out")


@pytest.mark.parametrize("name", SMALL)
def test_the_model_without_its_head(name: str) -> None:
    """Its blocks are found where they are then."""
    model, inputs = small(name)
    bare: Any = model.base_model
    session = surgery.open(bare, inputs)
    edited(session, "remove-first", block_lists(bare)[0])
    made: Any = by_hand(model, block_lists(model)[0], EDITS["remove-first"][2])
    with torch.no_grad():
        assert torch.equal(session.model(**inputs)[0], made.base_model(**inputs)[0])


@pytest.mark.parametrize("name", TWO_LISTS)
def test_both_lists_at_once(name: str) -> None:
    """One step may cut both, and what any config in the model says of either is right."""
    model, inputs = SMALL[name]()
    session = surgery.open(model, inputs)
    first, second = block_lists(model)
    session.remove(f"{first}[1], {second}[1:3]")
    made = by_hand(by_hand(model, first, [0, 2, 3]), second, [0, 3])
    assert torch.equal(run(session.model, inputs), run(made, inputs))
    assert configs(session.model) == configs(made)


@pytest.mark.parametrize("name", [name for name in TWO_LISTS if name != "resnet"])
def test_merged_and_tied_blocks(name: str, tmp_path: Path) -> None:
    """Blocks of each list become their mean or share parameters; untied they compute the same."""
    model, inputs = SMALL[name]()
    session, made = surgery.open(model, inputs), model
    for blocks in reversed(block_lists(model)):
        session.merge(f"{blocks}[0:2]")
        session.tie(f"{blocks}[1]", to=f"{blocks}[0]")
        mean, made = copy.deepcopy(model.get_submodule(f"{blocks}.0")), by_hand(made, blocks, [0, 2, 3])
        with torch.no_grad():
            for path, parameter in model.get_submodule(f"{blocks}.1").named_parameters():
                mean.get_parameter(path).add_(parameter).mul_(0.5)
        for place in (0, 1):
            load(made, f"{blocks}.{place}", mean)
    output = run(session.model, inputs)
    assert torch.equal(output, run(made, inputs))
    assert not torch.allclose(output, run(model, inputs), atol=1e-2)
    loads_again(session, tmp_path / "out")
    for blocks in block_lists(model):
        session.untie(f"{blocks}[1]")
    assert torch.equal(run(session.model, inputs), output)


def test_every_family_is_proved() -> None:
    """None is in the table without a model here."""
    assert {*DECODERS, *ENCODERS, *TRANSLATORS, *TOWERS, *STAGES} == set(FAMILIES)
    assert all(SMALL[name]()[0].config.model_type == name for name in FAMILIES)


def test_a_family_that_is_not_proved_is_refused_by_name() -> None:
    """With the names of those that are."""
    session = surgery.open(*ATLAS["mamba"]())
    with pytest.raises(SurgeryError, match=r"'mamba'.*gemma2"):
        session.remove("backbone.layers[0]")
