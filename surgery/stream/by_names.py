"""What edits of blocks would write, foreseen by the names and shapes in a checkpoint.

A replay of them needs the model's class, and the library that has it takes seconds to load. Which tensors
come of them, and in which files, can be told without, for the families whose names on disk are those in
memory: any of their blocks can be taken out, moved or tied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from surgery.aliased import every_parent
from surgery.checkpoint.manifest import refuse_source
from surgery.checkpoint.shards import live_tensors
from surgery.checkpoint.tensors import OWN_STEM, PLAIN_STEM, Checkpoint
from surgery.errors import SurgeryError
from surgery.journal import Journal
from surgery.lazy import Lazy
from surgery.operation import Operation
from surgery.runs import Skeleton, carry_out
from surgery.script import Script
from surgery.stream.alike import AS_ON_DISK, alike
from surgery.stream.layout import shards
from surgery.stream.lineage import Lineage
from surgery.stream.named import tree
from surgery.stream.outlook import Outlook, outlook
from surgery.stream.unopened import names_alone, needs_names_only
from surgery.stream.writing import refuse_large

_CLASSES = {
    **{"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "phi3": "Phi3ForCausalLM"},
    **{"qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"},
}
_COUNTS = (
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("num_key_value_heads", "vocab_size"),
)
_TYPES = {"full_attention", "sliding_attention"}
_LLAMA3 = {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}
_OF_BLOCKS = ("remove", "keep", "move", "swap", "duplicate", "tie", "untie")


def foreseen_by_names(
    script: Script, model: str | Path, out: Path | None, limit: int, memory_bytes: int | None
) -> Outlook | None:
    """What a streamed replay would write; None where the model's class must be asked, or an edit is refused.

    SurgeryError for a base or a parent that cannot be read, for too little `memory_bytes` (None is any), and
    for an `out` that is the base's own folder.
    """
    if not all(_needs_no_class(step) for step in script.steps):
        return None
    found = alike(model, [parent.source for parent in every_parent(script.steps)])
    if found is None or [script.base.class_name] != found[2].get("architectures"):
        return None
    folder, checkpoint, config = found
    if not _as_in_memory(checkpoint, config):
        return None
    if out is not None:
        refuse_source(out, folder)
    stored: dict[str, Lazy] = {name: entry.lazy() for name, entry in checkpoint.entries.items()}
    before, root = (tree(stored, AS_ON_DISK[str(config["model_type"])][1]) for _ in range(2))
    lineage, run = Lineage(), Skeleton()
    for module in (before, root):
        lineage.add((parameter, stored[name]) for name, parameter in module.named_parameters())
    try:
        for step in script.steps:
            carry_out(step, root, Journal(), run, signs=False)
    except SurgeryError:
        return None  # in the words that fit the model
    lineage.add((parameter, run.lineage[id(parameter)]) for parameter in run.parameters.values())
    tensors, same = live_tensors(root)
    resolved = {name: lineage.resolved(lazy) for name, lazy in tensors.items()}
    if _asks_for_more(resolved, same):
        return None
    made = shards(OWN_STEM if same else PLAIN_STEM, resolved, limit, same)
    refuse_large(made, memory_bytes)
    return outlook(made, lineage, (before, root))


def _needs_no_class(step: Operation) -> bool:
    """Whether a step can be carried out on modules of which the names are known, and no more."""
    if step.name == "tie" and getattr(step, "own_norms", False):
        return False
    return needs_names_only(step) or (step.name in _OF_BLOCKS and names_alone(step))


def _asks_for_more(tensors: Mapping[str, Lazy], same: Mapping[str, str]) -> bool:
    """Whether the class says how this is saved: several dtypes, and ties that a config can say."""
    ends = (name for pair in same.items() for name in pair)
    return len({lazy.dtype for lazy in tensors.values()}) > 1 or any(
        not name.startswith("model.layers.") for name in ends
    )


def _as_in_memory(checkpoint: Checkpoint, config: dict[str, Any]) -> bool:
    """Whether the model would have the very tensors of the files, in their dtype, and none of them twice."""
    said = config.get("dtype", config.get("torch_dtype"))
    dtypes = {str(entry.dtype).removeprefix("torch.") for entry in checkpoint.entries.values()}
    if dtypes != {said} or config.get("tie_word_embeddings") is not False or checkpoint.same:
        return False
    try:
        expected = dict(_shapes(config)) if _is_ordinary(config) else {}
    except (KeyError, TypeError, AttributeError):  # left to what the class has by default
        return False
    return expected == {name: entry.shape for name, entry in checkpoint.entries.items()}


def _is_ordinary(config: dict[str, Any]) -> bool:
    """Whether a class of transformers takes these settings, as far as they can be wrong."""
    blocks, types = config["num_hidden_layers"], config.get("layer_types")
    return (
        config["architectures"] == [_CLASSES[config["model_type"]]]
        and all(type(config[name]) is int for name in _COUNTS)
        and type(config.get("head_dim")) in (int, type(None))
        and config.get("hidden_act", "silu") == "silu"
        and (types is None or (len(types) == blocks and set(types) <= _TYPES))
        and all(_turns(config.get(name) or {}) for name in ("rope_parameters", "rope_scaling"))
    )


def _turns(rope: dict[str, Any]) -> bool:
    """Whether these are settings of rotary embeddings of a kind that is known, with all it takes."""
    kind = rope.get("rope_type", rope.get("type", "default"))
    numbers = all(isinstance(rope[name], int | float) for name in _LLAMA3 & rope.keys())
    return numbers and (kind == "default" or (kind == "llama3" and rope.keys() >= _LLAMA3))


def _shapes(config: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Each tensor of a model with this config, by name."""
    family, width, inner = config["model_type"], config["hidden_size"], config["intermediate_size"]
    head = config.get("head_dim") or width // config["num_attention_heads"]
    queries, keys = head * config["num_attention_heads"], head * config["num_key_value_heads"]
    sides = {
        **{"q_proj": (queries, width), "k_proj": (keys, width), "v_proj": (keys, width)},
        **{"o_proj": (width, queries), "qkv_proj": (queries + 2 * keys, width)},
        **{"gate_proj": (inner, width), "up_proj": (inner, width), "down_proj": (width, inner)},
        **{"gate_up_proj": (2 * inner, width), "q_norm": (head,), "k_norm": (head,)},
    }
    if config.get("attention_bias") or config.get("mlp_bias"):
        raise KeyError("bias")
    behind, inside = AS_ON_DISK[family]
    yield "model.embed_tokens.weight", (config["vocab_size"], width)
    for number in range(config["num_hidden_layers"]):
        for place in inside:
            module = f"model.layers.{number}.{place}"
            shape = sides.get(place.rpartition(".")[2], (width,))
            yield f"{module}.weight", shape
            if family == "qwen2" and module.endswith(("q_proj", "k_proj", "v_proj")):
                yield f"{module}.bias", shape[:1]
    yield f"model.{behind}.weight", (width,)
    yield "lm_head.weight", (config["vocab_size"], width)
