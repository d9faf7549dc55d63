"""What a narrowed model keeps on every family: figures, cache, the folder it is saved in, the way back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import surgery
from graph.costs import costs, kv_cache_bytes_per_token
from surgery import Session
from tests.surgery.states import cached_equals_uncached, loaded_alone, snapshot, untouched
from tests.surgery.widths import CASES, HEADS, MODELS, SAY_HEADS, alone, exact, narrowed, outputs
from tests.zoo.families import DECODERS, VARIANTS

# Those that attend to an encoder need its states, which the contract does not give.
DECODING = [name for name in HEADS if name.partition("-")[0] in DECODERS or name in VARIANTS]
GENERATORS = [name for name in DECODING if not name.endswith("-across")]

# The neurons of a variant are those of its family.
FAMILIES = [(name, units) for name, units in CASES if units == "heads" or "-" not in name]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(("name", "units"), FAMILIES)
def test_the_preview_is_right_and_undo_gives_all_back(name: str, units: str) -> None:
    """Figures before are those after; undo restores every object, and the opened model was never touched."""
    model, inputs = MODELS[name]()
    before = untouched(model)
    session = surgery.open(model, inputs)
    state, output = snapshot(session.model), outputs(session.model, inputs)
    preview = session.preview("narrow", "**", units, ratio=0.5)
    session.narrow("**", units, ratio=0.5)
    figures = costs(session.graph, kv_bytes_per_token=kv_cache_bytes_per_token(session.graph))
    assert preview.after == figures
    assert figures.parameters == sum(parameter.numel() for parameter in session.model.parameters())
    session.undo()
    assert snapshot(session.model) == state
    assert torch.equal(outputs(session.model, inputs), output)
    assert untouched(model) == before


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("everywhere", [True, False])
def test_fewer_heads_keep_the_cache_right(name: str, everywhere: bool) -> None:
    """In all blocks, and in one alone: each layer of the cache has the heads of its block."""
    model, _ = exact(name)
    targets = "**" if everywhere else (alone(model, name, "heads") or (None,))[0]
    if targets:
        cached_equals_uncached(narrowed(model, targets=targets, units="heads", ratio=0.5))


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_a_static_cache_is_right_too(name: str) -> None:
    """It takes the number of heads from the keys of each block, whatever the config says."""
    model, _ = exact(name)
    made: Any = narrowed(model, targets=(alone(model, name, "heads") or ("",))[0], units="heads", ratio=0.5)
    prompt, settings = torch.tensor([[1, 2, 3, 4]]), {"max_new_tokens": 6, "do_sample": False}
    plain = made.generate(prompt, use_cache=False, pad_token_id=0, **settings)
    cached = made.generate(prompt, cache_implementation="static", pad_token_id=0, **settings)
    assert torch.equal(cached, plain)


@pytest.mark.parametrize("name", ["t5", "t5-gated", "bart", "whisper"])
def test_fewer_heads_keep_the_caches_of_a_decoder_right(name: str) -> None:
    """The cache of its own keys and that of the encoder's: stepwise logits are those of all at once."""
    model, inputs = exact(name)
    made: Any = narrowed(model, targets="**", units="heads", ratio=0.5)
    ids, cache, steps = inputs["decoder_input_ids"], None, []
    rest = {key: value for key, value in inputs.items() if key != "decoder_input_ids"}
    with torch.no_grad():
        for place in range(ids.shape[1]):
            now = ids[:, place : place + 1]
            out = made(**rest, decoder_input_ids=now, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            steps.append(out.logits)
    assert torch.allclose(torch.cat(steps, 1), outputs(made, inputs), atol=1e-5, rtol=0)


def loads(session: Session, folder: Path, alone: bool) -> Any:
    """What the folder gives back: by transformers without the engine, or by `surgery.load`."""
    session.save(folder)
    said = json.loads((folder / "surgery.json").read_text())
    assert said["loads_with"] == ("transformers" if alone else "surgery.load"), said["because"]
    if not alone:
        plain = session.patient.model_type is None
        return surgery.load(folder, into=session.opened.model if plain else None)
    return loaded_alone(session.opened.model, folder)


@pytest.mark.parametrize(("name", "units"), FAMILIES)
def test_it_loads_again(name: str, units: str, tmp_path: Path) -> None:
    """By transformers alone where all blocks agree and the config can say it, else by `surgery.load`."""
    model, inputs = MODELS[name]()
    session = surgery.open(model, inputs)
    session.narrow("**", units, ratio=0.5)
    plain = not name.startswith(("torch", "clip")) and (units == "neurons" or name in SAY_HEADS)
    loaded = loads(session, tmp_path / "even", plain)
    assert torch.equal(outputs(loaded, inputs), outputs(session.model, inputs))
    one = alone(model, name, units)
    if one and (units == "heads" or name in ("llama", "gpt2", "torch")):
        session.undo()
        session.narrow(one[0], units, ratio=0.5)
        loaded = loads(session, tmp_path / "uneven", False)
        assert torch.equal(outputs(loaded, inputs), outputs(session.model, inputs))
