"""Advisers that ask how a loss would change: answers that are known, or found another way."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

import surgery
from surgery.advise import Case, Item
from surgery.advise.gradients.tied import site_gradients, tied
from surgery.errors import SurgeryError
from surgery.evaluate import Examples, tensors, token_windows
from surgery.model import private_shell
from tests.surgery.advise.models import Stack, classifier, loss_of
from tests.zoo import ATLAS

pytestmark = pytest.mark.usefixtures("one_thread")


class Pair(nn.Module):
    """One matrix at two places, whose results are added; the second counts `factor` times."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(4, 3, bias=False), nn.Linear(4, 3, bias=False)
        self.right.weight = self.left.weight
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.left(x) + self.factor * self.right(x)


def pair(factor: float) -> tuple[surgery.Session, Examples]:
    """A tie whose second end counts by `factor`, and labelled points."""
    torch.manual_seed(0)
    points = torch.randn(9, 4)
    return surgery.open(Pair(factor), points[:1]), tensors(points, torch.arange(9) % 3)


def windows() -> Examples:
    """Windows of tokens for the decoders of the zoo."""
    return token_windows(torch.arange(96).reshape(12, 8) * 5 % 64)


@pytest.mark.parametrize(("factor", "cosine"), [(0.5, 1.0), (-0.5, -1.0)])
def test_ends_that_pull_together_or_apart(factor: float, cosine: float) -> None:
    """Where one end counts with the other's sign the gradients are opposite, and untying is advised."""
    session, examples = pair(factor)
    advice = session.advise("gradient_agreement", examples=examples)
    assert advice.numbers == pytest.approx((cosine,))
    assert advice.items == (Item("left", None, ("right",)),) and advice.edit == "untie"
    assert advice.values == pytest.approx({"left": cosine, "right": cosine})
    assert "left = right" in str(advice)


@pytest.mark.parametrize("name", ["llama", "gpt2", "tied blocks"])
def test_the_gradients_of_the_ends_add_up(name: str) -> None:
    """Their sum is the gradient of what is tied: parameters, and a module at two paths."""
    model = _twice() if name == "tied blocks" else ATLAS[name]()[0]
    examples = windows() if name != "tied blocks" else tensors(torch.randn(12, 4), torch.arange(12) % 4)
    case = Case(private_shell(model), lambda: examples, device="cpu", budget_s=1e9)
    (group,) = tied(case.model)
    with torch.no_grad():
        (ends,) = site_gradients(case, [group])
    assert len(ends) == len(group.ends) == 2
    held = [model.get_parameter(paths[0]) for paths in group.tensors]
    whole = torch.autograd.grad(_mean_loss(model, examples), held)
    expected = torch.cat([slope.flatten() for slope in whole])
    assert torch.allclose(sum(ends, torch.zeros(())), expected, atol=1e-6, rtol=1e-4)
    assert not torch.allclose(ends[0], expected, rtol=1e-2)


def test_no_tie_no_agreement() -> None:
    """There is nothing to compare, and the sentence says what to do."""
    session, examples = classifier()
    with pytest.raises(SurgeryError, match="there are no ties here whose ends could disagree"):
        session.advise("gradient_agreement", examples=examples)
    session.tie("blocks[1]", to="blocks[0]")
    found = session.advise("gradient_agreement", examples=examples)
    assert found.items == (Item("blocks.0", None, ("blocks.1",)),)
    session.untie("blocks[1]")
    with pytest.raises(SurgeryError, match="there are no ties"):
        session.advise("gradient_agreement", examples=examples)


def test_a_head_that_reaches_nothing_has_no_importance() -> None:
    """Its columns in the layer behind it are zero; all others matter."""
    model, _ = ATLAS["llama"]()
    out = model.get_parameter("model.layers.2.self_attn.o_proj.weight")
    with torch.no_grad():
        out[:, : out.shape[1] // 2] = 0
    advice = surgery.open(model).advise("head_importance", examples=windows())
    assert advice.ranking[0].items == (Item("model.layers.2.self_attn", 0),)
    assert advice.ranking[0].value == 0.0 and advice.ranking[1].value > 0
    assert len(advice.items) == 4 * 2 and advice.part == "head"


@pytest.mark.parametrize("name", ["gpt2", "neox", "bert", "vit"])
def test_heads_of_other_families(name: str) -> None:
    """Fused projections, transposed ones, encoders: each has its heads, as `narrow` counts them."""
    model, inputs = ATLAS[name]()
    assert isinstance(inputs, dict)
    shown = {key: value[:1].repeat(4, *[1] * (value.dim() - 1)) for key, value in inputs.items()}
    logits = model(**shown).logits
    labels = torch.zeros(logits.shape[:-1], dtype=torch.int64)
    advice = surgery.open(model, inputs).advise("head_importance", examples=tensors(shown, labels))
    assert advice.examples == 4 and all(value > 0 for value in advice.numbers)
    assert {item.index for item in advice.items} == set(range(4))


def test_the_slope_of_a_gate_is_that_of_the_loss() -> None:
    """One example: |∂L/∂g| found by closing the gate of a block a little."""
    session, examples = classifier()
    one = tensors(next(iter(examples.inputs.values()))[:1], examples.labels[:1])  # type: ignore[index]
    advice = session.advise("module_sensitivity", examples=one)
    model: Any = session.model.double()
    x, label = one.inputs["input"].double(), one.labels
    assert label is not None

    def loss(block: int, gate: float) -> float:
        value = x
        for place, held in enumerate(model.blocks):
            value = value + (gate if place == block else 1.0) * (held(value) - value)
        return float(nn.functional.cross_entropy(model.head(value), label).detach())

    slopes = [abs(loss(block, 1 + 1e-5) - loss(block, 1 - 1e-5)) / 2e-5 for block in range(3)]
    assert advice.numbers == pytest.approx(slopes, rel=1e-3)


def test_a_measured_block_costs_what_its_removal_costs() -> None:
    """The loss where data goes past it, less the loss: just what `remove` does to the loss."""
    session, examples = classifier()
    advice = session.advise("module_sensitivity", how="measured", examples=examples, budget_s=1e9)
    before = float(loss_of(session.model, examples).detach())
    for block in range(3):
        session.remove(f"blocks[{block}]")
        cost = float(loss_of(session.model, examples).detach()) - before
        assert advice.numbers[block] == pytest.approx(cost, abs=1e-6)
        session.undo()


@pytest.mark.parametrize("how", ["taylor", "measured"])
def test_a_block_that_does_nothing_is_not_missed(how: str) -> None:
    """A residual block that adds zeros can go, and both ways say so; a part of it is missed no more."""
    session, examples = classifier()
    for held in session.model.get_submodule("blocks.1.down").parameters():
        held.data.zero_()
    assert session.advise("module_sensitivity", how=how, examples=examples).values["blocks.1"] == 0.0
    inside = session.advise("module_sensitivity", "blocks[*].down", how=how, examples=examples)
    assert inside.values["blocks.1.down"] == 0.0 and inside.values["blocks.0.down"] != 0.0


def test_snip_is_weight_times_gradient() -> None:
    """As parts of the whole, by autograd over all examples at once; zeros have none."""
    session, examples = classifier()
    for held in session.model.get_submodule("blocks.1").parameters():
        held.data.zero_()
    advice = session.advise("snip", "blocks[*], head", examples=examples, budget_s=1e9)
    names, held = zip(*session.model.named_parameters(), strict=True)
    slopes = torch.autograd.grad(loss_of(session.model, examples), held)
    each = {name: float((w * g).detach().abs().sum()) for name, w, g in zip(names, held, slopes, strict=True)}
    whole = sum(each.values())
    for path, value in advice.values.items():
        inside = sum(share for name, share in each.items() if name.startswith(f"{path}."))
        assert value == pytest.approx(100 * inside / whole, rel=1e-4)
    assert advice.values["blocks.1"] == 0.0 and sum(advice.numbers) == pytest.approx(100)


def test_grasp_is_how_the_gradient_grows() -> None:
    """−w·Hg is the slope of ½‖g‖² where the weights of a block shrink, by finite differences."""
    session, examples = classifier()
    advice = session.advise("grasp", examples=examples, budget_s=1e9)
    model = session.model.double()
    wide = Examples("wide", True, {"input": examples.inputs["input"].double()}, examples.labels)
    held = [*model.parameters()]
    whole = parameters_to_vector(held).detach()

    def energy(block: int, shrunk: float) -> float:
        vector_to_parameters(whole.clone(), held)
        with torch.no_grad():
            for parameter in model.get_submodule(f"blocks.{block}").parameters():
                parameter.mul_(1 - shrunk)
        slopes = torch.autograd.grad(loss_of(model, wide), held)
        return 0.5 * sum(float(slope.square().sum()) for slope in slopes)

    found = [(energy(block, 1e-6) - energy(block, -1e-6)) / 2e-6 for block in range(3)]
    assert advice.numbers == pytest.approx(found, rel=1e-2)


def test_grasp_of_a_decoder() -> None:
    """The quick kernels of attention have no second derivative: others are taken."""
    advice = surgery.open(ATLAS["llama"]()[0]).advise("grasp", examples=windows(), budget_s=0)
    assert len(advice.values) == 4 and any(advice.numbers)


def test_no_loss_is_refused() -> None:
    """Neither labels nor a next token: a sentence, by whichever adviser that needs one."""
    points = torch.randn(6, 4)
    session, _ = classifier()
    for name in ("snip", "grasp", "module_sensitivity"):
        with pytest.raises(SurgeryError, match="no loss to take: no labels; of the next token: it needs"):
            session.advise(name, examples=tensors(points))
    bert = surgery.open(ATLAS["bert"]()[0])
    with pytest.raises(SurgeryError, match="no loss to take: no labels; of the next token: the model"):
        bert.advise("snip", examples=windows())
    with pytest.raises(SurgeryError, match="labels are out of range"):
        session.advise("snip", examples=tensors(points, torch.full((6,), 7)))


def test_a_module_without_a_tensor_to_gate() -> None:
    """What gives a dictionary cannot be passed by, and the sentence says which it is."""

    class Told(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"x": x}

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.told, self.head = Told(), nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.told(x)["x"])

    session = surgery.open(Model(), torch.zeros(1, 3))
    examples = tensors(torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
    with pytest.raises(SurgeryError, match="told: nothing can stand in the place of what this module gives"):
        session.advise("module_sensitivity", "told", examples=examples)


def _twice() -> nn.Module:
    """One block object at two places of a list."""
    torch.manual_seed(0)
    block = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
    return Stack([block, block])


def _mean_loss(model: nn.Module, examples: Examples) -> Tensor:
    inputs = examples.inputs
    if examples.labels is not None:
        return loss_of(model, examples)
    ids = inputs["input_ids"]
    logits = model(input_ids=ids).logits
    return nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
