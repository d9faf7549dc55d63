"""A small random decoder and an edited one, made once per test."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from graph.shell import shell
from surgery.evaluate import Examples, token_windows


def decoder(blocks: int = 2, vocabulary: int = 256) -> nn.Module:
    """A random Llama of width 32, its weights enlarged so that its predictions differ by token."""
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=blocks,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(8)
    return model


def scaled_head(model: nn.Module, factor: float) -> nn.Module:
    """A shell of the decoder whose head has all its weights times `factor`."""
    edited = shell(model).model
    edited.lm_head.weight = nn.Parameter(model.lm_head.weight.detach() * factor)
    return edited


def tokens(n: int, window: int = 16, vocabulary: int = 256) -> torch.Tensor:
    """Random token ids (n, window)."""
    return torch.randint(vocabulary, (n, window), generator=torch.Generator().manual_seed(5))


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Models this small run ten times slower where threads wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def model() -> nn.Module:
    """The decoder."""
    return decoder()


@pytest.fixture
def scale() -> Callable[[nn.Module, float], nn.Module]:
    """Makes an edited decoder."""
    return scaled_head


@pytest.fixture
def examples() -> Examples:
    """Forty windows of sixteen random tokens, five batches."""
    return token_windows(tokens(40))


@pytest.fixture
def draw() -> Callable[..., torch.Tensor]:
    """Makes token ids."""
    return tokens
