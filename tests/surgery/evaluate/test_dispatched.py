"""Models that accelerate has spread over devices are opened, edited and evaluated as others are."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import dispatch_model
from accelerate.hooks import ModelHook, add_hook_to_module
from torch import nn
from transformers import AutoModelForCausalLM

import surgery
from surgery import SurgeryError
from surgery.evaluate import placing, token_windows
from surgery.quiet import quiet
from tests.surgery.evaluate.conftest import decoder, tokens
from tests.surgery.states import run, untouched

EXAMPLES = token_windows(tokens(24))
EVERYWHERE = {"model": "cpu", "lm_head": "cpu"}


class Counting(ModelHook):
    """Counts what goes through the module that it is on."""

    def __init__(self) -> None:
        self.seen = 0

    def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        self.seen += 1
        return args, kwargs


def dispatched() -> nn.Module:
    """The decoder as accelerate gives it back, its hooks on every part."""
    model: nn.Module = dispatch_model(decoder(blocks=4).eval(), EVERYWHERE, force_hooks=True)
    return model


def edited(session: surgery.Session) -> surgery.Session:
    """Edits of depth, width and adapters."""
    session.remove("model.layers.1")
    session.tie("model.layers.2", to="model.layers.1")
    session.narrow("model.layers.0", "neurons", ratio=0.5)
    session.attach("**.q_proj", rank=2)
    return session


def test_it_is_edited_and_evaluated_as_another(tmp_path: Path) -> None:
    """Same graph, figures and saved model; the opened one keeps its hooks, and undo brings all back."""
    model = dispatched()
    before = untouched(model)
    ours, plain = surgery.open(model), surgery.open(decoder(blocks=4).eval())
    assert ours.graph.calls == plain.graph.calls and ours.graph.problem is None
    for session in (ours, plain):
        edited(session)
    assert ours.evaluate(math.inf, EXAMPLES).results == plain.evaluate(math.inf, EXAMPLES).results
    assert surgery.open(ours.save(tmp_path / "out")).fingerprint() == plain.fingerprint()
    assert untouched(model) == before
    ours.goto(ours.history.base)
    ids = {"input_ids": tokens(2)}
    assert torch.equal(run(ours.model, ids), run(decoder(blocks=4).eval(), ids))


def test_the_session_s_model_goes_through_the_hooks() -> None:
    """So that it runs over the devices that it lies on; duplicates too."""
    model, hook = decoder(blocks=3).eval(), Counting()
    for block in model.model.layers:
        add_hook_to_module(block, hook)
    session = surgery.open(model)
    session.duplicate("model.layers.1")
    run(session.model, {"input_ids": tokens(1)})
    assert hook.seen == 4


def test_where_it_lies_on_several_devices_it_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless a device is named: then all of it goes there, and no hook moves anything."""
    model, hook = decoder(blocks=3).eval(), Counting()
    add_hook_to_module(model.model.layers[1], hook)
    several = [torch.device("cpu"), torch.device("cuda", 1)]
    monkeypatch.setattr(placing, "devices_of", lambda _: several)
    found = {}
    for device in ("auto", "cpu"):
        hook.seen = 0
        found[device] = surgery.open(model).evaluate(0, EXAMPLES, device=device).results, hook.seen
    assert found["auto"][0] == found["cpu"][0]
    assert found["auto"][1] > 0 == found["cpu"][1]


def test_weights_that_accelerate_put_on_disk_are_streamed_from_their_folder(tmp_path: Path) -> None:
    """The model in memory has none to measure; the folder has."""
    decoder(blocks=3).save_pretrained(tmp_path / "model")
    places = {f"model.layers.{number}": "disk" for number in range(3)}
    rest = dict.fromkeys(["model.embed_tokens", "model.norm", "model.rotary_emb", "lm_head"], "cpu")
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(
            tmp_path / "model", device_map=places | rest, offload_folder=tmp_path / "offloaded"
        )
    session = surgery.open(model)
    assert session.is_skeleton and session.graph.problem is None
    with pytest.raises(SurgeryError, match="the folder that its weights lie in"):
        session.evaluate(examples=EXAMPLES)
    assert surgery.open(tmp_path / "model", skeleton=True).evaluate(examples=EXAMPLES).results


def test_a_forward_that_somebody_else_has_wrapped_is_refused() -> None:
    """Only what accelerate does is known to change nothing."""
    model = decoder(blocks=2).eval()
    add_hook_to_module(model.model.layers[0], Counting())
    inner = model.model.layers[0].forward
    model.model.layers[0].forward = lambda *args, **kwargs: inner(*args, **kwargs)
    with pytest.raises(SurgeryError, match="closure"):
        surgery.open(model)
