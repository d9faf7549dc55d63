"""Share heads: the heads most alike share one set of queries, keys and values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.charts import Curves
from surgery.tying.heads import matched
from tests.surgery.by_hand import CACHED, block_lists, heard, small
from tests.surgery.states import cached_equals_uncached, loads_again, run
from tests.zoo import ZOO
from tests.zoo.families import DECODERS


def head_of(model: nn.Module, name: str, layer: int, head: int, count: int) -> torch.Tensor:
    """The rows of a group of heads in a projection of a Llama, written out."""
    weight: Any = model.get_submodule(f"model.layers.{layer}.self_attn.{name}_proj").weight
    rows = len(weight) // count
    return weight.detach()[head * rows : (head + 1) * rows]


def with_doubles() -> tuple[nn.Module, Any, int]:
    """A Llama whose group 1 of layer 2 is group 0 of layer 0, and group 0 of layer 3 that of layer 1."""
    model, inputs = DECODERS["llama"]()
    count = model.config.num_key_value_heads
    for layer, head, of_layer, of_head in ((2, 1, 0, 0), (3, 0, 1, 0)):
        for name in "qkv":
            head_of(model, name, layer, head, count).copy_(head_of(model, name, of_layer, of_head, count))
    return model, inputs, count


def test_doubled_heads_are_found_and_lose_nothing() -> None:
    """Their cosine is 1; they become one, and the outputs stay to the bit."""
    model, inputs, count = with_doubles()
    session = surgery.open(model, inputs)
    chart = session.chart("share_heads", "**", ratio=0.25)
    assert isinstance(chart, Curves) and chart.mark == 0.25
    likest = [value for _, value in chart.lines["heads"]]
    assert likest[:2] == pytest.approx([1.0] * 2) and likest[2] < 0.999
    session.share_heads("**", ratio=2 / (4 * count))
    assert session.steps[-1].found.data == [[2 * count + 1, 0], [3 * count, count]]
    layers: Any = session.model.get_submodule("model.layers")
    for name in ("q_proj", "k_proj", "v_proj"):
        assert getattr(layers[2].self_attn, name).head_1 is getattr(layers[0].self_attn, name).head_0
        assert getattr(layers[3].self_attn, name).head_0 is getattr(layers[1].self_attn, name).head_0
        assert getattr(layers[2].self_attn, name).head_0 is not getattr(layers[0].self_attn, name).head_0
    assert torch.equal(run(session.model, inputs), run(model, inputs))


def test_likeness_is_the_cosine_of_queries_and_keys() -> None:
    """As written out: [W_q ‖ W_k] of a group, flattened; each head takes the likest that is left."""
    model, inputs = DECODERS["llama"]()
    count = model.config.num_key_value_heads
    vectors = [
        torch.cat([head_of(model, name, layer, head, count) for name in "qk"]).double().flatten()
        for layer in range(4)
        for head in range(count)
    ]
    table = torch.stack([torch.cosine_similarity(one[None], torch.stack(vectors)) for one in vectors])
    session = surgery.open(model, inputs)
    chart = session.chart("share_heads", "**")
    assert isinstance(chart, Curves)
    left, turns = list(range(len(table))), []
    while len(left) > 1:
        likest = max((float(table[a, b]), a) for a in left for b in left if b < a)
        turns.append(likest[0])
        left.remove(likest[1])
    assert [value for _, value in chart.lines["heads"]] == pytest.approx(turns)
    session.share_heads("**", ratio=0.5)
    pairs = session.steps[-1].found.data
    left = [head for head in range(len(table)) if head not in dict(pairs)]
    assert len(pairs) == len(table) // 2
    assert all(max(left, key=lambda other: table[taker, other]) == giver for taker, giver in pairs)


def test_the_later_of_the_two_most_alike_gives_up() -> None:
    """Again and again, and whoever took from one that gives up later takes from another."""
    table = torch.eye(4, dtype=torch.float64)
    for a, b, value in ((0, 1, 0.5), (1, 2, 0.9), (0, 2, 0.4), (2, 3, 0.3), (0, 3, 0.2), (1, 3, 0.1)):
        table[a, b] = table[b, a] = value
    assert matched(table, 1) == [(2, 1)]
    assert matched(table, 2) == [(1, 0), (2, 0)]
    assert matched(table, 3) == [(1, 0), (2, 0), (3, 0)]


def test_parameters_are_counted_once() -> None:
    """As many fewer as the heads that gave up had, whichever these are."""
    model, inputs = DECODERS["llama"]()
    session = surgery.open(model, inputs)
    count = model.config.num_key_value_heads
    each = sum(head_of(model, name, 0, 0, count).numel() for name in "qkv")
    expected = session.preview("share_heads", targets="**", ratio=0.5).after.parameters
    before = sum(parameter.numel() for parameter in model.parameters())
    assert expected == before - 2 * count * each
    session.share_heads("**", ratio=0.5)
    assert sum(parameter.numel() for parameter in session.model.parameters()) == expected


def test_what_is_tied_already_is_one_head() -> None:
    """Tied blocks stay tied, count once, and share with others."""
    model, inputs = DECODERS["llama"]()
    session = surgery.open(model, inputs)
    session.tie("model.layers[1]", to="model.layers[0]")
    before = run(session.model, inputs)
    session.share_heads("model.layers[0:2]", ratio=0.5)
    layers: Any = session.model.get_submodule("model.layers")
    assert layers[0].self_attn.q_proj.head_0 is layers[1].self_attn.q_proj.head_0
    assert len(session.steps[-1].found.data) == model.config.num_key_value_heads // 2
    assert run(session.model, inputs).shape == before.shape
    session.undo()
    session.undo()
    session.tie("model.layers[1].self_attn.q_proj", to="model.layers[0].self_attn.q_proj")
    with pytest.raises(SurgeryError, match=r"not all tied to the same places.*untie"):
        session.share_heads("model.layers[0:2]", ratio=0.5)
    with pytest.raises(SurgeryError, match=r"left behind; got model\.layers\.0.*untie"):
        session.share_heads("model.layers[1:3]", ratio=0.5)


@pytest.mark.parametrize("name", ["qwen2", "opt", "bert", "vit"])
def test_on_families(name: str, tmp_path: Path) -> None:
    """It runs, generates with its cache what it does without, and saves with biases of each one's own."""
    model, inputs = small(name)
    session = surgery.open(model, inputs)
    session.share_heads(block_lists(model)[0], ratio=0.3)
    assert torch.isfinite(run(session.model, inputs)).all()
    if name in CACHED:
        cached_equals_uncached(session.model, heard(name, inputs))
    loads_again(session, tmp_path / "out")


def test_a_replay_needs_no_likeness(tmp_path: Path) -> None:
    """The script carries the pairs: on other weights the same heads share."""
    model, inputs, count = with_doubles()
    session = surgery.open(model, inputs)
    session.share_heads("**", ratio=2 / (4 * count))
    script = session.script.write(tmp_path / "edits.json")
    skeleton = surgery.open(*DECODERS["llama"](), skeleton=True)
    with pytest.raises(SurgeryError, match="opened without weights"):
        skeleton.share_heads("**", ratio=0.25)
    again = surgery.replay(script, model, inputs=inputs)
    assert again.fingerprint() == session.fingerprint()


REFUSED = [
    ("gpt2", "transformer.h[0]", 0.5, "a linear module for each of queries, keys and values.*`tie`"),
    ("llama", "model.layers[0]", 0.01, r"too few heads.*got \d heads, ratio 0.01.*ratio="),
    ("llama", "model.layers[0].mlp", 0.5, "no heads that share_heads knows"),
    ("llama", "model.layers[0].self_attn.q_proj", 0.5, r"only a piece.*`model\.layers\.0\.self_attn`"),
]


@pytest.mark.parametrize(("name", "targets", "ratio", "sentence"), REFUSED)
def test_refused(name: str, targets: str, ratio: float, sentence: str) -> None:
    """With the path and the way out."""
    with pytest.raises(SurgeryError, match=sentence):
        surgery.open(*DECODERS[name]()).share_heads(targets, ratio=ratio)


def test_pairs_of_other_heads_and_adapters_are_refused() -> None:
    """A step whose pairs do not fit the model, and heads under adapters."""
    session = surgery.open(*DECODERS["llama"]())
    for found in ([[99, 0]], [[1, 0], [2, 1]], [[1]], {"a": 1}):
        with pytest.raises(SurgeryError, match="found on other heads"):
            session.share_heads("model.layers[0:2]", ratio=0.5, found=found)
    session.attach("**.k_proj")
    with pytest.raises(SurgeryError, match=r"k_proj: carries an adapter.*fold"):
        session.share_heads("**")
    with pytest.raises(SurgeryError, match="no heads that"):
        surgery.open(*ZOO["tied_head"]()).share_heads("**")


@pytest.mark.parametrize("name", ["q_proj", "v_proj"])
def test_heads_of_low_rank_are_refused(name: str) -> None:
    """What the outer half does to a head hangs on an inner half that another layer has not."""
    session = surgery.open(*DECODERS["llama"]())
    session.low_rank(f"**.{name}", rank=4)
    for attempt in (session.share_heads, lambda *paths: session.chart("share_heads", *paths)):
        with pytest.raises(SurgeryError, match=rf"{name}: is of low rank.*`share_heads` first"):
            attempt("**")
