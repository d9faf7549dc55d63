"""Wrap: what goes in or comes out of a module is what hooks on the opened model make of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.modules.wrappers import Scale
from tests.surgery.by_hand import SMALL
from tests.surgery.states import cached_equals_uncached, loads_again, run, snapshot
from tests.zoo import ZOO


def over_rms(x: torch.Tensor) -> torch.Tensor:
    """X over its root mean square."""
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


def hooked(model: nn.Module, path: str, wrapper: str, inputs: Any) -> torch.Tensor:
    """The output of `model` with hooks that do to the module at `path` what the wrapper does."""

    def before(module: nn.Module, args: Any, kwargs: Any) -> Any:
        if args:
            return (over_rms(args[0]), *args[1:]), kwargs
        return args, kwargs | {"hidden_states": over_rms(kwargs["hidden_states"])}

    def after(module: nn.Module, args: Any, kwargs: Any, out: Any) -> Any:
        main = out[0] if isinstance(out, tuple) else out
        given = args[0] if args else kwargs["hidden_states"]
        made = {"residual": given + main, "postnorm": over_rms(main), "scale": 0.5 * main}[wrapper]
        return (made, *out[1:]) if isinstance(out, tuple) else made

    module = model.get_submodule(path)
    if wrapper == "prenorm":
        hook = module.register_forward_pre_hook(before, with_kwargs=True)
    else:
        hook = module.register_forward_hook(after, with_kwargs=True)
    found = run(model, inputs)
    hook.remove()
    return found


@pytest.mark.parametrize("wrapper", ["residual", "prenorm", "postnorm", "scale"])
@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("llama", "model.layers.0.self_attn"),
        ("gpt2", "transformer.h.1.attn"),
        ("falcon", "transformer.h.0"),
        ("qwen2", "model.layers.2.mlp"),
    ],
)
def test_as_hooks_do(name: str, path: str, wrapper: str) -> None:
    """Attention, an MLP or a whole block, which return tuples or tensors and are given names or none."""
    model, inputs = SMALL[name]()
    session = surgery.open(model, inputs)
    session.wrap(path, wrapper)
    wrapped: Any = session.model.get_submodule(path)
    if wrapper == "scale":
        assert torch.equal(run(session.model, inputs), run(model, inputs))
        wrapped.gate.data.fill_(0.5)
    assert torch.allclose(run(session.model, inputs), hooked(model, path, wrapper, inputs), atol=1e-5)
    if wrapper == "prenorm":
        cached_equals_uncached(session.model)


def test_edits_around_and_inside(tmp_path: Path) -> None:
    """A wrapped block moves and is copied with its own slot; adapters fit inside; gates are trained."""
    model, inputs = SMALL["qwen2"]()
    session = surgery.open(model, inputs)
    session.wrap("model.layers[1], model.layers[2].self_attn.q_proj")
    assert torch.equal(run(session.model, inputs), run(model, inputs))
    session.move("model.layers[1]", to="model.layers[3]", place="after")
    session.duplicate("model.layers[3]")
    session.attach("model.layers[1].self_attn.q_proj.base", rank=2)
    cached_equals_uncached(session.model)
    loads_again(session, tmp_path / "out")
    session.model(**inputs).logits.sum().backward()
    gates = [module.gate.grad for module in session.model.modules() if isinstance(module, Scale)]
    assert len(gates) == 3 and all(gate is not None for gate in gates)
    while session.steps:
        session.undo()
    assert torch.equal(run(session.model, inputs), run(model, inputs))


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("llama", {"targets": "**", "wrapper": "scale"}, "(root): the whole model cannot be wrapped"),
    ("llama", {"targets": "lm_head"}, "lm_head.weight: is tied by the model's config"),
    ("llama", {"targets": "model.layers"}, "the forward would fail here"),
    ("llama", {"targets": "model.norm", "wrapper": "gate"}, "no wrapper is registered as 'gate'"),
    ("llama", {"targets": "model.norm", "wrapper": "linear"}, "no wrapper is registered as 'linear'"),
    ("llama", {"targets": "model.norm", "wrapper": "prenorm(kind='batch')"}, "prenorm cannot be built"),
    ("llama", {"targets": "model.norm", "wrapper": "prenorm", "width": 5}, "the forward would fail here"),
    ("llama", {"targets": "**.up_proj", "wrapper": "residual"}, "the forward would fail here"),
    ("encoder", {"targets": "**.linear1"}, "fast path"),
    ("siamese", {"targets": "right"}, "is one module used at several paths; got left and right"),
    ("cnn", {"targets": "stem", "wrapper": "prenorm"}, "the width of prenorm does not follow"),
]


@pytest.mark.parametrize(("name", "fields", "sentence"), REFUSED, ids=lambda value: str(value)[:40])
def test_refused_changes_nothing(name: str, fields: dict[str, Any], sentence: str) -> None:
    """The sentence names path and problem; the model stays."""
    session = surgery.open(*ZOO[name]())
    before = snapshot(session.model)
    with pytest.raises(SurgeryError) as refusal:
        session.wrap(**fields)
    assert sentence in str(refusal.value)
    assert snapshot(session.model) == before
