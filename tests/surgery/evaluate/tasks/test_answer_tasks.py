"""Layers, embeddings, generation and functions of the caller's, against what is computed by hand."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertConfig, BertModel

import surgery
from graph.shell import shell
from surgery.errors import SurgeryError
from surgery.evaluate import Examples, Report, default_examples, tensors, token_windows
from tests.zoo import bart, bert, clip, cnn, gpt2, llama, resnet, t5, vit

Measure = Callable[..., Report]
Draw = Callable[..., Tensor]


def states(model: Any, ids: Tensor, mask: Tensor | None = None) -> list[Tensor]:
    """What each block gives, by transformers' own account; of the last block before the final norm."""
    found: list[Tensor] = []
    handles = [
        block.register_forward_hook(
            lambda _, __, out: found.append(out[0] if isinstance(out, tuple) else out)
        )
        for block in model.model.layers
    ]
    with torch.no_grad():
        model(input_ids=ids, attention_mask=mask)
    for handle in handles:
        handle.remove()
    return found


def test_layers_by_hand(model: nn.Module, draw: Draw, measure: Measure) -> None:
    """The mean cosine over real tokens of what a block gives now and before; of untouched ones exactly 1."""
    ids, mask = draw(6).clamp_min(1), torch.ones(6, 16, dtype=torch.int64)  # token 0 is the zero vector
    mask[2:, 11:] = 0
    edited = shell(model).model
    edited.model.layers[1].mlp.down_proj.weight = nn.Parameter(
        model.model.layers[1].mlp.down_proj.weight * 0.5  # type: ignore[union-attr, operator]
    )
    same = {f"model.layers.{i}": f"model.layers.{i}" for i in (0, 1)}
    report = measure(model, edited, token_windows(ids, mask), "layers", origins=same)
    before, after = states(model, ids, mask)[1], states(edited, ids, mask)[1]
    cosine = F.cosine_similarity(before, after, dim=-1)
    expected = ((cosine * mask).sum(1) / mask.sum(1)).mean()
    assert report["model.layers.0"].value == 1 and report["model.layers.0"].unchanged
    assert report["model.layers.1"].value == pytest.approx(float(expected), abs=1e-5)
    assert report["model.layers.1"].value < 0.99


def test_layers_follow_the_blocks() -> None:
    """A session knows which block was which: a removed one has none, those behind it keep their names."""
    model, inputs = llama()
    session = surgery.open(model, inputs)
    session.remove("model.layers[1]")
    report = session.evaluate(0.0, tasks=["layers"])
    kept = [name for name in (f"model.layers.{i}" for i in range(4)) if name != "model.layers.1"]
    assert [figure.name for figure in report.results] == kept
    assert report["model.layers.0"].unchanged and not report["model.layers.2"].unchanged
    session.undo()
    session.move("model.layers[3]", to="model.layers.0")
    assert len(session.evaluate(0.0, tasks=["layers"]).results) == 4


def test_layers_without_knowing_which(model: nn.Module, examples: Examples, measure: Measure) -> None:
    """By their places where there are as many; else it is refused rather than guessed."""
    assert measure(model, shell(model).model, examples, "layers").unchanged
    edited = shell(model).model
    del edited.model.layers[0]
    with pytest.raises(SurgeryError, match="nothing says which block of the edited model was which"):
        measure(model, edited, examples, "layers")


@pytest.mark.parametrize("make", [bert, vit, resnet, gpt2, cnn], ids=lambda make: make.__name__)
def test_layers_of_other_families(make: Any, measure: Measure) -> None:
    """Blocks of encoders, of vision models with stages, and of models that are no transformers."""
    model, inputs = make()
    examples = default_examples(model, inputs=inputs)
    if make is cnn:
        model = nn.Sequential(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), nn.Tanh())
        examples = tensors(torch.randn(5, 4, generator=torch.Generator().manual_seed(0)))
    report = measure(model, shell(model).model, examples, "layers", "embedding")
    assert len(report.results) > 2 and report.unchanged


def test_narrowed_states_are_refused(measure: Measure) -> None:
    """Hidden states of another width cannot be compared, and it is said at which block."""
    wide, narrow = (nn.Sequential(nn.Linear(4, w), nn.Linear(w, w), nn.Linear(w, 2)) for w in (4, 3))
    examples = tensors(torch.ones(3, 4))
    with pytest.raises(SurgeryError, match=r"^0 has another shape.*got \(3, 1, 3\), expected \(3, 1, 4\)"):
        measure(wide, narrow, examples, "layers")


def test_hidden_states_that_are_no_numbers(measure: Measure) -> None:
    """NaN after a block is said with the block, though the last block repairs it."""

    class Repairs(nn.Module):
        def __init__(self, value: float) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
            self.value = value

        def forward(self, x: Tensor) -> Tensor:
            return self.blocks[1](self.blocks[0](x * self.value).nan_to_num(0.0))

    examples = tensors(torch.ones(3, 2))
    with pytest.raises(
        SurgeryError, match=r"the edited model: hidden states after blocks\.0 are not numbers"
    ):
        measure(Repairs(1.0), Repairs(math.nan), examples, "layers")


def test_blocks_that_are_not_called_once(measure: Measure) -> None:
    """A block that the original calls twice is left out; one that the edited model skips is refused."""

    class Loops(nn.Module):
        def __init__(self, order: tuple[int, ...]) -> None:
            super().__init__()
            self.blocks, self.order = nn.ModuleList(nn.Linear(2, 2) for _ in range(4)), order

        def forward(self, x: Tensor) -> Tensor:
            for place in self.order:
                x = self.blocks[place](x)
            return x

    examples, usual = tensors(torch.ones(3, 2)), Loops((0, 1, 1, 2))
    names = [figure.name for figure in measure(usual, usual, examples, "layers").results]
    assert names == ["blocks.0", "blocks.2"]
    with pytest.raises(
        SurgeryError, match=r"^blocks\.2: the edited model does not call it once on all examples"
    ):
        measure(usual, Loops((0, 1)), examples, "layers")


def embedded(pooling: bool) -> tuple[BertModel, BertModel]:
    """A random BERT with or without a pooler, and another."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(**sizes, intermediate_size=16, max_position_embeddings=32)
    first, second = (BertModel(config, add_pooling_layer=pooling).eval() for _ in range(2))
    return first, second


@pytest.mark.parametrize("pooling", [True, False])
def test_embedding_by_hand(measure: Measure, pooling: bool) -> None:
    """The model's own pooling where it has one, else the mean over real tokens; measured without logits."""
    first, second = embedded(pooling)
    ids, mask = torch.randint(64, (7, 9)), torch.ones(7, 9, dtype=torch.int64)
    mask[3:, 5:] = 0

    def pooled(model: BertModel) -> Tensor:
        with torch.no_grad():
            out = model(ids, attention_mask=mask)
        if pooling:
            return out.pooler_output  # type: ignore[no-any-return]
        return torch.stack(
            [row[keep.bool()].mean(0) for row, keep in zip(out.last_hidden_state, mask, strict=True)]
        )

    expected = F.cosine_similarity(pooled(first), pooled(second)).mean()
    report = measure(first, second, token_windows(ids, mask))
    assert [figure.name for figure in report.results] == ["cosine of embeddings"]
    assert report["embedding"].value == pytest.approx(float(expected), abs=1e-5)
    assert measure(first, first, token_windows(ids, mask)).unchanged


def test_embedding_of_two_towers(measure: Measure) -> None:
    """CLIP's image and text side by side, so that a change of either shows."""
    model, inputs = clip()
    rows = {name: value[:1].repeat(3, *[1] * (value.dim() - 1)) for name, value in inputs.items()}
    edited = shell(model).model
    edited.text_projection.weight = nn.Parameter(torch.randn_like(model.text_projection.weight))
    figure = measure(model, edited, tensors(rows), "embedding")["embedding"]
    assert 0.3 < figure.value < 0.9


def test_generation_by_hand(model: nn.Module, draw: Draw, measure: Measure) -> None:
    """Tokens before the first other one, greedily by forwards without a cache, on windows padded behind."""
    ids, mask = draw(5), torch.ones(5, 16, dtype=torch.int64)
    mask[1:, 12:] = 0
    edited = shell(model).model
    edited.model.layers[1].mlp.down_proj.weight = nn.Parameter(
        model.model.layers[1].mlp.down_proj.weight * 0.6  # type: ignore[union-attr, operator]
    )

    def written(each: Any, row: Tensor) -> list[int]:
        tokens = row.tolist()
        for _ in range(6):
            with torch.no_grad():
                tokens.append(int(each(input_ids=torch.tensor([tokens])).logits[0, -1].argmax()))
        return tokens[len(row) :]

    alike = 0
    for row, keep in zip(ids, mask, strict=True):
        prompt = row[: int(keep.sum()) // 2]
        ours, theirs = written(edited, prompt), written(model, prompt)
        alike += next((i for i in range(6) if ours[i] != theirs[i]), 6)
    figure = measure(model, edited, token_windows(ids, mask), "generation:tokens=6")["generation"]
    assert figure.value == pytest.approx(100 * alike / 30) and 0 < figure.value < 100
    assert measure(model, shell(model).model, token_windows(ids, mask), "generation").unchanged


@pytest.mark.parametrize("make", [gpt2, bart, t5], ids=lambda make: make.__name__)
def test_generation_of_other_families(make: Any, measure: Measure) -> None:
    """Whatever transformers can generate with, encoders with decoders too."""
    model, _ = make()
    ids = torch.randint(3, 60, (3, 8), generator=torch.Generator().manual_seed(0))
    assert measure(model, shell(model).model, token_windows(ids), "generation:tokens=3").unchanged


def test_generation_needs_room(model: nn.Module, examples: Examples, measure: Measure) -> None:
    """A model without positions for so many tokens is refused."""
    with pytest.raises(SurgeryError, match="the model has 64 positions, and 64 tokens leave none"):
        measure(model, model, examples, "generation:tokens=64")


def test_generation_of_no_numbers(model: nn.Module, examples: Examples, scale: Any, measure: Measure) -> None:
    """A greedy choice among NaN is no text."""
    with pytest.raises(SurgeryError, match="logits that are not numbers while it generates"):
        measure(model, scale(model, math.nan), examples, "generation:tokens=2")


def test_a_function_of_ones_own(model: nn.Module, examples: Examples, scale: Any, measure: Measure) -> None:
    """Called on both models with each batch; its mean before and after, under its name."""

    def largest(each: Any, batch: Any) -> Tensor:
        assert not each.training
        return each(input_ids=batch.ids).logits.amax((1, 2))  # type: ignore[no-any-return]

    figure = measure(model, scale(model, 0.5), examples, largest)["largest"]
    with torch.no_grad():
        expected = float(largest(model.eval(), examples.batch(0, 40)).mean())
    assert (figure.before, figure.after) == (pytest.approx(expected), pytest.approx(expected / 2))


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (lambda model, batch: 1.0, "gives no number per example; got float"),
        (
            lambda model, batch: torch.zeros(2),
            r"gives no number per example; got a tensor \(2,\), expected a tensor \(8,\)",
        ),
        (lambda model, batch: torch.full((8,), math.nan), "the values of <lambda> are not numbers"),
        (lambda model, batch: batch.nothing, "cannot run on these examples: AttributeError"),
    ],
)
def test_functions_that_give_no_numbers(
    model: nn.Module, examples: Examples, measure: Measure, function: Any, problem: str
) -> None:
    """What is no finite number per example is refused."""
    with pytest.raises(SurgeryError, match=problem):
        measure(model, model, examples, function)


def test_a_model_with_nothing_to_compare(measure: Measure) -> None:
    """Neither logits nor embeddings: a function can measure it, and the refusal says so."""

    class Counts(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"count": x.sum()}

    with pytest.raises(SurgeryError, match="Counts gives neither logits"):
        measure(Counts(), Counts(), tensors(torch.ones(3, 2)))
    figure = measure(
        Counts(), Counts(), tensors(torch.ones(3, 2)), lambda model, batch: torch.ones(len(batch))
    )
    assert figure["<lambda>"].after == 1
