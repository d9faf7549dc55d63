"""What is narrowed computes as if the units that are gone had led nowhere, on every family."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from tests.surgery.widths import (
    CASES,
    HEADS,
    NEURONS,
    alone,
    columns,
    exact,
    leads_out,
    narrowed,
    outputs,
    some,
    zeroed,
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(("name", "units"), CASES)
def test_what_is_gone_had_led_nowhere(name: str, units: str) -> None:
    """Sliced equals zeroed, with the places given, in all parts and in one alone."""
    model, inputs = exact(name)
    kept = some(model, name, units)
    whole = narrowed(model, targets="**", units=units, kept=kept)
    paths = leads_out(model, name, units)
    expected = outputs(zeroed(model, name, units, dict.fromkeys(paths, kept)), inputs)
    assert not torch.allclose(expected, outputs(model, inputs), atol=1e-3)
    assert torch.allclose(outputs(whole, inputs), expected, atol=1e-5, rtol=0)
    if one := alone(model, name, units):
        made = narrowed(model, targets=one[0], units=units, kept=kept)
        expected = outputs(zeroed(model, name, units, dict.fromkeys(one[1], kept)), inputs)
        assert torch.allclose(outputs(made, inputs), expected, atol=1e-5, rtol=0)


def energies_of_neurons(model: nn.Module, name: str, path: str) -> torch.Tensor:
    """Σ w² of each neuron that leads out at `path`: its rows, its biases, its column."""
    where = NEURONS[name]
    energy = columns(model.get_submodule(path)).square().sum(0)
    for end in where.into:
        into: Any = model.get_submodule(path.removesuffix(where.out) + end)
        rows = columns(into).square().sum(1) + (0 if into.bias is None else into.bias.data.square())
        energy = energy + rows.view(-1, len(energy)).sum(0)
    return energy


@pytest.mark.parametrize("name", NEURONS)
def test_the_neurons_of_largest_weights_stay(name: str) -> None:
    """By Σ w² in each layer, computed here."""
    model, inputs = exact(name)
    kept = {}
    for path in leads_out(model, name, "neurons"):
        energy = energies_of_neurons(model, name, path)
        kept[path] = energy.topk(len(energy) - len(energy) // 4).indices.tolist()
    made = narrowed(model, targets="**", units="neurons", ratio=0.25)
    expected = outputs(zeroed(model, name, "neurons", kept), inputs)
    assert torch.allclose(outputs(made, inputs), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", HEADS)
def test_the_heads_of_largest_weights_stay(name: str) -> None:
    """By what the model loses in Σ w² where one unit alone goes."""
    model, _ = exact(name)
    targets, _ = alone(model, name, "heads") or ("**", [])
    where, block = HEADS[name], targets.replace("**", "model.layers.0")

    def energy(of: nn.Module) -> float:
        tensors = {path: tensor for path, tensor in of.state_dict().items() if path.startswith(block)}
        return sum(float(tensor.square().sum()) for path, tensor in tensors.items() if "_bias" not in path)

    lost = []
    for unit in range(where.units):
        others = [place for place in range(where.units) if place != unit]
        lost.append(energy(model) - energy(narrowed(model, targets=targets, units="heads", kept=others)))
    stay = sorted(torch.tensor(lost).topk(where.units // 2).indices.tolist())
    chosen = narrowed(model, targets=targets, units="heads", count=where.each * (where.units // 2))
    expected = narrowed(model, targets=targets, units="heads", kept=stay)
    mine, theirs = chosen.get_submodule(block).state_dict(), expected.get_submodule(block).state_dict()
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs)


def test_the_energy_of_a_head() -> None:
    """Rows of queries, keys and values with their biases, and columns of what leads out."""
    model, _ = exact("gpt2")
    attention: Any = model.get_submodule("transformer.h.0.attn")
    weight, bias = attention.c_attn.weight.data.view(32, 3, 4, 8), attention.c_attn.bias.data.view(3, 4, 8)
    energy = weight.square().sum((0, 1, 3)) + bias.square().sum((0, 2))
    energy += attention.c_proj.weight.data.view(4, 8, 32).square().sum((1, 2))
    made: Any = narrowed(model, targets="transformer.h[0]", units="heads", count=1).get_submodule(
        "transformer.h.0"
    )
    head = int(energy.argmax())
    assert torch.equal(made.attn.c_attn.weight, weight[:, :, head].reshape(32, 24))
    assert torch.equal(made.attn.c_attn.bias, bias[:, head].reshape(24))
    assert torch.equal(made.attn.c_proj.weight, attention.c_proj.weight[head * 8 : head * 8 + 8])
