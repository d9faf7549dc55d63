"""What could be silently wrong, or left behind, while weights pass by."""

from __future__ import annotations

import math
import os
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import surgery
from surgery import SurgeryError
from surgery.evaluate import token_windows
from surgery.evaluate.streamed.lockstep import Forward
from tests.surgery.evaluate.conftest import decoder, tokens
from tests.zoo import ATLAS

EXAMPLES = token_windows(tokens(24))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder of three blocks on disk."""
    place = tmp_path_factory.mktemp("decoder")
    decoder(blocks=3).save_pretrained(place)
    return place


def test_buffers_that_move_to_a_device_are_still_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statistics of batch norms lie in the checkpoint, and the skeleton has others."""
    model: Any = ATLAS["resnet"]()[0]
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.fill_(0.05)
    model.save_pretrained(tmp_path)
    session = surgery.open(tmp_path, skeleton=True)
    session.sparsify("**:Conv2d", ratio=0.5)
    expected = session.evaluate(0).results
    assert expected != ()
    plain = Tensor.to

    def moved(self: Tensor, *words: Any, **more: Any) -> Tensor:
        found = plain(self, *words, **more)
        return found.clone() if found is self else found

    monkeypatch.setattr(Tensor, "to", moved)
    assert session.evaluate(0).results == expected


def test_an_interrupt_leaves_no_forward_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it comes, while forwards begin too."""
    plain, calls = Forward.advance, [0]
    for number in (1, 2, 3, 5, 8, 20, 40):
        calls[0] = 0

        def advance(self: Forward, number: int = number) -> None:
            plain(self)
            calls[0] += 1
            if calls[0] == number:
                raise KeyboardInterrupt

        monkeypatch.setattr(Forward, "advance", advance)
        with pytest.raises(KeyboardInterrupt):
            surgery.open(folder, skeleton=True).sweep("remove", "model.layers[*]", examples=EXAMPLES)
        monkeypatch.undo()
        assert not [thread for thread in threading.enumerate() if thread.name == "surgery-forward"]


@pytest.mark.parametrize("budget_s", [-1, math.nan])
def test_a_budget_that_is_no_time_is_refused(folder: Path, budget_s: float) -> None:
    """As in memory."""
    session = surgery.open(folder, skeleton=True)
    with pytest.raises(SurgeryError, match="a budget is a time"):
        session.evaluate(budget_s, EXAMPLES)
    with pytest.raises(SurgeryError, match="a budget is a time"):
        session.sweep("remove", "model.layers[*]", examples=EXAMPLES, budget_s=budget_s)


def test_tokens_that_the_model_lacks_are_refused_before_they_are_shown(folder: Path) -> None:
    """On an accelerator they would end the process."""
    with pytest.raises(SurgeryError, match="tokens that the model does not have"):
        surgery.open(folder, skeleton=True).evaluate(0, token_windows(tokens(8, vocabulary=300)))


def test_a_file_that_is_replaced_meanwhile_is_noticed(folder: Path, tmp_path: Path) -> None:
    """Figures of a mixture are none."""
    decoder(blocks=3).save_pretrained(tmp_path / "base")
    file = tmp_path / "base" / "model.safetensors"
    other = {name: tensor * 2 for name, tensor in decoder(blocks=3).state_dict().items()}
    save_file(other, tmp_path / "other", {"format": "pt"})

    def replace(share: float, label: str) -> None:
        if share > 0.3 and (tmp_path / "other").exists():
            os.replace(tmp_path / "other", file)

    session = surgery.open(tmp_path / "base", skeleton=True)
    session.remove("model.layers.1")
    with pytest.raises(SurgeryError, match=r"model\.safetensors: was changed while it was read"):
        session.evaluate(0, EXAMPLES, progress=replace)


class Named(nn.Module):
    """Layers that are attributes, without numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(x))) * self.scale


class Drawing(Named):
    """Draws as it runs."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.rand(4)


def opened(module: nn.Module, folder: Path, *, skeleton: bool = True) -> surgery.Session:
    """A session on a module whose weights lie in a file."""
    save_file(module.state_dict(), folder / "model.safetensors")
    given = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    return surgery.open(folder / "model.safetensors", given, into=module, skeleton=skeleton)


def test_models_without_numbered_blocks_are_shown_all_examples_too(tmp_path: Path) -> None:
    """Figures and their number are those of an evaluation in memory."""
    torch.manual_seed(0)
    module = Named()
    found = []
    for skeleton in (True, False):
        session = opened(module, tmp_path, skeleton=skeleton)
        session.sparsify("first", ratio=0.5)
        found.append(session.evaluate(math.inf))
    assert found[0].results == found[1].results and found[0].examples == found[1].examples == 64


def test_a_model_that_draws_random_numbers_is_refused(tmp_path: Path) -> None:
    """Side by side it would draw others."""
    with pytest.raises(SurgeryError, match="draws random numbers"):
        opened(Drawing(), tmp_path).evaluate(0)


def test_no_more_forwards_than_a_pass_has_room_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said that examples were left out."""
    monkeypatch.setattr("surgery.evaluate.streamed.passing.MOST_FORWARDS", 4)
    report = surgery.open(folder, skeleton=True).evaluate(math.inf, EXAMPLES)
    assert report.examples == 16
    assert "A pass has room for 16 of 24 windows." in report.notes
