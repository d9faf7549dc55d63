"""Decoders of a given size with random weights, as transformers saves them."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

_WIDTH, _MLP, _HEADS, _VOCABULARY = 1024, 2432, 16, 32_000
BLOCKS_205M = 12


def decoder(folder: Path, seed: int, blocks: int = BLOCKS_205M) -> Path:
    """A Llama in bfloat16: 205 M parameters with 12 blocks, 11.7 M more with each further one."""
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        name: (torch.randn(shape, generator=generator) * 0.02).to(torch.bfloat16)
        if len(shape) > 1
        else torch.ones(shape, dtype=torch.bfloat16)
        for name, shape in shapes(blocks).items()
    }
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config(blocks), indent=1))
    return folder


def shapes(
    blocks: int, width: int = _WIDTH, mlp: int = _MLP, keys: int = _WIDTH, vocabulary: int = _VOCABULARY
) -> dict[str, tuple[int, ...]]:
    """The tensors of a Llama by the names of its files."""
    block: dict[str, tuple[int, ...]] = {
        "self_attn.q_proj": (width, width),
        "self_attn.k_proj": (keys, width),
        "self_attn.v_proj": (keys, width),
        "self_attn.o_proj": (width, width),
        "mlp.gate_proj": (mlp, width),
        "mlp.up_proj": (mlp, width),
        "mlp.down_proj": (width, mlp),
        "input_layernorm": (width,),
        "post_attention_layernorm": (width,),
    }
    found = {"model.embed_tokens.weight": (vocabulary, width)}
    for number in range(blocks):
        found |= {f"model.layers.{number}.{name}.weight": shape for name, shape in block.items()}
    return found | {"model.norm.weight": (width,), "lm_head.weight": (vocabulary, width)}


def config(blocks: int, **values: object) -> dict[str, object]:
    """The config of such a model."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": _WIDTH,
        "intermediate_size": _MLP,
        "num_hidden_layers": blocks,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _HEADS,
        "vocab_size": _VOCABULARY,
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-05,
        "tie_word_embeddings": False,
        "dtype": "bfloat16",
        "bos_token_id": 1,
        "eos_token_id": 2,
    } | values


def sparse_70b(folder: Path, files: int = 30) -> Path:
    """A checkpoint of 70B shape whose files have headers and holes: 141 GB that take no room."""
    folder.mkdir(parents=True)
    wide = shapes(80, 8192, 28672, 1024, 128_256)
    names, weight_map = list(wide), {}
    for number in range(files):
        file = f"model-{number + 1:05}-of-{files:05}.safetensors"
        said, place = {"__metadata__": {"format": "pt"}}, 0
        for name in names[number::files]:
            end = place + 2 * torch.Size(wide[name]).numel()
            said[name] = {"dtype": "BF16", "shape": list(wide[name]), "data_offsets": [place, end]}  # type: ignore[dict-item]
            place, weight_map[name] = end, file
        header = json.dumps(said).encode()
        header += b" " * (-len(header) % 8)
        with (folder / file).open("wb") as made:
            made.write(len(header).to_bytes(8, "little") + header)
            made.truncate(8 + len(header) + place)
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    values = {"hidden_size": 8192, "intermediate_size": 28672, "num_attention_heads": 64}
    settings = config(80, **values, num_key_value_heads=8, vocab_size=128_256, max_position_embeddings=8192)
    (folder / "config.json").write_text(json.dumps(settings))
    return folder
