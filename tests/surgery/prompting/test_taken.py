"""What a model can be asked is told by its class, its example inputs and its data."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import surgery
from surgery.prompting.taken import Taken, taken
from tests.zoo import ATLAS


@pytest.mark.parametrize(
    ("model", "takes", "writes"),
    [("demo", "text", True), ("demo-cnn", "image", False), ("demo-vit", "image", False)],
)
def test_demonstrations_take_what_they_were_trained_on(model: str, takes: str, writes: bool) -> None:
    """Text that they go on with, or images, of which some are held out."""
    found = taken(surgery.open(model).opened)
    assert (found.takes, found.writes, found.fits) == (takes, writes, True)
    assert (found.examples > 0) == (takes == "image")


def test_without_a_tokenizer_ids_are_taken() -> None:
    """A decoder of the zoo, of which the module alone was given."""
    module, inputs = ATLAS["llama"]()
    assert taken(surgery.open(module, inputs=inputs).opened) == Taken("ids", 0, writes=True, fits=True)


@pytest.mark.parametrize(("shape", "fits"), [((1, 3, 8, 8), True), ((1, 8), False)])
def test_pictures_have_four_dimensions(shape: tuple[int, ...], fits: bool) -> None:
    """What takes vectors and has no examples can't be asked."""
    session = surgery.open(nn.Linear(8, 2), inputs=torch.zeros(shape))
    assert taken(session.opened) == Taken("image", 0, writes=False, fits=fits)
