"""Parameters, bytes, MACs and cache of parts of a model."""

import pytest
import torch
from torch import nn

from graph import costs, extract, kv_cache_bytes_per_token
from tests.zoo import ATLAS, ZOO, cnn, encoder, gpt2, llama, siamese


@pytest.mark.parametrize("name", ZOO)
def test_parameters_and_bytes_equal_torchs_own(name: str) -> None:
    """Parameters and bytes of the whole are those torch lists, tied ones once."""
    model, _ = ZOO[name]()
    found = costs(extract(model))
    tensors = [*model.parameters(), *model.buffers()]
    assert found.parameters == found.owned == sum(p.numel() for p in model.parameters())
    assert found.size_bytes == sum(t.numel() * t.element_size() for t in tensors)


def test_tied_parameters_are_shared_on_both_sides() -> None:
    """A tied head owns nothing: all it has is used outside its path too."""
    graph = extract(llama()[0])
    head = costs(graph, "lm_head")
    assert (head.parameters, head.owned, head.shared) == (64 * 32, 0, 64 * 32)
    assert costs(graph, "model.layers").shared == 0


def test_reused_tower_is_shared_with_its_other_path() -> None:
    """Parameters inside a reused module are shared though only the module is listed as tied."""
    found = costs(extract(siamese()[0]), "left")
    assert (found.owned, found.shared) == (0, 344)


def test_bytes_go_by_dtype() -> None:
    """Bytes are split by dtype, in order of its name."""
    model = nn.Sequential(nn.Linear(4, 2, bias=False), nn.Linear(4, 2, bias=False).to(torch.bfloat16))
    assert costs(extract(model)).bytes_by_dtype == (("bfloat16", 16), ("float32", 32))


def test_macs_of_parts_add_up() -> None:
    """MACs of a model are those of its children and of its own functions, per token over positions."""
    graph = extract(*llama())
    whole = costs(graph)
    parts = sum(costs(graph, f"model.layers.{i}").macs for i in range(4)) + costs(graph, "lm_head").macs
    assert whole.macs == parts
    assert whole.macs_per_token == whole.macs / 16


def test_cache_follows_key_and_value_widths() -> None:
    """A position costs keys and values of every layer: two heads of eight for Llama, all for GPT-2."""
    assert kv_cache_bytes_per_token(extract(*llama())) == 4 * 2 * (2 * 8) * 4
    assert kv_cache_bytes_per_token(extract(llama()[0])) == 4 * 2 * (2 * 8) * 4
    assert kv_cache_bytes_per_token(extract(*gpt2())) == 3 * 2 * 32 * 4


def test_models_without_a_known_cache_say_so() -> None:
    """Encoders and convolutions have no cache that is known; a given figure is passed on."""
    assert kv_cache_bytes_per_token(extract(*encoder())) is None
    assert costs(extract(cnn()[0])).kv_bytes_per_token is None
    assert costs(extract(cnn()[0]), kv_bytes_per_token=7).kv_bytes_per_token == 7


def test_activations_are_what_calls_return() -> None:
    """Bytes of the tensors made over the example: here two linear layers and an activation, per tower."""
    found = costs(extract(*siamese()))
    towers = 2 * 3 * (16 + 16 + 8) * 4
    assert found.activation_bytes == towers + 3 * 16 * 4 + 3 * 1 * 4
    assert costs(extract(*siamese()), "left").activation_bytes == towers // 2


def test_figures_are_per_token_or_per_example() -> None:
    """Token ids count tokens, of an encoder-decoder those it writes; images count examples."""
    assert (costs(extract(*llama())).unit, costs(extract(*cnn())).unit) == ("token", "example")
    t5 = extract(*ATLAS["t5"]())
    assert (t5.tokens, t5.unit) == (2 * 5, "token")
    assert costs(extract(*cnn())).macs_per_token == costs(extract(*cnn())).macs / 2


def test_unknown_path_is_refused() -> None:
    """Costs of a path the graph doesn't have raise KeyError."""
    with pytest.raises(KeyError):
        costs(extract(cnn()[0]), "nowhere")
