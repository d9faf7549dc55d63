"""A narrower residual stream computes as if the entries that are gone were zeros, on every family."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import surgery
from graph.costs import costs, kv_cache_bytes_per_token
from surgery import SurgeryError
from tests.surgery.states import cached_equals_uncached, snapshot, untouched
from tests.surgery.test_widths_kept import loads
from tests.surgery.widths import HEADS, MODELS, NEURONS, exact, outputs
from tests.zoo import ZOO
from tests.zoo.plain import narrow_stream

WIDTH = 32
KEPT = tuple(place for place in range(WIDTH) if place % 4 != 1)
FAMILIES = sorted({*HEADS, *NEURONS} - {"torch", "torch-decoder"})
FEW = ["bert", "clip", "gemma2", "gpt2", "llama", "mixtral", "qwen3", "t5", "vit", "whisper"]
ROOT_MEAN_SQUARE = {"llama", "llama-one-key", "llama-biases", "qwen2", "qwen3", "gemma2", "gemma3_text"}
ROOT_MEAN_SQUARE |= {"mistral", "mixtral", "phi3", "t5", "t5-gated"}
# One ε in the config for these norms and those of single heads: it stays, and with 24 of 32 entries left it
# counts for a quarter less beside a mean square.
ONE_EPSILON = {"qwen3", "gemma3_text"}
# The config of the others takes the width for that of all heads together.
SAY_WIDTH = ROOT_MEAN_SQUARE | {"vit", "deit"}

pytestmark = pytest.mark.usefixtures("one_thread")


def masked(model: nn.Module) -> nn.Module:
    """A copy whose norms over the stream read entries that are gone as zeros, and write zeros there.

    A LayerNorm takes mean and variance of those that stay: that is what a plain slice of it does.
    """
    made = copy.deepcopy(model)
    stay = torch.zeros(WIDTH, dtype=torch.bool)
    stay[list(KEPT)] = True

    def reading(module: nn.Module, args: tuple[Tensor, ...]) -> Any:
        return (args[0].masked_fill(~stay, 0), *args[1:])

    def written(module: Any, args: tuple[Tensor, ...], out: Tensor) -> Tensor:
        if isinstance(module, nn.LayerNorm):
            x = args[0][..., stay]
            spread = (x.var(-1, unbiased=False, keepdim=True) + module.eps).sqrt()
            few = (x - x.mean(-1, keepdim=True)) / spread * module.weight[stay]
            out = torch.zeros_like(out)
            out[..., stay] = few if module.bias is None else few + module.bias[stay]
        return out.masked_fill(~stay, 0)

    for module in made.modules():
        weight = getattr(module, "weight", None)
        if "Norm" in type(module).__name__ and weight is not None and weight.shape == (WIDTH,):
            module.register_forward_pre_hook(reading)
            module.register_forward_hook(written)
    return made


@pytest.mark.parametrize("name", FAMILIES)
def test_zeroed_is_sliced(name: str) -> None:
    """With RMSNorms sliced equals zeroed; with LayerNorms it is their plain slice."""
    model, inputs = exact(name)
    session = surgery.open(model, inputs)
    session.narrow("**", "width", kept=KEPT)
    expected = outputs(masked(model), inputs)
    assert not torch.allclose(expected, outputs(model, inputs), atol=1e-2)
    close = {"atol": 1e-4, "rtol": 0} if name in ONE_EPSILON else {"atol": 3e-5, "rtol": 0}
    assert torch.allclose(outputs(session.model, inputs), expected, **close)
    norms = {type(module) for module in session.model.modules() if "Norm" in type(module).__name__}
    assert (name in ROOT_MEAN_SQUARE) == (nn.LayerNorm not in norms)


def test_a_large_epsilon_is_made_up_for() -> None:
    """Gains by √(n/m) and ε by n/m: exact where ε is no small number; by hand."""
    model, inputs = narrow_stream()
    session = surgery.open(model, inputs)
    kept = [0, 1, 2, 5, 6, 9, 10, 11, 12, 15]
    session.narrow("**", "width", kept=kept)
    norm: Any = session.model.get_submodule("norm")
    assert torch.allclose(norm.weight, model.get_parameter("norm.weight")[kept] * (16 / 10) ** 0.5)
    assert (norm.eps, norm.normalized_shape) == (0.5 * 16 / 10, (10,))
    zeroed: Any = copy.deepcopy(model)
    gone = [place for place in range(16) if place not in kept]
    with torch.no_grad():
        zeroed.embed.weight[:, gone] = 0
        for block in zeroed.blocks:
            block.down.weight[gone], block.down.bias[gone] = 0, 0
    assert torch.allclose(outputs(session.model, inputs), outputs(zeroed, inputs), atol=1e-6)
    assert session.model.get_parameter("head.weight") is session.model.get_parameter("embed.weight")


@pytest.mark.parametrize("name", FEW)
def test_it_saves_and_loads_again(name: str, tmp_path: Path) -> None:
    """By transformers alone where the config can say it, with equal outputs; the preview was exact."""
    model, inputs = MODELS[name]()
    before = untouched(model)
    session = surgery.open(model, inputs)
    state = snapshot(session.model)
    preview = session.preview("narrow", "**", "width", kept=KEPT)
    session.narrow("**", "width", kept=KEPT)
    assert preview.after == costs(session.graph, kv_bytes_per_token=kv_cache_bytes_per_token(session.graph))
    alone = name in SAY_WIDTH
    loaded = loads(session, tmp_path / "out", alone)
    assert torch.equal(outputs(loaded, inputs), outputs(session.model, inputs))
    said = getattr(session.model.config, "hidden_size", None)
    assert said in (len(KEPT) if alone else WIDTH, None)
    session.undo()
    assert snapshot(session.model) == state
    assert untouched(model) == before


@pytest.mark.parametrize("name", ["gemma3_text", "gpt2", "mixtral"])
def test_the_cache_stays_right(name: str) -> None:
    """Heads are as wide as they were."""
    session = surgery.open(*exact(name))
    session.narrow("**", "width", kept=KEPT)
    cached_equals_uncached(session.model)


def test_a_width_that_no_config_takes() -> None:
    """Llama's wants a width that its heads divide: with 23 entries the folder carries the script."""
    session = surgery.open(*MODELS["llama"]())
    session.narrow("**", "width", count=23)
    config: Any = session.model.config
    assert config.hidden_size == WIDTH
    assert "23" in (surgery.checkpoint.proof.why_not_plain(session.model) or "")
    session.narrow("**", "width", count=20)
    assert (config.hidden_size, config.head_dim) == (20, 8)
    assert surgery.checkpoint.proof.why_not_plain(session.model) is None


def test_streams_are_cut_one_by_one() -> None:
    """Whisper's encoder and decoder have a stream each; the config follows neither alone."""
    session = surgery.open(*MODELS["whisper"]())
    session.narrow("model.encoder", "width", count=24)
    assert session.model.get_parameter("model.encoder.layer_norm.weight").shape == (24,)
    assert session.model.get_parameter("model.decoder.layer_norm.weight").shape == (32,)
    across: Any = session.model.get_submodule("model.decoder.layers.0.encoder_attn.k_proj")
    assert (across.in_features, across.out_features) == (24, 32)


def test_after_to_rms_norm_it_is_exact() -> None:
    """The way out for LayerNorms: a centred stream and RMSNorms, and zeroed is sliced."""
    session = surgery.open(*exact("vit"))
    session.to_rms_norm()
    before = copy.deepcopy(session.model)
    session.narrow("**", "width", kept=KEPT)
    inputs = session.opened.inputs
    zeroed: Any = before
    gone = [place for place in range(WIDTH) if place not in KEPT]
    with torch.no_grad():
        for name, tensor in zeroed.named_parameters():
            if name.endswith(("cls_token", "position_embeddings")):
                tensor[..., gone] = 0
            elif ".projection." in name or "o_proj." in name or "fc2." in name:
                tensor[gone] = 0
        for name, tensor in zeroed.named_parameters():
            if "norm" in name and name.endswith("bias"):
                tensor[gone] = 0
            elif name == "classifier.weight":
                tensor[:, gone] = 0
    assert torch.allclose(outputs(session.model, inputs), outputs(zeroed, inputs), atol=1e-6)


@pytest.mark.parametrize("by", ["magnitude", "activation", "taylor", "fisher"])
def test_prune_meets_its_target(by: str) -> None:
    """By every measure; an entry that nobody hears goes first."""
    model, inputs = MODELS["llama"]()
    llama: Any = model
    with torch.no_grad():
        llama.model.embed_tokens.weight[:, 7] = 0
        for name, tensor in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight", "norm.weight")):
                tensor[7] = 0
            elif "_proj" in name or "lm_head" in name:
                tensor[:, 7] = 0
    session = surgery.open(model, inputs)
    session.data = [inputs] * 2
    session.prune("**", units="width", ratio=0.04, by=by)
    kept = [place for place in range(WIDTH) if place != 7]
    assert torch.equal(
        session.model.get_parameter("model.embed_tokens.weight"), llama.model.embed_tokens.weight[:, kept]
    )
    if by not in ("magnitude", "taylor"):
        return
    session.undo()
    most = costs(session.graph).parameters * 3 // 4
    session.prune("**", units="width", to="-25 %", by=by)
    assert most * 0.97 < costs(session.graph).parameters <= most
    assert (
        len({tensor.shape[1] for name, tensor in session.model.named_parameters() if "q_proj" in name}) == 1
    )


@pytest.mark.parametrize("by", ["activation", "fisher"])
def test_a_tied_head_is_read_too(by: str) -> None:
    """It weighs the stream by columns of the embedding: what nobody else looks at stays for it."""
    model, inputs = narrow_stream()
    plain: Any = model
    with torch.no_grad():
        plain.embed.weight[:, [3, 4]] = 0
        plain.embed.weight[:, 3] = 5.0
        for norm in (plain.norm, *(block.norm for block in plain.blocks)):
            norm.weight[[4]] = 0
    session = surgery.open(model, inputs)
    session.data = [{**inputs, "labels": inputs["ids"]}] if by == "fisher" else [inputs]
    session.prune("**", units="width", ratio=0.0625, by=by)
    kept = [place for place in range(16) if place != 4]
    assert torch.equal(session.model.get_parameter("embed.weight"), plain.embed.weight[:, kept])


def bare() -> tuple[nn.Module, Any]:
    """A Llama without a head: its stream is what it returns."""
    model, inputs = MODELS["llama"]()
    return model.get_submodule("model"), inputs


class _Counting(nn.Module):
    """Divides by the root of what it counts."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, ids: Tensor) -> Tensor:
        inner: Any = self.inner
        x = inner.embed(ids)
        for block in inner.blocks:
            x = block(x)
        return inner.head(inner.norm(x) / x.shape[-1] ** 0.5)


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no inputs": (
        lambda: (narrow_stream()[0], None),
        {"count": 24},
        r"no example inputs.*surgery\.open\(model, inputs\)",
    ),
    "without a head": (bare, {"count": 24}, r"comes out of the model stays"),
    "torch's attention": (
        ZOO["encoder"],
        {"count": 8},
        r"\*\*: has no residual stream.*torch's own attention",
    ),
    "a part of the writers": (
        MODELS["llama"],
        {"targets": "model.layers", "count": 24},
        r"model\.layers\.0.*not among the targets; got model\.embed_tokens",
    ),
    "all": (MODELS["llama"], {"count": 32}, r"is 32 wide.*from 1 to 31"),
    "counted": (
        lambda: (_Counting(narrow_stream()[0]), narrow_stream()[1]),
        {"count": 8},
        "computes with the width of its stream",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_with_a_way_out(case: str) -> None:
    """Before anything has changed."""
    make, fields, words = REFUSED[case]
    session = surgery.open(*make())
    before = snapshot(session.model)
    with pytest.raises(SurgeryError, match=words):
        session.narrow(**{"targets": "**", "units": "width"} | fields)
    assert snapshot(session.model) == before


def test_adapters_on_the_stream_are_refused() -> None:
    """With the way out, which works."""
    session = surgery.open(*MODELS["llama"]())
    session.attach("model.layers.1.self_attn.q_proj", rank=2)
    with pytest.raises(SurgeryError, match=r'q_proj.*fold\("model\.layers\.1\.self_attn\.q_proj"\)'):
        session.narrow("**", "width", count=24)
    session.fold("model.layers.1.self_attn.q_proj")
    session.narrow("**", "width", count=24)
