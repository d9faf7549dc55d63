"""The proof a family of transformers gives before edits of depth are allowed on it.

What is compared with is built by transformers alone: a model of the class, from a config written by hand,
into whose blocks the wanted blocks of the original are loaded.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import Session, SurgeryError
from surgery.families import FAMILIES
from surgery.quiet import quiet
from surgery.registry import operation_named
from tests.surgery.contract import cached_equals_uncached, loads_again, run, untouched
from tests.zoo import ATLAS
from tests.zoo.families import DECODERS, ENCODERS, VARIANTS

SMALL = DECODERS | ENCODERS | VARIANTS
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
CASES = [(name, edit) for name in SMALL for edit in EDITS if name not in VARIANTS or edit == "move"]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tensors this small are computed sooner by one thread than handed to two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def block_list(model: nn.Module) -> str:
    """The path of the four blocks, found without the engine."""
    found = [path for path, module in model.named_modules() if isinstance(module, nn.ModuleList)]
    return next(path for path in found if len(model.get_submodule(path)) == 4)


def edited(session: Session, edit: str) -> None:
    """Carries out the edit on the session's blocks."""
    operation, fields, _ = EDITS[edit]
    blocks = block_list(session.model)
    paths = {key: value if key == "place" else blocks + value for key, value in fields.items()}
    session.apply(operation_named(operation).from_fields(paths))


def by_hand(model: nn.Module, order: list[int]) -> nn.Module:
    """A model of the class with these blocks of `model`, made without the engine."""
    source: Any = model
    config = copy.deepcopy(source.config)
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[index] for index in order]
    config.num_hidden_layers = len(order)
    made = type(model)(config).eval()
    blocks = block_list(model)
    around = {key: value for key, value in model.state_dict().items() if not key.startswith(f"{blocks}.")}
    report = made.load_state_dict(around, strict=False)
    assert not report.unexpected_keys
    assert all(key.startswith(f"{blocks}.") for key in report.missing_keys)
    for place, index in enumerate(order):
        block = model.get_submodule(f"{blocks}.{index}")
        made.get_submodule(f"{blocks}.{place}").load_state_dict(block.state_dict())
    return made


def hidden_states(model: Any, inputs: Any) -> int:
    """How many hidden states the model gives when asked for them."""
    with torch.no_grad():
        return len(model(**inputs, output_hidden_states=True).hidden_states)


def loads_with_transformers_alone(model: Any, inputs: Any, folder: Path) -> None:
    """`from_pretrained` of the class finds every tensor and nothing else, and gives the same outputs."""
    assert (folder / "config.json").is_file()  # without it transformers would make a model of full size
    with quiet():
        loaded, report = type(model).from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]
    assert torch.equal(run(loaded.eval(), inputs), run(model, inputs))


@pytest.mark.parametrize(("name", "edit"), CASES)
def test_depth(name: str, edit: str, tmp_path: Path) -> None:
    """The edited model is the one made by hand: outputs, cache, hidden states, folder; and undo undoes it."""
    model, inputs = SMALL[name]()
    before = untouched(model)
    session = surgery.open(model, inputs)
    assert hidden_states(session.model, inputs) == 5  # transformers hooks the blocks it finds this first time
    original, order = run(session.model, inputs), EDITS[edit][2]
    edited(session, edit)

    output = run(session.model, inputs)
    assert torch.equal(output, run(by_hand(model, order), inputs))
    assert not torch.allclose(output, original, atol=1e-2)
    assert hidden_states(session.model, inputs) == len(order) + 1
    if name not in ENCODERS:  # which have no cache
        cached_equals_uncached(session.model)
    loads_again(session, tmp_path / "out")
    loads_with_transformers_alone(session.model, inputs, tmp_path / "out")

    session.undo()
    assert torch.equal(run(session.model, inputs), original)
    assert untouched(model) == before
    assert torch.equal(run(model, inputs), original)


@pytest.mark.parametrize("name", SMALL)
def test_eager_attention(name: str) -> None:
    """The other implementation of attention, which masks in another way and can show itself."""
    model, inputs = SMALL[name](attn_implementation="eager")
    session = surgery.open(model, inputs)
    with torch.no_grad():
        session.model(**inputs, output_attentions=True)
    edited(session, "remove-first")
    made = by_hand(model, EDITS["remove-first"][2])
    assert made.config._attn_implementation == "eager"
    assert torch.equal(run(session.model, inputs), run(made, inputs))
    with torch.no_grad():
        assert len(session.model(**inputs, output_attentions=True).attentions) == 3
    if name not in ENCODERS:
        cached_equals_uncached(session.model)


@pytest.mark.parametrize("name", ["gemma3_text", "mixtral", "distilbert"])
def test_shared_copies(name: str, tmp_path: Path) -> None:
    """Each has its own slot in the cache; the folder, which transformers cannot load, keeps them shared."""
    model, inputs = SMALL[name]()
    session = surgery.open(model, inputs)
    session.duplicate(f"{block_list(model)}[1:3]", shared=True)
    assert torch.equal(run(session.model, inputs), run(by_hand(model, [0, 1, 2, 1, 2, 3]), inputs))
    if name not in ENCODERS:
        cached_equals_uncached(session.model)
    loads_again(session, tmp_path / "out")


@pytest.mark.parametrize("name", SMALL)
def test_the_model_without_its_head(name: str) -> None:
    """Its blocks are found where they are then."""
    model, inputs = SMALL[name]()
    bare: Any = model.base_model
    session = surgery.open(bare, inputs)
    edited(session, "remove-first")
    made: Any = by_hand(model, EDITS["remove-first"][2])
    with torch.no_grad():
        assert torch.equal(session.model(**inputs)[0], made.base_model(**inputs)[0])


def test_every_family_is_proved() -> None:
    """None is in the table without a model here."""
    assert {*DECODERS, *ENCODERS} == set(FAMILIES)
    assert all(SMALL[name]()[0].config.model_type == name for name in FAMILIES)


def test_a_family_that_is_not_proved_is_refused_by_name() -> None:
    """With the names of those that are."""
    session = surgery.open(*ATLAS["t5"]())
    with pytest.raises(SurgeryError, match=r"'t5'.*gemma2"):
        session.remove("encoder.block[0]")
