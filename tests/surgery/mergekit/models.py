"""Tiny Llamas, the same on every machine: written as files by numpy's frozen generator, no transformers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

HIDDEN, INNER, VOCABULARY, BLOCKS = 8, 12, 16, 3
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
SHAPES = {
    "input_layernorm.weight": (HIDDEN,),
    "self_attn.q_proj.weight": (HIDDEN, HIDDEN),
    "self_attn.k_proj.weight": (HIDDEN // 2, HIDDEN),
    "self_attn.v_proj.weight": (HIDDEN // 2, HIDDEN),
    "self_attn.o_proj.weight": (HIDDEN, HIDDEN),
    "post_attention_layernorm.weight": (HIDDEN,),
    "mlp.up_proj.weight": (INNER, HIDDEN),
    "mlp.gate_proj.weight": (INNER, HIDDEN),
    "mlp.down_proj.weight": (HIDDEN, INNER),
}

Tensors = dict[str, torch.Tensor]


def tensors(seed: int, base: Tensors | None = None, *, blocks: int = BLOCKS, tied: bool = False) -> Tensors:
    """Those of a model; near `base`, if there is one."""
    drawn = np.random.RandomState(seed)
    shapes: dict[str, tuple[int, ...]] = {EMBEDDING: (VOCABULARY, HIDDEN)}
    for number in range(blocks):
        shapes |= {f"model.layers.{number}.{name}": shape for name, shape in SHAPES.items()}
    shapes["model.norm.weight"] = (HIDDEN,)
    if not tied:
        shapes[HEAD] = (VOCABULARY, HIDDEN)
    found = {}
    for name, shape in shapes.items():
        values = torch.from_numpy(drawn.standard_normal(shape)).float()
        if base is not None:
            found[name] = base.get(name, base[EMBEDDING]) + 0.05 * values
        else:
            found[name] = 1 + 0.1 * values if "norm" in name else 0.3 * values
    return found


def write(
    folder: Path, values: Tensors, *, tied: bool = False, dtype: torch.dtype = torch.float32
) -> Tensors:
    """A folder that transformers opens."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: tensor.to(dtype).contiguous() for name, tensor in values.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    config = {
        **{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": VOCABULARY},
        **{"hidden_size": HIDDEN, "intermediate_size": INNER, "num_attention_heads": 2},
        **{"num_key_value_heads": 1, "num_hidden_layers": sum("q_proj" in name for name in values)},
        **{"max_position_embeddings": 32, "tie_word_embeddings": tied, "hidden_act": "silu"},
        **{"dtype": str(dtype).removeprefix("torch."), "bos_token_id": 1, "eos_token_id": 2},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return values


HALVES = "halves"
"""A folder in the folder of the models, with some of them in bfloat16."""


def write_all(place: Path) -> None:
    """Every model that the cases name."""
    near = tensors(0)
    for seed, name in ((0, "base"), (1, "one"), (2, "two"), (3, "three")):
        write(place / HALVES / name, tensors(seed, near if seed else None), dtype=torch.bfloat16)
    write(place / HALVES / "far", tensors(4), dtype=torch.bfloat16)
    base = write(place / "base", tensors(0))
    for seed, name in ((1, "one"), (2, "two"), (3, "three")):
        write(place / name, tensors(seed, base))
    write(place / "far", tensors(4))
    write(place / "deep", tensors(5, blocks=5))
    write(place / "single", tensors(6, blocks=1))
    write(place / "single_one", tensors(7, blocks=1))
    tied = write(place / "tied", tensors(8, tied=True), tied=True)
    write(place / "tied_one", tensors(9, tied, tied=True), tied=True)
    write(place / "untied_one", tensors(10, tied))
    half = write(place / "half", tensors(11), dtype=torch.bfloat16)
    write(place / "half_one", tensors(12, half), dtype=torch.bfloat16)
