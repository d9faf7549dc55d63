"""What a unit matters: slopes of the loss and what is read of it, against the plainest way to find them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import surgery
from surgery.demo.classifiers import DigitsCnn
from surgery.widths.channels import channels
from surgery.widths.importance import By, Shown, importance
from surgery.widths.neurons import neurons
from tests.surgery.calibration.models import given_to, session_of, text
from tests.zoo import ATLAS


def by_hand(model: nn.Module, weight: nn.Parameter, power: int) -> Tensor:
    """E |Σ w · ∂L/∂w|ᵖ over the columns of `weight`, example by example."""
    weight.requires_grad_(True)
    found = []
    for batch in text():
        for row in range(len(batch["input_ids"])):
            ids, mask = (batch[name][row : row + 1] for name in ("input_ids", "attention_mask"))
            logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
            counted = (mask[:, :-1] * mask[:, 1:]).bool()
            loss = F.cross_entropy(logits[counted], ids[:, 1:][counted])
            (slope,) = torch.autograd.grad(loss, weight)
            found.append((weight * slope).sum(0).detach().abs().double() ** power)
    return torch.stack(found).mean(0)


@pytest.mark.parametrize("by, power", [("taylor", 1), ("fisher", 2)])
def test_a_slope_is_that_of_the_weights_that_read_a_unit(by: By, power: int) -> None:
    """E |Σ w ∂L/∂w| and E (Σ w ∂L/∂w)², with one backward pass for each example, padding left out."""
    session = session_of("llama")
    part = neurons(session.patient)[1]
    (found,) = importance(session.patient, [[part]], by, Shown(session.data, 99, 0, "this"))
    model = ATLAS["llama"]()[0]
    expected = by_hand(model, model.get_parameter(f"{part.path}.down_proj.weight"), power)
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-12)


def test_of_a_residual_stream_all_that_read_a_channel_count() -> None:
    """Channels that several convolutions and a linear layer read: the sum over all of them, by labels."""
    torch.manual_seed(0)
    model, images, classes = DigitsCnn().eval(), torch.rand(5, 1, 8, 8), torch.tensor([3, 1, 4, 1, 5])
    session = surgery.open(model, (images,))
    parts = channels(session.patient)
    shown = Shown([{"images": images, "labels": classes}], 99, 0, "this")
    found = importance(session.patient, [[part] for part in parts], "taylor", shown)
    for part, scores in zip(parts, found, strict=True):
        paths = [cut.path for cut in part.cuts if cut.dim == 1]
        read = [model.get_parameter(path) for path in paths]
        slopes = []
        for image, label in zip(images, classes, strict=True):
            loss = F.cross_entropy(model(image[None]), label[None])
            each = torch.autograd.grad(loss, read)
            sums = [
                (weight * slope).transpose(0, 1).flatten(1).sum(1)
                for weight, slope in zip(read, each, strict=True)
            ]
            slopes.append(torch.stack(sums).sum(0).detach().abs().double())
        assert torch.allclose(scores, torch.stack(slopes).mean(0), rtol=1e-3, atol=1e-8), part.path
    assert max(len([cut for cut in part.cuts if cut.dim == 1]) for part in parts) > 2


def test_the_activation_is_what_is_read_of_a_unit() -> None:
    """√E x² of what leads out of the neurons is given, padding left out."""
    session = session_of("llama")
    part = neurons(session.patient)[0]
    (found,) = importance(session.patient, [[part]], "activation", Shown(session.data, 99, 0, "this"))
    given = given_to(ATLAS["llama"]()[0], f"{part.path}.down_proj", text())
    assert torch.allclose(found, given.square().mean(0).sqrt(), rtol=1e-5)
