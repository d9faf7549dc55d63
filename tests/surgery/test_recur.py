"""Recur: a loop of shared blocks, each depth with what a truncated SVD leaves of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.charts import Curves
from surgery.factors.truncation import spectrum_of
from surgery.functions.residuals import residual_down, residual_up
from surgery.tying.loops import Loop
from tests.surgery.by_hand import CACHED, TWO_LISTS, block_lists, heard, small
from tests.surgery.states import cached_equals_uncached, loaded_alone, loads_again, run
from tests.zoo import ZOO
from tests.zoo.families import DECODERS


def doubled(name: str) -> tuple[nn.Module, Any]:
    """A model of the zoo in float64."""
    model, inputs = DECODERS[name]()
    return model.double(), inputs


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen2"])
@pytest.mark.parametrize("start", ["stepwise", "average", "lower"])
def test_full_rank_loses_nothing(name: str, start: str) -> None:
    """With all of the rank every W′ + B A is W within 1e-14, and the outputs are those of the model."""
    model, inputs = doubled(name)
    session = surgery.open(model, inputs)
    blocks = block_lists(model)[0]
    session.recur(f"{blocks}[*]", loop=2, start=start, rank=4096)
    wrapped = [path for path, item in session.model.named_modules() if hasattr(item, "lora_A")]
    assert wrapped
    for path in wrapped:
        made: Any = session.model.get_submodule(path)
        own: Any = model.get_submodule(path).weight
        beyond = made.lora_B @ made.lora_A
        whole = made.base.weight + (beyond.T if name == "gpt2" and "Conv1D" in str(made) else beyond)
        assert (whole - own).abs().max() < 1e-14
        assert made.lora_A.shape[0] == min(own.shape)
    assert (run(session.model, inputs) - run(model, inputs)).abs().max() < 1e-11


@pytest.mark.parametrize("place", [1, 3])
def test_blocks_of_unlike_parts_have_no_average(place: int) -> None:
    """Whether the one with a mixture stands in the loop first or later, the sentence names a block."""
    model, inputs = ZOO["llama"]()
    session = surgery.open(model, inputs)
    session.upcycle(f"model.layers[{place}]")
    fields = {"loop": 2, "start": "average"}
    for made in (session.recur, lambda *paths, **more: session.chart("recur", *paths, **more)):
        with pytest.raises(SurgeryError, match=r"model.layers.3: (has|lacks) 'mlp.*unlike.*model.layers.1"):
            made("model.layers[*]", **fields)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_rank_0_is_a_plain_tie(name: str) -> None:
    """Of the first blocks, without rank and with tied norms, the loop is what ties make."""
    model, inputs = DECODERS[name]()
    blocks = block_lists(model)[0]
    looped, tied = surgery.open(model, inputs), surgery.open(model, inputs)
    looped.recur(f"{blocks}[*]", loop=2, start="lower", rank=0, norms="tied")
    tied.tie(f"{blocks}[2]", to=f"{blocks}[0]")
    tied.tie(f"{blocks}[3]", to=f"{blocks}[1]")
    assert looped.fingerprint() == tied.fingerprint()
    looped, tied = surgery.open(model, inputs), surgery.open(model, inputs)
    looped.recur(f"{blocks}[*]", loop=1, start="average", rank=0)
    tied.tie(f"{blocks}[1:4]", to=f"{blocks}[0]", start="average", but="norms")
    assert looped.fingerprint() == tied.fingerprint()


def test_the_difference_is_the_best_of_its_rank() -> None:
    """B A is as far from W − W′ as the singular values that are left out say; A's rows are orthonormal."""
    drawn = torch.Generator().manual_seed(1)
    own, shared = (torch.randn(9, 6, generator=drawn, dtype=torch.float64) for _ in range(2))
    values = torch.linalg.svdvals(own - shared)
    for rank in (1, 3, 6):
        down = residual_down(own, shared, rank=rank, transposed=False)
        up = residual_up(own, shared, down, transposed=False)
        left = (own - shared - up @ down).square().sum()
        assert torch.allclose(left, values[rank:].square().sum(), atol=1e-13)
        assert torch.allclose(down @ down.T, torch.eye(rank, dtype=torch.float64))
        assert torch.allclose(up.norm(dim=0), values[:rank])
        turned = residual_down(own.T, shared.T, rank=rank, transposed=True)
        assert torch.allclose(turned, down)


def test_the_sign_of_a_direction_is_its_own() -> None:
    """Of each row of A the largest element is positive, so that builds of torch do not differ by it."""
    drawn = torch.Generator().manual_seed(1)
    own, shared = (torch.randn(5, 8, generator=drawn) for _ in range(2))
    down = residual_down(own, shared, rank=5, transposed=False)
    assert (down.gather(1, down.abs().argmax(1, keepdim=True)) > 0).all()


def test_what_the_shared_blocks_start_from() -> None:
    """Stepwise has first and last among them, lower the first ones, the average all of a remainder."""
    assert [Loop(18, 6).source(place, "stepwise") for place in range(6)] == [0, 3, 7, 10, 14, 17]
    assert [Loop(8, 2).source(place, "stepwise") for place in range(2)] == [0, 7]
    assert [Loop(8, 2).source(place, "lower") for place in range(2)] == [0, 1]
    assert list(Loop(7, 3).turns(1)) == [1, 4]
    model, inputs = DECODERS["llama"]()
    for start, expected in (("stepwise", [0, 3]), ("lower", [0, 1])):
        session = surgery.open(model, inputs)
        session.recur("model.layers[*]", loop=2, start=start, rank=0)
        made: Any = session.model
        for depth, block in enumerate(made.model.layers):
            own: Any = model.get_submodule(f"model.layers.{expected[depth % 2]}")
            assert torch.equal(block.mlp.up_proj.weight, own.mlp.up_proj.weight)
    session = surgery.open(model, inputs)
    session.recur("model.layers[*]", loop=2, start="average", rank=0)
    made, blocks = session.model, model.get_submodule("model.layers")
    mean = (blocks[1].mlp.up_proj.weight + blocks[3].mlp.up_proj.weight) / 2
    assert torch.allclose(made.model.layers[3].mlp.up_proj.weight, mean, atol=1e-7)
    assert made.model.layers[3].mlp.up_proj.weight is made.model.layers[1].mlp.up_proj.weight


def test_own_norms_are_the_blocks_and_tied_ones_are_shared() -> None:
    """Gains stay the very values of each depth, or are one parameter over the depths of a shared block."""
    model, inputs = DECODERS["llama"]()
    for norms in ("own", "tied"):
        session = surgery.open(model, inputs)
        session.recur("model.layers[*]", loop=2, rank=2, norms=norms)
        layers = session.model.get_submodule("model.layers")
        gains = [layers[depth].input_layernorm.weight for depth in range(4)]
        assert (gains[0] is gains[2] and gains[1] is gains[3]) == (norms == "tied")
        if norms == "own":
            assert all(
                torch.equal(gain, model.get_submodule(f"model.layers.{depth}.input_layernorm").weight)
                for depth, gain in enumerate(gains)
            )


def test_a_block_that_is_shared_itself_has_no_adapter() -> None:
    """Where nothing is lost nothing is added; each other depth has adapters of its own on one base."""
    session = surgery.open(*DECODERS["llama"]())
    session.recur("model.layers[*]", loop=2, start="lower", rank=2)
    layers = session.model.get_submodule("model.layers")
    assert isinstance(layers[0].self_attn.q_proj, nn.Linear)
    assert layers[2].self_attn.q_proj.base.weight is layers[0].self_attn.q_proj.weight
    assert layers[2].self_attn.q_proj.lora_A is not layers[3].self_attn.q_proj.lora_A


def test_a_block_that_comes_once_is_left_alone() -> None:
    """Its average is itself: no copy, no adapter, also where others come twice."""
    model, inputs = DECODERS["llama"]()
    session = surgery.open(model, inputs)
    session.recur("model.layers[*]", loop=3, start="average", rank=2)
    layers = session.model.get_submodule("model.layers")
    assert [hasattr(block.mlp.up_proj, "base") for block in layers] == [True, False, False, True]
    assert (
        layers[1].mlp.up_proj.weight.data_ptr()
        == model.get_parameter("model.layers.1.mlp.up_proj.weight").data_ptr()
    )


def test_more_rank_comes_nearer() -> None:
    """Outputs are nearer to the model's with each step of rank."""
    model, inputs = doubled("llama")
    far = []
    for rank in (0, 4, 16, 64):
        session = surgery.open(model, inputs)
        session.recur("model.layers[*]", loop=2, start="average", rank=rank)
        far.append(float((run(session.model, inputs) - run(model, inputs)).norm()))
    assert far == sorted(far, reverse=True) and far[-1] < 1e-10


@pytest.mark.parametrize("name", ["gpt2", "gemma2", "mixtral", "phi3", "bert", "t5", "whisper", "swin"])
def test_on_families(name: str, tmp_path: Path) -> None:
    """It runs, generates with its cache what it does without, and saves; or is refused by path."""
    which = -1 if name in TWO_LISTS else 0
    model, inputs = small(name, which)
    session = surgery.open(model, inputs)
    blocks = block_lists(model)[which]
    try:
        expected = session.preview("recur", targets=f"{blocks}[1:4]", loop=2, rank=2, start="lower").after
        session.recur(f"{blocks}[1:4]", loop=2, rank=2, start="lower")
    except SurgeryError as error:
        assert blocks in str(error) and ("do not fit" in str(error) or "no effect" in str(error)), error
        return
    assert expected.parameters < sum(parameter.numel() for parameter in model.parameters())
    assert expected.parameters == sum(parameter.numel() for parameter in session.model.parameters())
    assert torch.isfinite(run(session.model, inputs)).all()
    if name in CACHED:
        cached_equals_uncached(session.model, heard(name, inputs))
    loads_again(session, tmp_path / "out")


def test_one_depth_is_taken_out_of_the_loop_again() -> None:
    """Untied and folded, a block computes with one weight of its own, as far from its first as it was."""
    model, inputs = doubled("llama")
    session = surgery.open(model, inputs)
    session.recur("model.layers[*]", loop=2, rank=4)
    before = run(session.model, inputs)
    with pytest.raises(SurgeryError, match=r"tied.*untie"):
        session.fold("model.layers[1]")
    session.untie("model.layers[1]")
    session.fold("model.layers[1]")
    assert (run(session.model, inputs) - before).abs().max() < 1e-12


def test_ties_inside_the_blocks_stay() -> None:
    """Two modules of a block that share a weight share the loop's."""
    block = [nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6)) for _ in range(4)]
    for item in block:
        item[1].weight = item[0].weight
    session = surgery.open(nn.Sequential(*block), (torch.randn(2, 6),))
    session.recur("[*]", loop=2, rank=0, start="average")
    assert session.model[3][1].weight is session.model[1][0].weight


REFUSED = [
    ("model.layers", 1, r"come round again; got 1 module, .*`model.layers\[\*\]`"),
    ("model.layers[0]", 1, "come round again.*expected more than loop=1"),
    ("model.layers[*]", 4, r"come round again.*got 4 modules.*loop=2"),
    ("model.layers.1, model.layers.1.mlp", 1, "a module and a part of it"),
    ("model.layers.0.self_attn, model.layers.1.mlp", 1, "unlike the block that it would share"),
    ("model.layers.0.self_attn.q_proj, model.layers.0.mlp.up_proj", 1, "do not fit each other.*loop"),
]


@pytest.mark.parametrize(("targets", "loop", "sentence"), REFUSED)
def test_refused(targets: str, loop: int, sentence: str) -> None:
    """With the path and the way out."""
    with pytest.raises(SurgeryError, match=sentence):
        surgery.open(*DECODERS["llama"]()).recur(targets, loop=loop)


def test_adapters_and_ties_to_elsewhere_are_refused() -> None:
    """An adapter is to be folded in first; a tie out of the targets would break unseen."""
    session = surgery.open(*DECODERS["llama"]())
    session.attach("model.layers[1].**.q_proj")
    with pytest.raises(SurgeryError, match=r"layers\.1\.self_attn\.q_proj: carries an adapter.*`fold\("):
        session.recur("model.layers[*]", loop=2)
    session.undo()
    session.tie("model.layers.3.mlp", to="model.layers.2.mlp")
    with pytest.raises(SurgeryError, match=r"left behind; got model\.layers\.3.*untie"):
        session.recur("model.layers[0:3]", loop=1)
    session.recur("model.layers[*]", loop=2)


def test_weights_that_are_not_finite_are_refused() -> None:
    """No decomposition is made of them, and the model is as it was."""
    model, inputs = DECODERS["llama"]()
    model.get_parameter("model.layers.1.mlp.up_proj.weight").data[0, 0] = float("nan")
    session = surgery.open(model, inputs)
    with pytest.raises(SurgeryError, match="not finite"):
        session.recur("model.layers[*]", loop=2)
    assert not session.steps


def test_torchs_own_layers_take_no_difference() -> None:
    """They read weights without calling modules: refused by path; a plain tie is not."""
    session = surgery.open(*ZOO["encoder"]())
    with pytest.raises(SurgeryError, match=r"fast path.*Try: `rank=0`"):
        session.recur("layers[*]", loop=1)
    session.recur("layers[*]", loop=1, rank=0)


def test_it_can_be_saved_as_an_ordinary_model(tmp_path: Path) -> None:
    """Ties copied out and differences folded in, transformers alone loads it, with the same outputs."""
    session = surgery.open(*DECODERS["llama"]())
    session.recur("model.layers[*]", loop=2, rank=4)
    session.save(tmp_path / "plain", plain=True)
    loaded = loaded_alone(session.model, tmp_path / "plain")
    inputs = session.opened.inputs
    assert torch.allclose(run(loaded, inputs), run(session.model, inputs), atol=1e-4)


def test_the_chart_says_what_applying_loses() -> None:
    """The curve at a rank is the relative error of the loop with that rank; the mark is at the rank."""
    model, inputs = doubled("llama")
    session = surgery.open(model, inputs)
    chart = session.chart("recur", "model.layers[*]", loop=2, start="average", rank=5)
    assert isinstance(chart, Curves) and chart.mark == 5 and set(chart.lines) == {"self_attn", "mlp"}
    for rank in (0, 5, 32):
        with_rank = surgery.open(model, inputs)
        with_rank.recur("model.layers[*]", loop=2, start="average", rank=rank)
        lost = whole = 0.0
        for path, module in model.get_submodule("model.layers").named_modules():
            if isinstance(module, nn.Linear) and ".mlp." in path:
                made: Any = with_rank.model.get_submodule(f"model.layers.{path}")
                weight = made.base.weight + made.lora_B @ made.lora_A if rank else made.weight
                lost += float((module.weight - weight).detach().square().sum())
                whole += float(module.weight.detach().square().sum())
        assert dict(chart.lines["mlp"])[rank] == pytest.approx((lost / whole) ** 0.5, abs=1e-6)
    assert not session.steps


def test_the_chart_of_a_large_model_looks_at_some_depths(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says at how many, and of large matrices it finds the first terms alone."""
    monkeypatch.setattr("surgery.operations.recur._LOOKED_AT", 10_000)
    monkeypatch.setattr("surgery.factors.truncation.EXACT_SIDE", 16)
    session = surgery.open(*DECODERS["llama"]())
    chart = session.chart("recur", "model.layers[*]", loop=1, start="average")
    assert chart is not None and "of 4 depths" in chart.title


def test_first_terms_of_a_large_matrix_are_nearly_those_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a hundredth of what is left, and what was not found still counts as left."""
    drawn = torch.Generator().manual_seed(4)
    falling = torch.exp(-torch.arange(400) / 40.0)
    matrix = torch.randn(500, 400, generator=drawn) * falling
    exact = spectrum_of(matrix, 1.0)
    monkeypatch.setattr("surgery.factors.truncation.EXACT_SIDE", 100)
    first = spectrum_of(matrix, 1.0)
    assert len(first.squares) == 256 < len(exact.squares)
    for rank in (0, 10, 100, 200):
        assert first.left(rank) == pytest.approx(exact.left(rank), rel=0.01)
    assert exact.left(400) == 0 < first.left(256)
