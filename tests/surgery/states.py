"""What a model is and does, to be compared: objects and values, outputs, its cache, what it loads as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

import surgery
from surgery.fingerprint import Fingerprinter
from surgery.quiet import quiet
from surgery.session import Session


def run(model: nn.Module, inputs: Any) -> torch.Tensor:
    """The model's output tensor on the zoo's inputs."""
    with torch.no_grad():
        out = model(**inputs) if isinstance(inputs, dict) else model(*inputs)
    for name in ("logits", "logits_per_image", "image_embeds", "text_embeds"):
        if hasattr(out, name):
            found: torch.Tensor = getattr(out, name)
            return found
    return out


def snapshot(model: nn.Module) -> list[Any]:
    """Objects, key order and aliasing of everything an edit may touch, and the config's content."""
    seen: list[Any] = []
    for path, module in model.named_modules(remove_duplicate=False):
        seen.append((path, id(module), list(module.__dict__)))
        for kind in ("_modules", "_parameters", "_buffers"):
            seen.append([(name, id(value)) for name, value in getattr(module, kind).items()])
        seen.append(
            {key: value for key, value in module.__dict__.items() if isinstance(value, int | str | dict)}
        )
    config = getattr(model, "config", None)
    seen.append(config.to_dict() if config is not None else None)
    return seen


def untouched(model: nn.Module) -> list[Any]:
    """What the opened model must still be: values, flags, training mode, hooks and configs."""
    state: list[Any] = [Fingerprinter()(model)]
    for name, parameter in model.named_parameters(remove_duplicate=False):
        state.append(
            (name, id(parameter), parameter.requires_grad, parameter.grad is None, parameter.data_ptr())
        )
    for name, buffer in model.named_buffers(remove_duplicate=False):
        state.append((name, id(buffer), buffer._version))
    state.append(
        [(name, module.training, len(module._forward_hooks)) for name, module in model.named_modules()]
    )
    for module in model.modules():  # T5's halves have configs of their own
        configs = [module.__dict__.get(name) for name in ("config", "generation_config")]
        state.append([config.to_dict() for config in configs if config is not None])
    return state


def loads_again(session: Session, folder: Path, into: nn.Module | None = None) -> None:
    """What the session saves in `folder`, `surgery.load` gives back: fingerprint and outputs are the same."""
    session.save(folder)
    loaded = surgery.load(folder, into=into)
    assert Fingerprinter()(loaded) == session.fingerprint()
    inputs = session.opened.inputs
    assert torch.equal(run(loaded, inputs), run(session.model, inputs))


def loaded_alone(model: nn.Module, folder: Path) -> Any:
    """What transformers makes of the folder by itself, ready to run; it found every tensor and no other."""
    cls: Any = type(model)
    with quiet():
        loaded, report = cls.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    return loaded.eval()


PROMPTS = {
    "input_ids": torch.tensor([[0, 0, 0, 5, 6, 7], [1, 2, 3, 4, 5, 6]]),
    "attention_mask": torch.tensor([[0, 0, 0, 1, 1, 1], [1, 1, 1, 1, 1, 1]]),
}
"""Left-padded prompts of a decoder."""


def cached_equals_uncached(model: Any, heard: dict[str, torch.Tensor] | None = None) -> None:
    """Greedy tokens with cache are those without; stepwise logits agree within 1e-5.

    `heard`: what the encoder of a model with one gets.
    """
    plain = generated(model, heard, use_cache=False)
    assert torch.equal(generated(model, heard, use_cache=True), plain)
    ids = plain[1:] if heard is None else torch.tensor([[2, 9, 4, 7, 5, 3], [8, 1, 6, 2, 2, 9]])
    name = "input_ids" if heard is None else "decoder_input_ids"
    with torch.no_grad():
        whole = model(**heard or {}, **{name: ids}, use_cache=False).logits
        cache, steps = None, []
        for position in range(ids.shape[1]):
            step = {name: ids[:, position : position + 1]}
            out = model(**heard or {}, **step, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            steps.append(out.logits)
    assert torch.allclose(torch.cat(steps, 1), whole, atol=1e-5, rtol=0)


def generated(model: Any, heard: dict[str, torch.Tensor] | None, **settings: Any) -> torch.Tensor:
    """Eight tokens, not drawn, for left-padded prompts or for what an encoder heard."""
    fixed = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0}
    tokens: torch.Tensor = model.generate(**heard or PROMPTS, **fixed, **settings)
    return tokens
