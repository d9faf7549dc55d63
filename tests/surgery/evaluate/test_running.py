"""Models are run once per batch, and their logits are made in chunks by the models' own roots."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
)

from surgery.errors import SurgeryError
from surgery.evaluate import Evaluator, Examples, answer, tensors, token_windows
from surgery.evaluate.answer import Wants
from surgery.evaluate.data.examples import Batch
from surgery.evaluate.running import Runner

CPU = torch.device("cpu")
SIZES: dict[str, Any] = {
    "vocab_size": 128,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 64,
}


def capped() -> nn.Module:
    """A Gemma 2 that caps its logits at 0.5."""
    return Gemma2ForCausalLM(Gemma2Config(**SIZES, final_logit_softcapping=0.5))


def scaled() -> nn.Module:
    """A Granite that divides its logits by 3."""
    return GraniteForCausalLM(GraniteConfig(**SIZES, logits_scaling=3.0))


def cohere() -> nn.Module:
    """A Cohere that multiplies its logits by 0.25."""
    return CohereForCausalLM(CohereConfig(**SIZES, logit_scale=0.25))


def gpt2() -> nn.Module:
    """A GPT-2, whose body is called otherwise."""
    return GPT2LMHeadModel(GPT2Config(vocab_size=128, n_positions=64, n_embd=32, n_layer=2, n_head=2))


FAMILIES = [capped, scaled, cohere, gpt2]


def made(build: Callable[[], nn.Module]) -> nn.Module:
    """The model with weights large enough that its logits differ."""
    torch.manual_seed(0)
    model = build().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(6 if parameter.dim() > 1 else 1)
    return model


def runner(model: nn.Module) -> Runner:
    """A runner on the CPU."""
    return Runner(model, CPU, exact=True, whose="the edited model")


def windows(n: int = 3) -> Tensor:
    """Token ids (n, 10)."""
    return torch.randint(128, (n, 10), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("build", FAMILIES)
@torch.no_grad()
def test_chunks_are_the_whole(build: Callable[[], nn.Module]) -> None:
    """Places asked for one by one are those of one forward, with what each family does to its logits."""
    model = made(build)
    expected = model(input_ids=windows()).logits
    assert expected.std() > 0.1
    answered = runner(model).answer(Batch({"input_ids": windows()}), (0, 3), Wants(logits=True))
    assert answered.sliced and answered.shape == (10, 128)
    for places in torch.arange(10).split(3):
        torch.testing.assert_close(answered.at(places), expected[:, places], atol=1e-5, rtol=1e-5)
    assert type(model._modules[model.base_model_prefix]).__name__ != "_Given"


@pytest.mark.parametrize("build", FAMILIES)
def test_the_body_runs_once(build: Callable[[], nn.Module]) -> None:
    """However many chunks are asked for; the head sees no more than a chunk at a time."""
    model, bodies, widths = made(build), [], []
    model.base_model.register_forward_hook(lambda *_: bodies.append(1))  # type: ignore[operator, union-attr]
    model.lm_head.register_forward_hook(lambda _, __, out: widths.append(out.shape[1]))  # type: ignore[operator, union-attr]
    with torch.no_grad():
        answered = runner(model).answer(Batch({"input_ids": windows()}), (0, 3), Wants(logits=True))
        for places in torch.arange(10).split(4):
            answered.at(places)
    assert bodies == [1] and widths == [1, 4, 4, 2]


@pytest.mark.parametrize("size", [1, 5_000, 64_000_000])
def test_the_size_of_chunks_changes_no_figure(
    model: nn.Module, examples: Examples, scale: Any, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """All figures are the same however few logits are looked at together."""
    expected = Evaluator(model, examples=examples).evaluate(scale(model, 0.7), 0.0)
    monkeypatch.setattr(answer, "CHUNK_BYTES", size)
    found = Evaluator(model, examples=examples).evaluate(scale(model, 0.7), 0.0)
    for figure, other in zip(expected.results, found.results, strict=True):
        assert other.after == pytest.approx(figure.after, rel=1e-5, abs=1e-5)


def test_chunks_skip_what_nobody_needs() -> None:
    """Only positions that count in some example are made, at most so many at a time."""
    needed = torch.tensor([[1, 0, 0, 1, 1], [1, 0, 0, 0, 1]]).bool()
    sizes = [places.tolist() for places in answer.chunks(needed, answer.CHUNK_BYTES // (4 * 2 * 2))]
    assert sizes == [[0, 3], [4]]
    assert list(answer.chunks(torch.zeros(2, 3, dtype=torch.bool), 7)) == []


def test_checked_between_chunks(
    model: nn.Module, examples: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop is heard between two chunks of one batch."""
    from surgery.evaluate.measure import Meter

    calls: list[int] = []
    monkeypatch.setattr(answer, "CHUNK_BYTES", 1)
    evaluator = Evaluator(model, examples=examples)
    meter, _ = evaluator.meter(model, None, None, lambda: calls.append(1))
    with torch.no_grad():
        Meter.measured(meter, examples.batch(0, 8), (0, 8))
    assert len(calls) >= 16


class Named(nn.Module):
    """Takes two inputs by name and one by position, and says what it got."""

    def __init__(self) -> None:
        super().__init__()
        self.got: dict[str, Tensor] = {}

    def forward(self, first: Tensor, scale: Tensor, *, shift: Tensor) -> Tensor:
        self.got.update(first=first, scale=scale, shift=shift)
        return first * scale + shift


def test_inputs_by_name_and_by_position() -> None:
    """A name that the forward has goes by name; others by position, in order; a mask where it is taken."""
    model = Named()
    one, two, three = (torch.full((2, 3), value) for value in (1.0, 2.0, 3.0))
    batch = Batch({"shift": three, "pixels": one, "scale": two, "attention_mask": one.long()})
    found = runner(model).answer(batch, (0, 2), Wants(logits=True))
    assert [float(model.got[name][0, 0]) for name in ("first", "scale", "shift")] == [1, 2, 3]
    assert found.at(torch.tensor([0])).flatten().tolist() == [5.0] * 6


def test_what_a_forward_raises_is_said() -> None:
    """With whose forward it was; running out of memory passes, for the batch can be halved."""

    class Breaks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if len(x) > 1:
                raise torch.OutOfMemoryError("CUDA out of memory")
            raise KeyError("a bug")

    with pytest.raises(SurgeryError, match="edited model cannot run on these examples: KeyError: 'a bug'"):
        runner(Breaks()).answer(Batch({"x": torch.zeros(1, 1)}), (0, 1), Wants(logits=True))
    with pytest.raises(torch.OutOfMemoryError):
        runner(Breaks()).answer(Batch({"x": torch.zeros(2, 1)}), (0, 2), Wants(logits=True))


def test_dense_outputs_are_refused() -> None:
    """A map of logits per pixel is neither per example nor per token: a function can measure it."""
    dense = nn.Conv2d(1, 2, 1)
    evaluator = Evaluator(dense, examples=tensors(torch.zeros(3, 1, 4, 4)))
    with pytest.raises(SurgeryError, match="Conv2d gives neither logits per example or per token nor"):
        evaluator.evaluate(dense)
    with pytest.raises(SurgeryError, match="fidelity cannot be measured here: the model gives no logits"):
        evaluator.evaluate(dense, tasks=["fidelity"])
    mean = evaluator.evaluate(
        dense, tasks=[lambda model, batch: model(*batch.inputs.values()).mean((1, 2, 3))]
    )
    assert mean.unchanged


class Pools(nn.Module):
    """Averages over the window, so that padding it cannot be told of is read."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(128, 4)

    def forward(self, ids: Tensor) -> Tensor:
        return self.embed(ids).mean(1)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_that_would_be_read_is_refused(side: str) -> None:
    """A model that takes no mask gets no padding, unless it is behind the text and nothing before sees it."""
    mask = torch.ones(3, 10)
    mask[:, slice(0, 3) if side == "left" else slice(7, 10)] = 0
    with pytest.raises(SurgeryError, match="takes no attention_mask, so it would read padding as text"):
        Evaluator(Pools(), examples=token_windows(windows(), mask)).evaluate(Pools())
    causal = nn.Embedding(128, 128)
    evaluator = Evaluator(causal, examples=token_windows(windows(), mask))
    if side == "right":
        assert evaluator.evaluate(causal).tokens == 21
    else:
        with pytest.raises(SurgeryError, match="takes no attention_mask"):
            evaluator.evaluate(causal)


def test_examples_that_do_not_fit(model: nn.Module) -> None:
    """Tokens beyond the vocabulary and windows beyond the positions are refused before anything runs."""
    with pytest.raises(
        SurgeryError, match="the model does not have; got token 300, expected tokens below 256"
    ):
        Evaluator(model, examples=token_windows(torch.tensor([[1, 300]]))).evaluate(model)
    with pytest.raises(
        SurgeryError, match="than the model has positions; got 65 tokens, expected at most 64"
    ):
        Evaluator(model, examples=token_windows(torch.zeros(2, 65, dtype=torch.int64))).evaluate(model)
