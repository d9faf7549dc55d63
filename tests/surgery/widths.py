"""The models that prove `narrow`, and where their neurons and heads are: said by hand, not by the engine."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from surgery.journal import Journal
from surgery.model import private_shell
from surgery.operations.narrow import Narrow
from surgery.runs import Live, carry_out
from tests.zoo import ATLAS, ZOO
from tests.zoo.building import built
from tests.zoo.families import DECODERS, ENCODERS, VARIANTS, stirred

_Maker = Callable[[], tuple[nn.Module, Any]]
_HALVES = {"layer_types": ["sliding_attention", "full_attention"], "num_hidden_layers": 2}
_SHORT: dict[str, dict[str, Any]] = {
    "gpt2": {"n_layer": 2},
    "distilbert": {"n_layers": 2},
    **dict.fromkeys(("qwen2", "qwen3", "gemma2", "gemma3_text"), _HALVES),
}


def _short(name: str, **more: Any) -> _Maker:
    """A family's model with two blocks."""
    settings = _SHORT.get(name, {"num_hidden_layers": 2}) | more
    return lambda: (DECODERS | ENCODERS | VARIANTS)[name](**settings)


def _across(name: str) -> _Maker:
    """A decoder that attends to an encoder's states as well."""

    def made() -> tuple[nn.Module, Any]:
        model, inputs = _short(name, add_cross_attention=True)()
        states = torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(0))
        return model, {**inputs, "encoder_hidden_states": states}

    return made


def _stirred(make: _Maker) -> _Maker:
    def made() -> tuple[nn.Module, Any]:
        model, inputs = make()
        return stirred(model), inputs

    return made


def _torch_decoder() -> tuple[nn.Module, Any]:
    layer = nn.TransformerDecoderLayer(16, 2, 32, batch_first=True)
    return stirred(nn.TransformerDecoder(layer, 2)).eval(), (torch.randn(2, 5, 16), torch.randn(2, 7, 16))


def _gated_t5() -> tuple[nn.Module, Any]:
    sizes = {"vocab_size": 64, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
    gated = {"feed_forward_proj": "gated-gelu", "decoder_start_token_id": 0}
    model = built("T5Config", "T5ForConditionalGeneration", **sizes, **gated)
    return stirred(model), ATLAS["t5"]()[1]


MODELS: dict[str, _Maker] = {
    **{name: _short(name) for name in DECODERS | ENCODERS | VARIANTS},
    "falcon-multi-query": _short("falcon", new_decoder_architecture=False, multi_query=True),
    "falcon-old": _short(
        "falcon", new_decoder_architecture=False, multi_query=False, num_kv_heads=4, bias=True
    ),
    "gpt2-across": _across("gpt2"),
    "bert-decoder-across": _across("bert-decoder"),
    "llama-one-key": _short("llama", num_key_value_heads=1),
    "llama-biases": _short("llama", attention_bias=True, mlp_bias=True, num_key_value_heads=4),
    **{name: _stirred(ATLAS[name]) for name in ("t5", "bart", "whisper", "clip")},
    "t5-gated": _gated_t5,
    "torch": _stirred(ZOO["encoder"]),
    "torch-decoder": _torch_decoder,
}


@dataclass(frozen=True)
class Neurons:
    """Where a family's neurons are, by the ends of the paths of what leads in and of what leads out."""

    into: tuple[str, ...]
    out: str


@dataclass(frozen=True)
class Heads:
    """Where a family's heads lead out, how wide one is, how many units there are, how many heads in each."""

    out: str | tuple[str, ...]
    width: int = 8
    units: int = 4
    each: int = 1


_GATED = Neurons(("gate_proj", "up_proj"), "down_proj")
_FC = Neurons(("fc1",), "fc2")
_4H = Neurons(("dense_h_to_4h",), "dense_4h_to_h")
_BERT = Neurons(("intermediate.dense",), "output.dense")
_LINEAR = Neurons(("linear1",), "linear2")
NEURONS: dict[str, Neurons] = {
    **dict.fromkeys(("llama", "llama-one-key", "llama-biases", "qwen2", "qwen3"), _GATED),
    **dict.fromkeys(("gemma2", "gemma3_text", "mistral"), _GATED),
    **dict.fromkeys(("opt", "phi", "vit", "deit", "bart", "whisper", "clip"), _FC),
    **dict.fromkeys(("falcon", "falcon-alibi", "falcon-multi-query", "falcon-old", "gpt_neox"), _4H),
    **dict.fromkeys(("bert", "roberta", "bert-decoder", "roberta-decoder"), _BERT),
    **dict.fromkeys(("torch", "torch-decoder"), _LINEAR),
    "phi3": Neurons(("gate_up_proj",), "down_proj"),
    "gpt2": Neurons(("mlp.c_fc",), "mlp.c_proj"),
    "distilbert": Neurons(("lin1",), "lin2"),
    "t5": Neurons(("wi",), "wo"),
    "t5-gated": Neurons(("wi_0", "wi_1"), "wo"),
}
_GROUPS = Heads("o_proj", units=2, each=2)
HEADS: dict[str, Heads] = {
    **dict.fromkeys(("llama", "qwen2", "gemma2", "gemma3_text", "mistral", "mixtral", "phi3"), _GROUPS),
    **dict.fromkeys(("vit", "deit", "llama-one-key", "llama-biases"), Heads("o_proj")),
    **dict.fromkeys(("opt", "bart", "whisper", "clip"), Heads("out_proj")),
    **dict.fromkeys(("bert", "roberta", "bert-decoder", "roberta-decoder"), Heads("attention.output.dense")),
    "bert-decoder-across": Heads("attention.output.dense"),
    **dict.fromkeys(("falcon-multi-query", "falcon-old"), Heads("self_attention.dense")),
    **dict.fromkeys(("t5", "t5-gated"), Heads("Attention.o")),
    "qwen3": Heads("o_proj", 12, units=2, each=2),
    "phi": Heads("self_attn.dense", units=2, each=2),
    "falcon": Heads("self_attention.dense", units=2, each=2),
    "gpt_neox": Heads("attention.dense"),
    **dict.fromkeys(("gpt2", "gpt2-across"), Heads(("attn.c_proj", "attention.c_proj"))),
    "distilbert": Heads("out_lin"),
}
CASES = [(name, "neurons") for name in NEURONS] + [(name, "heads") for name in HEADS]
# The config of the others takes fewer heads for wider ones, or is that of a plain module.
SAY_HEADS = {"llama", "llama-one-key", "llama-biases", "qwen2", "qwen3", "gemma2", "gemma3_text", "mistral"}
SAY_HEADS |= {"mixtral", "phi3", "vit", "deit", "t5", "t5-gated"}
# Whose blocks must have equally many heads, and what is narrowed alone in its stead, if anything can be.
ALIKE = {"phi3": None, "t5": "encoder", "t5-gated": "encoder"}


def exact(name: str) -> tuple[nn.Module, Any]:
    """The model and its inputs in float64, in which rounding is no excuse; experts compute in none."""
    model, inputs = MODELS[name]()
    if name == "mixtral":
        return model, inputs
    if isinstance(inputs, dict):
        return model.double(), {key: _exact(value) for key, value in inputs.items()}
    return model.double(), tuple(_exact(value) for value in inputs)


def _exact(value: torch.Tensor) -> torch.Tensor:
    return value.double() if value.is_floating_point() else value


def outputs(model: Any, inputs: Any) -> torch.Tensor:
    """The logits."""
    with torch.no_grad():
        out = model(**inputs) if isinstance(inputs, dict) else model(*inputs)
    if hasattr(out, "logits_per_text"):
        return torch.cat([out.text_embeds, out.image_embeds])
    return out.logits if hasattr(out, "logits") else out


def narrowed(model: nn.Module, **fields: Any) -> nn.Module:
    """A shell of the model after the step, without a session around it."""
    made = private_shell(model)
    carry_out(Narrow.from_fields(fields), made, Journal(), Live())
    return made


def leads_out(model: nn.Module, name: str, units: str) -> list[str]:
    """The paths of what the units lead out through, found by name."""
    end = NEURONS[name].out if units == "neurons" else HEADS[name].out
    found = [path for path, _ in model.named_modules() if path.endswith(end)]
    return [path for path in found if units == "heads" or not path.endswith("attention.output.dense")]


def columns(linear: Any) -> torch.Tensor:
    """The weight of a linear layer as outputs × inputs, a view."""
    return linear.weight.data.T if type(linear).__name__ == "Conv1D" else linear.weight.data


def zeroed(model: nn.Module, name: str, units: str, kept: dict[str, list[int]]) -> nn.Module:
    """A copy in which units that are not kept lead nowhere, by the path they lead out through."""
    made = copy.deepcopy(model)
    for path, places in kept.items():
        weight = columns(made.get_submodule(path))
        width = 1 if units == "neurons" else HEADS[name].width * HEADS[name].each
        gone = [unit for unit in range(weight.shape[1] // width) if unit not in places]
        for unit in gone:
            weight[:, unit * width : (unit + 1) * width] = 0
    return made


def some(model: nn.Module, name: str, units: str) -> list[int]:
    """Places to be kept: neither the first units alone nor a run."""
    if units == "heads":
        return [1] if HEADS[name].units == 2 else [0, 3]
    count = columns(model.get_submodule(leads_out(model, name, units)[0])).shape[1]
    return [place for place in range(count) if place % 3]


def holder(path: str) -> str:
    """The path of what holds the units that lead out at `path`, and no others of the kind."""
    outside = path.removesuffix(".output.dense")
    return outside if outside != path else path.rpartition(".")[0]


def alone(model: nn.Module, name: str, units: str) -> tuple[str, list[str]] | None:
    """What to narrow so that not all parts agree, and the paths through which its units lead out."""
    paths = leads_out(model, name, units)
    if units == "heads" and name in ALIKE:
        return (
            None
            if ALIKE[name] is None
            else (ALIKE[name], [path for path in paths if path.startswith("encoder")])
        )
    return holder(paths[-1]), paths[-1:]
