"""What is dragged from the shelf becomes the step that code would make, or a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from surgery import SurgeryError
from surgery.operation import Operation
from surgery.registry import operation_named
from tests.surgery.merging.parents import family, tensors
from tests.surgery.merging.test_adapters import adapter
from tests.widgets.shelves import Bench, shorter


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A parent, a shorter one and an adapter on the shelf."""
    base, parents = family(tmp_path, 1)
    bench = Bench.on(base)
    bench.add(parents[0], "one")
    bench.add(shorter(tmp_path / "short"), "short")
    adapter(tmp_path / "adapter", 1)
    bench.add(tmp_path / "adapter", "style")
    return bench


def block(parent: str, path: str) -> dict[str, Any]:
    """A block's card."""
    return {"kind": "block", "parent": parent, "path": path}


def taken(bench: Bench, card: Any, target: str | None) -> Operation:
    """The step of a drop that is not refused."""
    step = bench.shelf.card(card, target)
    assert step is not None
    return step


@pytest.mark.parametrize("target", [None, "model.layers.2", "model.layers", ""])
def test_a_block_takes_its_own_place(bench: Bench, tmp_path: Path, target: str | None) -> None:
    """Its weights are the parent's then, and all others this model's."""
    step = taken(bench, block("one", "model.layers.2"), target)
    source = f"one={tmp_path / 'parent1'}"
    assert step == operation_named("soup").of("model.layers[2]", parents=[source], t=1.0)
    start, other = tensors(tmp_path / "base"), tensors(tmp_path / "parent1")
    bench.session.apply(step)
    for name, parameter in bench.session.model.named_parameters():
        expected = other if name.startswith("model.layers.2.") else start
        assert torch.equal(parameter.detach(), expected[name]), name


def test_another_place_is_refused(bench: Bench) -> None:
    """With the place that it has."""
    with pytest.raises(SurgeryError, match=r"^model.layers.1: .* expected model.layers.2") as refused:
        bench.shelf.card(block("one", "model.layers.2"), "model.layers.1")
    assert refused.value.path == "model.layers.1"


@pytest.mark.parametrize(
    "card, said",
    [
        (block("short", "model.layers.3"), "this parent lacks the tensor"),
        (block("nobody", "model.layers.3"), "no parent of this name"),
        (block("one", "model.layers.9"), "no module is called so"),
        (block("one", ""), "no module is called so"),
        (block("style", "model.norm"), "changes nothing here"),
        ({"kind": "adapter", "alias": "one"}, "is no adapter"),
    ],
)
def test_what_does_not_go_is_refused(bench: Bench, card: dict[str, Any], said: str) -> None:
    """In a sentence."""
    with pytest.raises(SurgeryError, match=said):
        bench.shelf.card(card, None)


def test_an_adapter_goes_where_it_is_dropped(bench: Bench, tmp_path: Path) -> None:
    """On that module, or everywhere; times the weight of its row."""
    source = f"style={tmp_path / 'adapter'}"
    adopt = operation_named("adopt")
    card = {"kind": "adapter", "alias": "style"}
    assert taken(bench, card, "model.layers.1") == adopt.of([source], "model.layers[1]")
    assert taken(bench, card, None) == adopt.of([source])
    bench.send("weight", alias="style", values=[0.25])
    assert taken(bench, card, "") == adopt.of([source], weights=[0.25])
    assert taken(bench, block("style", "model.layers.0"), None) == adopt.of(
        [source], "model.layers[0]", weights=[0.25]
    )
    bench.session.apply(taken(bench, card, "model.layers.1"))


@pytest.mark.parametrize("card", [None, {}, {"kind": "operation"}, "block"])
def test_other_cards_are_left_to_others(bench: Bench, card: Any) -> None:
    """The shelf makes steps of its own cards alone."""
    assert bench.shelf.card(card, None) is None


def test_a_cell_does_the_same_by_keyboard(bench: Bench) -> None:
    """The step is prepared as if it had been dragged; a refusal is said on the shelf."""
    bench.send("adopt", alias="one", path="model.layers.2")
    bench.send("adopt", alias="style", path="")
    assert bench.prepared == [
        bench.shelf.card(block("one", "model.layers.2"), None),
        bench.shelf.card({"kind": "adapter", "alias": "style"}, None),
    ]
    state = bench.send("adopt", alias="short", path="model.layers.3")
    assert "lacks the tensor" in state["problem"]["text"] and len(bench.prepared) == 2
    assert bench.send("counts", alias="short", on=False)["problem"] is None
