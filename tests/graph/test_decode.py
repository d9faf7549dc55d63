"""One decode step costs what the graph says it costs."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from graph import costs, extract
from graph.tracing.macs import macs_of
from tests.graph.test_zoo import GENERATING
from tests.graph.traced import traced


class Macs(TorchDispatchMode):
    """Counts the MACs of every operator that runs."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.total += macs_of(func, args, kwargs or {}, out)
        return out


def step(model: Any, inputs: dict[str, Tensor]) -> int:
    """MACs of the last position of one sequence, fed after the others are in the cache."""
    inputs = {name: value[:1] for name, value in inputs.items()}
    fed = "decoder_input_ids" if "decoder_input_ids" in inputs else "input_ids"
    ids = inputs[fed]
    with torch.no_grad():
        first = model(**inputs | {fed: ids[:, :-1]}, use_cache=True)
        more: dict[str, Any] = {"past_key_values": first.get("past_key_values")}
        if fed == "decoder_input_ids":
            more["encoder_outputs"] = (first.encoder_last_hidden_state,)
        if more["past_key_values"] is None:
            more = {"cache_params": first.cache_params}
        with Macs() as counted, sdpa_kernel(SDPBackend.MATH):
            model(**{fed: ids[:, -1:]}, **more, use_cache=True)
    return counted.total


@pytest.mark.parametrize("name", GENERATING)
def test_a_step_costs_what_the_graph_says(name: str) -> None:
    """MACs of a true step with a cache, within 0.1 %; what values decide is traced on values."""
    made = traced(name)
    assert isinstance(made.inputs, dict)
    guessed = any(node.opaque for node in made.graph.modules)
    graph = extract(made.model, made.inputs, real=True) if guessed else made.graph
    said = costs(graph).decode_macs
    if name == "mamba":
        assert said is None
    else:
        assert said == pytest.approx(step(made.model, made.inputs), rel=1e-3)
