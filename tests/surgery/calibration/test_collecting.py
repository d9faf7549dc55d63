"""Inputs of layers, collected in one pass: sums over every token that is no padding, and over no other."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import surgery
from surgery import SurgeryError
from surgery.calibration import collecting as module
from surgery.calibration.collecting import collect
from surgery.calibration.kept import Kept
from surgery.calibration.layers import as_rows
from surgery.calibration.telling import listening
from surgery.evaluate import Stopped, token_windows
from tests.surgery.calibration.models import given_to, layers_at, session_of, text
from tests.surgery.states import untouched
from tests.zoo import ZOO

WANTED: dict[str, Any] = {"samples": 100, "grams": True, "verb": "this"}


@pytest.mark.parametrize(
    "name, select, path",
    [
        ("llama", "model.layers", "model.layers.1.self_attn.k_proj"),
        ("llama", "model.layers", "model.layers.2.mlp.down_proj"),
        ("gpt2", "transformer.h", "transformer.h.1.attn.c_attn"),
    ],
)
def test_sums_are_those_of_what_the_layer_is_given(name: str, select: str, path: str) -> None:
    """Σ x xᵀ, its diagonal and the number of tokens, of Linear and of Conv1D, without padding."""
    session = session_of(name)
    found = collect(session.patient, layers_at(session, select), session.data, **WANTED)[path]
    given = given_to(session.model, path, text())
    assert found.tokens == len(given) == 2 * 12 * 3 - (1 + 3 + 5)
    assert found.gram is not None and found.gram.dtype == torch.float64
    torch.testing.assert_close(found.gram, given.T @ given, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.squares, given.square().sum(0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2)),
        nn.Conv2d(3, 4, 3, padding="same", padding_mode="circular"),
        nn.Conv1d(3, 4, 3, padding=1),
    ],
    ids=["strides", "circular", "one dimension"],
)
def test_a_convolution_sums_over_what_it_slides_over(layer: nn.Module) -> None:
    """Its energy Σ y² is Σ wᵀ G w: so the unfolded inputs are what its weights multiply."""
    images = torch.randn(5, 3, 8, 7) if isinstance(layer, nn.Conv2d) else torch.randn(5, 3, 8)
    bias = layer.bias
    assert isinstance(bias, nn.Parameter)
    bias.data.zero_()
    session = surgery.open(nn.Sequential(layer), (images,))
    (found,) = collect(session.patient, layers_at(session, "**"), [images[:2], images[2:]], **WANTED).values()
    assert found.gram is not None
    outputs = layer(images)
    weight = as_rows(layer.get_parameter("weight").detach(), "convolution").double()
    torch.testing.assert_close(
        ((weight @ found.gram) * weight).sum(1),
        outputs.double().square().transpose(0, 1).flatten(1).sum(1).detach(),
        rtol=1e-4,
        atol=1e-4,
    )
    assert found.tokens == outputs[:, 0].numel()


def test_batches_are_drawn_by_the_seed_and_cut_to_the_samples() -> None:
    """The same seed gives the same bits; another one other batches; the last is cut."""
    session = session_of("llama", text(padded=False))
    layers = layers_at(session, "model.layers[0].mlp.gate_proj")
    path, again = layers[0].path, {**WANTED, "samples": 3}

    def seen(seed: int) -> Any:
        session.touch()
        return collect(session.patient, layers, session.data, seed=seed, **again)[path]

    assert seen(0).tokens == 3 * 12
    assert torch.equal(seen(0).gram, seen(0).gram)
    assert not all(torch.equal(seen(0).gram, seen(seed).gram) for seed in (1, 2, 3))


def test_the_model_its_buffers_and_random_state_stay() -> None:
    """A shell runs, in evaluation mode."""
    session = session_of("llama")
    before, random = untouched(session.opened.model), torch.get_rng_state()
    collect(session.patient, layers_at(session, "model.layers"), session.data, **WANTED)
    assert untouched(session.opened.model) == before and torch.equal(torch.get_rng_state(), random)
    assert not any(item._forward_pre_hooks for item in session.model.modules())


def test_what_was_collected_serves_several_until_an_edit(monkeypatch: pytest.MonkeyPatch) -> None:
    """One pass for two who ask, on another shell too; one more after an edit, a write, or `touch`."""
    session, runs = session_of("llama"), []
    real = module.run
    monkeypatch.setattr(module, "run", lambda *args: (runs.append(1), real(*args)))
    layers, kept = layers_at(session, "model.layers"), session.calibrations

    def passes() -> int:
        runs.clear()
        with listening(kept=kept):
            collect(session._apart(), layers, session.data, **WANTED)
        return len(runs)

    assert [passes(), passes()] == [3, 0]
    session.sparsify("model.layers[0].mlp.up_proj")
    assert [passes(), passes()] == [3, 0]
    session.undo()
    assert passes() == 0
    with torch.no_grad():
        session.model.get_parameter("model.norm.weight").mul_(2)
    assert [passes(), passes()] == [3, 0]
    session.touch()
    assert passes() == 3
    session.data[0]["input_ids"][0, 0] = 7
    assert passes() == 3


def test_a_sweep_collects_once_for_all_of_its_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each prunes another block of the same state."""
    session, runs = session_of("llama"), []
    real = module.run
    monkeypatch.setattr(module, "run", lambda *args: (runs.append(1), real(*args)))
    examples = token_windows(text(padded=False)[0]["input_ids"])
    report = session.sweep("wanda", "model.layers[*]", examples=examples, sequential=False)
    assert len(report.rows) == 4 and len(runs) == 3


def test_what_is_kept_is_bounded() -> None:
    """Of a limit too small for it nothing is kept; of one for a single state the latest."""
    session = session_of("llama")
    layers = layers_at(session, "model.layers[0].mlp.up_proj")
    for limit, expected in ((10, 0), (1 << 20, 2)):
        kept = Kept(limit)
        with listening(kept=kept):
            for samples in (1, 2):
                collect(session.patient, layers, session.data, **{**WANTED, "samples": samples})
        assert len(kept._found) == expected and kept.size_bytes <= limit
    one = kept.size_bytes // 2
    kept = Kept(one)
    with listening(kept=kept):
        for samples in (1, 2):
            collect(session.patient, layers, session.data, **{**WANTED, "samples": samples})
    assert len(kept._found) == 1 and kept.size_bytes == one


def test_progress_is_told_and_a_stop_is_heard() -> None:
    """After each batch; stopped in between, there is no result."""
    session, told = session_of("llama"), []
    layers, stop = layers_at(session, "model.layers"), threading.Event()
    with listening(lambda fraction, label: told.append((fraction, label))):
        collect(session.patient, layers, session.data, **WANTED)
    assert [label for _, label in told] == [f"{count} of 6 examples" for count in (2, 4, 6)]
    assert told[-1][0] == 1.0
    with listening(lambda *_: stop.set(), stop), pytest.raises(Stopped):
        collect(session.patient, layers, session.data, **{**WANTED, "samples": 5})


BAD: dict[str, tuple[str, str, Any, str]] = {
    "no data": ("llama", "model.layers", [], r"needs data.*Try: `s.data = "),
    "other data": ("llama", "model.layers", [torch.randn(2, 3)], "cannot run a batch of `s.data`"),
    "no layer": ("llama", "model.norm", None, r"^model.norm: this finds no linear layer.*Try: `\*\*:Linear`"),
    "experts": ("mixtral", "model.layers", None, r"^model\.layers\.0\.\S*experts: .*stacked.*self_attn"),
    "a tied head": ("gpt2", "lm_head", None, r"^lm_head: .*Embedding reads too; got transformer\.wte.*untie"),
    "groups": ("cnn", "stage1[0].conv1", None, r"^stage1\.0\.conv1: .*groups; got 2 groups"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_observed_is_refused(name: str) -> None:
    """By path, with the way out."""
    model, select, data, sentence = BAD[name]
    session = session_of(model, data)
    with pytest.raises(SurgeryError, match=sentence):
        collect(session.patient, layers_at(session, select), session.data, **WANTED)


class Idle(nn.Module):
    """Half of it is never called, or it divides by zero."""

    def __init__(self, *, divides: bool = False) -> None:
        super().__init__()
        self.used, self.idle, self.divides = nn.Linear(4, 4), nn.Linear(4, 4), divides

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """All of it, or half."""
        found: torch.Tensor = self.used(F.relu(x))
        return self.idle(found / 0.0) if self.divides else found


@pytest.mark.parametrize("divides, sentence", [(False, "never reach"), (True, "are not numbers")])
def test_a_layer_that_sees_nothing_or_no_numbers_is_refused(divides: bool, sentence: str) -> None:
    """By its path."""
    session = surgery.open(Idle(divides=divides), (torch.randn(2, 4),))
    with pytest.raises(SurgeryError, match=rf"^idle: .*{sentence}"):
        collect(session.patient, layers_at(session, "**"), [torch.randn(2, 4)], **WANTED)


def test_layers_under_adapters_are_found_and_the_adapters_are_not() -> None:
    """The base of a LoRA layer is pruned; its factors are no layers."""
    session = session_of("llama")
    session.attach("**.q_proj")
    paths = [layer.path for layer in layers_at(session, "model.layers[0].self_attn")]
    assert paths == [
        f"model.layers.0.self_attn.{name}" for name in ("q_proj.base", "k_proj", "v_proj", "o_proj")
    ]


def test_a_tied_weight_is_one_layer() -> None:
    """Its inputs are those at all of its places."""
    session = session_of("llama")
    session.tie("model.layers[2]", to="model.layers[1]")
    layers = layers_at(session, "model.layers")
    path = "model.layers.1.mlp.up_proj"
    layer = next(layer for layer in layers if layer.path == path)
    assert layer.places == (path, path.replace(".1.", ".2."))
    assert len(layers) == 7 * (len(session.model.model.layers) - 1)
    found = collect(session.patient, [layer], session.data, **WANTED)[path]
    both = torch.cat([given_to(session.model, place, text()) for place in layer.places])
    torch.testing.assert_close(found.gram, both.T @ both, rtol=1e-4, atol=1e-5)


def test_every_plain_model_can_be_observed_or_is_refused() -> None:
    """Nothing of the zoo breaks otherwise."""
    for name, make in ZOO.items():
        model, inputs = make()
        session = surgery.open(model, inputs)
        try:
            found = collect(session.patient, layers_at(session, "**"), [inputs], **WANTED)
        except SurgeryError as error:
            assert error.path or error.hint, name
        else:
            assert all(item.tokens for item in found.values()), name
