"""Inputs block after block: what each layer is given once all blocks before it were edited."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import surgery
from surgery import SurgeryError
from surgery.calibration.collecting import collect
from surgery.calibration.layers import Layer
from surgery.calibration.observing import Inputs
from surgery.calibration.telling import listening
from surgery.calibration.turns import in_turn
from surgery.evaluate import Stopped
from tests.surgery.calibration.models import given_to, layers_at, session_of, text
from tests.surgery.states import untouched

WANTED: dict[str, Any] = {"samples": 100, "grams": True, "verb": "this"}


def halved(layer: Layer, inputs: Inputs, weight: Tensor) -> Tensor:
    """An edit that all that follows can see."""
    return weight * 0.5


def threads() -> list[str]:
    """Those of forwards that wait."""
    return [thread.name for thread in threading.enumerate() if thread.name == "surgery-forward"]


@pytest.mark.parametrize("name, blocks, inner", [
    ("llama", "model.layers", ("self_attn.v_proj", "mlp.down_proj")),
    ("gpt2", "transformer.h", ("attn.c_attn", "mlp.c_proj")),
])  # fmt: skip
def test_each_block_sees_the_edited_ones_before_it(name: str, blocks: str, inner: tuple[str, ...]) -> None:
    """As a whole run of the model would give it, with all blocks before edited and the block itself not."""
    session = session_of(name)
    layers = layers_at(session, blocks)
    found = in_turn(session.patient, layers, session.data, halved, **WANTED)
    assert list(found) == [layer.path for layer in layers]
    count, model = len(session.model.get_submodule(blocks)._modules), session.opened.model
    for block in range(count):
        for path in (f"{blocks}.{block}.{part}" for part in inner):
            given = given_to(model, path, text())
            torch.testing.assert_close(found[path].gram, given.T @ given, rtol=1e-4, atol=1e-5)
            assert found[path].tokens == len(given)
        for layer in layers:
            if layer.path.startswith(f"{blocks}.{block}."):
                model.get_parameter(layer.weight).data.mul_(0.5)
    assert not threads()


def test_the_first_block_is_given_what_it_is_given_without_turns() -> None:
    """Bit for bit, and the model stays."""
    session = session_of("llama")
    layers, before = layers_at(session, "model.layers"), untouched(session.opened.model)
    turned = in_turn(session.patient, layers, session.data, halved, **WANTED)
    plain = collect(session.patient, layers, session.data, **WANTED)
    first, second = "model.layers.0.mlp.up_proj", "model.layers.1.mlp.up_proj"
    assert torch.equal(turned[first].squares, plain[first].squares)
    assert not torch.allclose(turned[second].squares, plain[second].squares)
    assert untouched(session.opened.model) == before


def test_what_is_tied_between_blocks_is_edited_first() -> None:
    """By what the model as it is gives it everywhere; blocks before its own see it edited."""
    session = session_of("llama")
    session.tie("model.layers[2]", to="model.layers[1]")
    layers = layers_at(session, "model.layers[0:3]")
    found = in_turn(session.patient, layers, session.data, halved, **WANTED)
    plain = collect(session.patient, layers, session.data, **WANTED)
    tied, alone = "model.layers.1.mlp.up_proj", "model.layers.0.mlp.up_proj"
    assert torch.equal(found[tied].gram, plain[tied].gram)
    assert torch.equal(found[alone].gram, plain[alone].gram)


class Again(nn.Module):
    """One block that is called three times, between two others; its block writes into what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(6, 6)) for _ in range(3))
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 6) to (n, 2)."""
        for index in (0, 1, 1, 1, 2):
            x = x + self.blocks[index](x.clone())
        found: Tensor = self.head(x)
        return found


def test_a_block_that_is_called_again_is_edited_first() -> None:
    """All of its calls count; a layer outside blocks is a block of its own."""
    torch.manual_seed(0)
    model, batches = Again().eval(), [torch.randn(5, 6), torch.randn(4, 6)]
    session = surgery.open(model, (batches[0],))
    layers = layers_at(session, "**")
    found = in_turn(session.patient, layers, batches, halved, **WANTED)
    assert {path: item.tokens for path, item in found.items()} == {
        "blocks.0.1": 9, "blocks.1.1": 27, "blocks.2.1": 9, "head": 9,
    }  # fmt: skip
    heard: dict[str, Tensor] = {}
    for path in ("blocks.1.1", "blocks.0.1", "blocks.2.1", "head"):  # edited in this order, as told
        sums = torch.zeros(6, dtype=torch.float64)

        def hear(_: nn.Module, args: tuple[Tensor, ...], sums: Tensor = sums) -> None:
            sums.add_(args[0].detach().double().square().sum(0))

        hook = model.get_submodule(path).register_forward_pre_hook(hear)
        for batch in batches:
            model(batch)
        hook.remove()
        heard[path] = sums
        model.get_submodule(path).weight.data.mul_(0.5)
    for path, sums in heard.items():
        torch.testing.assert_close(found[path].squares, sums, rtol=1e-5, atol=1e-6)


def test_progress_is_by_blocks_and_a_stop_leaves_no_thread() -> None:
    """What was begun ends at once, wherever it waits."""
    session, told = session_of("llama"), []
    layers, stop = layers_at(session, "model.layers"), threading.Event()
    with listening(lambda *item: told.append(item)):
        in_turn(session.patient, layers, session.data, halved, **WANTED)
    count = len(told)
    assert [label for _, label in told] == [f"{number + 1} of {count} blocks" for number in range(count)]
    with listening(lambda *_: stop.set(), stop), pytest.raises(Stopped):
        in_turn(session.patient, layers, session.data, halved, **WANTED)
    assert not threads()


def test_a_failing_edit_or_model_leaves_no_thread() -> None:
    """Nor an edited model."""

    def fails(layer: Layer, inputs: Inputs, weight: Tensor) -> Tensor:
        raise SurgeryError("it does not fit", path=layer.path)

    session = session_of("llama")
    layers = layers_at(session, "model.layers")
    with pytest.raises(SurgeryError, match=r"^model\.layers\.0.*does not fit"):
        in_turn(session.patient, layers, session.data, fails, **WANTED)
    with pytest.raises(SurgeryError, match="cannot run a batch"):
        in_turn(session.patient, layers, [torch.zeros(2, 3)], halved, **WANTED)
    assert not threads()


def test_layers_that_no_batch_reaches_are_refused() -> None:
    """By path, once the others were seen."""
    model = Again()
    session = surgery.open(model, (torch.randn(2, 6),))
    model.blocks.append(nn.Sequential(nn.ReLU(), nn.Linear(6, 6)))
    session = surgery.open(model, (torch.randn(2, 6),))
    with pytest.raises(SurgeryError, match=r"^blocks\.3\.1: the data never reach"):
        in_turn(session.patient, layers_at(session, "**"), [torch.randn(2, 6)], halved, **WANTED)
    assert not threads()
