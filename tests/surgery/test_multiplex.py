"""Multiplex: layers share weights, and each has the transformation of them that suits it best."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.charts import Curves
from tests.surgery.by_hand import CACHED, TWO_LISTS, block_lists, heard, small
from tests.surgery.states import cached_equals_uncached, loads_again, run
from tests.zoo import ZOO
from tests.zoo.families import DECODERS

QUERIES = "model.layers.*.self_attn.q_proj"
UPS = "model.layers.*.mlp.up_proj"


def doubled(name: str) -> tuple[nn.Module, Any]:
    """A model of the zoo in float64."""
    model, inputs = DECODERS[name]()
    return model.double(), inputs


def at(model: nn.Module, role: str, place: int) -> Any:
    """The module of a role in a block."""
    return model.get_submodule(role.replace("*", str(place)))


def heads_of(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """The rows of each head as one row."""
    return weight.detach().reshape(heads, -1)


def error(made: nn.Module, model: nn.Module, role: str, places: range) -> float:
    """‖W_ℓ − W‖² over a role."""
    pairs = [(at(made, role, place).weight, at(model, role, place).weight) for place in places]
    return float(sum((one - other).detach().square().sum() for one, other in pairs))


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_the_identity_is_a_plain_tie(name: str) -> None:
    """Without a fit the outputs are those of `tie` but for vectors: bit for bit where there is no bias."""
    model, inputs = DECODERS[name]()
    blocks = block_lists(model)[0]
    made, tied = surgery.open(model, inputs), surgery.open(model, inputs)
    made.multiplex(f"{blocks}[*]", fit=False)
    tied.tie(f"{blocks}[1:4]", to=f"{blocks}[0]", but="vectors")
    found, expected = run(made.model, inputs), run(tied.model, inputs)
    if name == "llama":
        assert torch.equal(found, expected)
    assert torch.allclose(found, expected, atol=1e-6)
    own = {id(item) for item in made.model.parameters()}
    assert len(own) > len({id(item) for item in tied.model.parameters()})


def test_without_a_fit_the_nearest_is_the_average() -> None:
    """What is least far from all as it stands is their mean."""
    model, inputs = doubled("llama")
    session = surgery.open(model, inputs)
    session.multiplex("model.layers[*]", start="nearest", fit=False)
    mean = sum(at(model, QUERIES, place).weight for place in range(4)) / 4
    for place in range(4):
        assert torch.allclose(at(session.model, QUERIES, place).weight, mean, atol=1e-15)


@pytest.mark.parametrize("start", ["first", "nearest"])
def test_what_was_planted_is_found(start: str) -> None:
    """Layers that are mixes of heads and multiples of units of one weight lose nothing."""
    model, inputs = doubled("llama")
    drawn = torch.Generator().manual_seed(3)
    mixes = [torch.eye(4, dtype=torch.float64)]
    mixes += [torch.randn(4, 4, generator=drawn, dtype=torch.float64) for _ in range(3)]
    gains = [torch.ones(1, dtype=torch.float64)]
    with torch.no_grad():
        base, up = at(model, QUERIES, 0).weight, at(model, UPS, 0).weight
        for place in range(1, 4):
            mixed = mixes[place] @ heads_of(base, 4)
            at(model, QUERIES, place).weight.copy_(mixed.reshape(base.shape))
            gains.append(torch.randn(len(up), generator=drawn, dtype=torch.float64))
            at(model, UPS, place).weight.copy_(gains[place][:, None] * up)
    session = surgery.open(model, inputs)
    session.multiplex(f"{QUERIES}, {UPS}", start=start)
    for role in (QUERIES, UPS):
        assert error(session.model, model, role, range(4)) < 1e-22
    if start == "first":
        for place in range(4):
            assert torch.allclose(at(session.model, QUERIES, place).mix_0, mixes[place], atol=1e-11)
            assert torch.allclose(at(session.model, UPS, place).gain, gains[place], atol=1e-11)
        assert torch.equal(at(session.model, QUERIES, 0).mix_0, mixes[0])
    assert (run(session.model, inputs) - run(model, inputs)).abs().max() < 1e-10


def test_the_error_is_the_tail_of_the_spectrum() -> None:
    """Heads: of all heads as rows, beyond as many as a layer has. Units: of each row over the layers."""
    model, inputs = doubled("llama")
    session = surgery.open(model, inputs)
    session.multiplex("model.layers[*]", start="nearest")
    heads = torch.cat([heads_of(at(model, QUERIES, place).weight, 4) for place in range(4)])
    tail = torch.linalg.svdvals(heads)[4:].square().sum()
    assert error(session.model, model, QUERIES, range(4)) == pytest.approx(float(tail), rel=1e-10)
    rows = torch.stack([at(model, UPS, place).weight.detach() for place in range(4)], 1)
    tail = torch.linalg.svdvals(rows)[:, 1:].square().sum()
    assert error(session.model, model, UPS, range(4)) == pytest.approx(float(tail), rel=1e-10)


def test_it_is_least_squares_on_a_given_weight() -> None:
    """What is left of a layer is at right angles to every head, or row, of what is shared."""
    model, inputs = doubled("llama")
    session = surgery.open(model, inputs)
    session.multiplex("model.layers[*]", start="average")
    for place in range(4):
        left = at(model, QUERIES, place).weight - at(session.model, QUERIES, place).weight
        shared = heads_of(at(session.model, QUERIES, 0).shared, 4)
        assert (heads_of(left, 4) @ shared.T).abs().max() < 1e-14
        left = at(model, UPS, place).weight - at(session.model, UPS, place).weight
        assert (left * at(session.model, UPS, 0).shared).sum(1).abs().max() < 1e-14


@pytest.mark.parametrize("others", ["outputs", "inputs"])
@pytest.mark.parametrize("heads", ["mixed", "gains"])
def test_never_worse_than_a_plain_tie(heads: str, others: str) -> None:
    """Over the layers that share nothing is farther from what it was; the nearest are the least far."""
    model, inputs = doubled("qwen2")
    roles = [f"model.layers.*.{name}" for name in ("self_attn.k_proj", "self_attn.o_proj", "mlp.down_proj")]
    lost: dict[str, list[float]] = {}
    for start, fit in (("average", False), ("average", True), ("nearest", True)):
        session = surgery.open(model, inputs)
        session.multiplex("model.layers[*]", start=start, heads=heads, others=others, fit=fit)
        lost[f"{start}, {fit}"] = [error(session.model, model, role, range(4)) for role in roles]
    tied, fitted, nearest = lost.values()
    for role, one in enumerate(tied):
        assert nearest[role] <= fitted[role] <= one
        assert nearest[role] < one


def test_layers_that_are_alike_have_the_identity() -> None:
    """Of all bases the one that is nearest to it; the mean square of mixes and factors is 1."""
    model, inputs = doubled("llama")
    session = surgery.open(model, inputs)
    session.multiplex("model.layers[*]", start="nearest")
    made = [at(session.model, QUERIES, place).mix_0 for place in range(4)]
    assert torch.allclose(sum(mix.T @ mix for mix in made) / 4, torch.eye(4, dtype=torch.float64))
    mean = sum(made) / 4
    assert torch.allclose(mean, mean.T, atol=1e-12)
    assert bool((torch.linalg.eigvalsh(mean) > 0).all())
    with torch.no_grad():
        for place in range(1, 4):
            for role in (QUERIES, UPS):
                at(model, role, place).weight.copy_(at(model, role, 0).weight)
    session = surgery.open(model, inputs)
    session.multiplex("model.layers[*]", start="nearest")
    eye = torch.eye(4, dtype=torch.float64)
    assert all(torch.allclose(at(session.model, QUERIES, place).mix_0, eye) for place in range(4))
    assert torch.allclose(at(session.model, UPS, 2).gain, torch.ones(1, dtype=torch.float64))


def test_what_is_shared_and_what_is_own() -> None:
    """Weights are one parameter within a span; transformations, norms and biases each layer's."""
    model, inputs = DECODERS["qwen2"]()
    session = surgery.open(model, inputs)
    session.multiplex("model.layers[*]", span=3)
    layers: Any = session.model.get_submodule("model.layers")
    keys = [block.self_attn.k_proj for block in layers]
    assert keys[0].shared is keys[1].shared is keys[2].shared
    assert type(keys[3]) is nn.Linear  # left over
    groups, queries = model.config.num_key_value_heads, model.config.num_attention_heads
    assert keys[0].mix_0.shape == (groups, groups)
    assert layers[0].self_attn.q_proj.mix_0.shape == (queries, queries)
    assert layers[0].self_attn.o_proj.mix_0.shape == (queries, queries)
    assert len({id(block.self_attn.q_proj.mix_0) for block in layers[:3]}) == 3
    assert len({id(block.self_attn.q_proj.bias) for block in layers[:3]}) == 3
    assert len({id(block.input_layernorm.weight) for block in layers}) == 4


def test_fused_queries_keys_and_values_have_a_mix_each() -> None:
    """A layer computes with its sections mixed one by one, as the module does with what it gives out."""
    model, inputs = doubled("gpt2")
    session = surgery.open(model, inputs)
    session.multiplex("transformer.h[*]", span=2, start="nearest")
    made: Any = session.model.get_submodule("transformer.h.1.attn.c_attn")
    assert [made.get_parameter(name).shape for name in ("mix_0", "mix_1", "mix_2")] == [(4, 4)] * 3
    x = torch.randn(2, 3, 32, dtype=torch.float64)
    parts = (x @ made.shared).split(32, -1)
    mixes = [made.get_parameter(f"mix_{section}") for section in range(3)]
    expected = [
        torch.einsum("ij,abjs->abis", mix, part.reshape(2, 3, 4, 8)).reshape(2, 3, 32)
        for mix, part in zip(mixes, parts, strict=True)
    ]
    assert torch.allclose(made(x), torch.cat(expected, -1) + made.bias, atol=1e-13)
    for path in ("attn.c_attn", "attn.c_proj", "mlp.c_fc"):
        module: Any = session.model.get_submodule(f"transformer.h.1.{path}")
        y = torch.randn(5, module.in_features, dtype=torch.float64)
        assert torch.allclose(module(y), y @ module.weight + module.bias, atol=1e-13)


def test_all_of_it_is_trained() -> None:
    """The shared weight has a gradient from every layer, and each transformation one of its own."""
    session = surgery.open(*DECODERS["llama"]())
    session.multiplex("model.layers[*]")
    made: Any = session.model
    made(**session.opened.inputs).logits.square().sum().backward()
    found = [at(made, QUERIES, place) for place in range(4)]
    assert found[0].shared.grad is found[3].shared.grad and bool(found[0].shared.grad.any())
    assert all(bool(module.mix_0.grad.any()) for module in found)


@pytest.mark.parametrize("name", ["falcon", "t5", "vit"])
def test_on_families(name: str, tmp_path: Path) -> None:
    """It runs, generates with its cache what it does without, and saves."""
    which = -1 if name in TWO_LISTS else 0
    model, inputs = small(name, which)
    session = surgery.open(model, inputs)
    blocks = block_lists(model)[which]
    expected = session.preview("multiplex", targets=f"{blocks}[*]", span=2, start="nearest").after
    session.multiplex(f"{blocks}[*]", span=2, start="nearest")
    assert expected.parameters == sum(parameter.numel() for parameter in session.model.parameters())
    assert torch.isfinite(run(session.model, inputs)).all()
    if name in CACHED:
        cached_equals_uncached(session.model, heard(name, inputs))
    loads_again(session, tmp_path / "out")


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("model.layers[1]", {}, r"model\.layers\.1: is the only one of its role.*Try: `model\.layers\.\*`"),
    ("model.layers", {}, r"Try: `model\.layers\[\*\]`"),
    ("", {}, r"^\(root\): is the only one of its role.*Try: modules whose paths differ by numbers alone"),
    ("lm_head", {}, r"^lm_head: is the only one of its role.*Try: modules whose paths differ"),
    ("model.layers[0:2], model.layers[2].mlp", {}, r"model\.layers\.2\.mlp: is the only one of its role"),
    ("model.layers[0], model.layers[0].mlp", {}, r"layers\.0\.mlp: .*cannot hold a module and a part of it"),
    ("model.layers[*]", {"heads": "tied", "others": "tied"}, r"no linear module.*Try: `tie\("),
    ("model.layers[*].input_layernorm", {}, "no linear module here"),
]


@pytest.mark.parametrize(("targets", "fields", "sentence"), REFUSED)
def test_refused(targets: str, fields: dict[str, Any], sentence: str) -> None:
    """With the path and the way out."""
    with pytest.raises(SurgeryError, match=sentence):
        surgery.open(*DECODERS["llama"]()).multiplex(targets, **fields)


def test_the_items_of_a_plain_list_are_named() -> None:
    """What the refusal of the whole names is a way out."""
    module = nn.Sequential(*(nn.Linear(6, 6) for _ in range(3)))
    session = surgery.open(module, (torch.randn(2, 6),))
    with pytest.raises(SurgeryError) as refused:
        session.multiplex("")
    assert refused.value.hint == "`*`"
    session.multiplex("*", start="nearest")


def test_adapters_ties_and_fast_paths_are_refused() -> None:
    """What an adapter holds, what is tied to elsewhere, what is made of others, what torch reads itself."""
    session = surgery.open(*DECODERS["llama"]())
    session.attach("model.layers[1].**.q_proj")
    with pytest.raises(SurgeryError, match=r"layers\.1\.self_attn\.q_proj: carries an adapter.*fold"):
        session.multiplex("model.layers[*]")
    session.undo()
    session.tie("model.layers[1].mlp", to="model.layers[0].mlp")
    with pytest.raises(SurgeryError, match=r"layers\.1\.mlp.*left behind; got model\.layers\.0\.mlp.*untie"):
        session.multiplex("model.layers[1:3]")
    session.multiplex("model.layers[0:3]")
    assert run(session.model, session.opened.inputs).isfinite().all()
    with pytest.raises(SurgeryError, match=r"made of others already.*multiply_out"):
        session.multiplex("model.layers[0:3]")
    with pytest.raises(SurgeryError, match="fast path"):
        surgery.open(*ZOO["encoder"]()).multiplex("layers[*]")
    with pytest.raises(SurgeryError, match="used at several paths"):
        surgery.open(*ZOO["siamese"]()).multiplex("left, right")
    model, inputs = DECODERS["llama"]()
    at(model, UPS, 1).weight.data[0, 0] = float("inf")
    with pytest.raises(SurgeryError, match="not finite"):
        surgery.open(model, inputs).multiplex("model.layers[*]", start="nearest")


def test_the_chart_says_what_applying_loses() -> None:
    """A line's point is the relative error of a target, over its modules with heads or over the others."""
    model, inputs = doubled("llama")
    session = surgery.open(model, inputs)
    chart = session.chart("multiplex", "model.layers[*]", span=2, start="nearest")
    assert isinstance(chart, Curves)
    assert set(chart.lines) == {"heads, tied", "heads, transformed", "other, tied", "other, transformed"}
    session.multiplex("model.layers[*]", span=2, start="nearest")
    ups = [f"model.layers.*.mlp.{name}_proj" for name in ("gate", "up", "down")]
    for place in range(4):
        lost = sum(error(session.model, model, role, range(place, place + 1)) for role in ups)
        whole = sum(float(at(model, role, place).weight.detach().square().sum()) for role in ups)
        point = dict(chart.lines["other, transformed"])[place]
        assert point == pytest.approx((lost / whole) ** 0.5, abs=1e-9)


@pytest.mark.parametrize("start", ["first", "average", "nearest"])
def test_the_chart_takes_each_weight_for_itself(start: str) -> None:
    """More than two layers, fewer keys than queries: each point is that of its own layer's heads."""
    model, inputs = DECODERS["llama"]()
    session = surgery.open(model, inputs)
    chart = session.chart("multiplex", "model.layers[*]", start=start)
    assert isinstance(chart, Curves)
    session.multiplex("model.layers[*]", start=start)
    roles = [f"model.layers.*.self_attn.{name}_proj" for name in "qkvo"]
    for place in range(4):
        lost = sum(error(session.model, model, role, range(place, place + 1)) for role in roles)
        whole = sum(float(at(model, role, place).weight.detach().square().sum()) for role in roles)
        point = dict(chart.lines["heads, transformed"])[place]
        assert point == pytest.approx((lost / whole) ** 0.5, abs=1e-6)
