"""The heads of attention: rows of queries, keys and values, columns of what leads out.

Where query heads share keys and values, the unit is such a group; where all share the same, those stay
and the unit is a query head. An attention class is listed once it was proved; of one that is not, nobody
knows what else in it goes by the number of heads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from surgery.model import Patient
from surgery.widths.fused_heads import falcon, gpt2, neox, phi3
from surgery.widths.linear import linears
from surgery.widths.part import Cut, Follow, Part, cut

# By class: its linear layers for queries, keys, values, and out; and whether its config can say how wide a
# head is. Where it cannot, fewer heads would be taken for wider ones.
_Q_PROJ = ("q_proj", "k_proj", "v_proj")
_LLAMA = ((*_Q_PROJ, "o_proj"), True)
_BART = ((*_Q_PROJ, "out_proj"), False)
_BERT = (("self.query", "self.key", "self.value", "output.dense"), False)
_SEPARATE: dict[str, tuple[tuple[str, ...], bool]] = {
    "LlamaAttention": _LLAMA,
    "MistralAttention": _LLAMA,
    "MixtralAttention": _LLAMA,
    "Qwen2Attention": _LLAMA,
    "Qwen3Attention": _LLAMA,
    "Gemma2Attention": _LLAMA,
    "Gemma3Attention": _LLAMA,
    "ViTAttention": _LLAMA,
    "DeiTAttention": _LLAMA,
    "PhiAttention": ((*_Q_PROJ, "dense"), True),
    "OPTAttention": _BART,
    "BartAttention": _BART,
    "WhisperAttention": _BART,
    "CLIPAttention": _BART,
    "BertAttention": _BERT,
    "RobertaAttention": _BERT,
    "DistilBertSelfAttention": (("q_lin", "k_lin", "v_lin", "out_lin"), False),
}
_FUSED: dict[str, Callable[[nn.Module, str, Patient], Part | None]] = {
    "GPT2Attention": gpt2,
    "GPTNeoXAttention": neox,
    "FalconAttention": falcon,
    "FalconFlashAttention2": falcon,
    "Phi3Attention": phi3,
}
# Attributes of a module that holds queries, keys and values: what they are called in the families.
_WIDTH_OF_HEAD = ("head_dim", "attention_head_size")
_QUERY_HEADS = ("num_heads", "num_attention_heads", "n_heads")
_TIME_STAMPS = "has heads that generation_config.alignment_heads names by their places, for time stamps"


def heads(patient: Patient) -> list[Part]:
    """The attention layers of the model; of T5 a stack of them, since they share what they add by head."""
    return _heads(patient, _alone_with_its_keys)


def heads_to_add(patient: Patient) -> list[Part]:
    """The same, of units that can be added.

    Where one group of query heads is left of several that the config has, the unit is that group, and not a
    head in it: the next have keys and values of their own. Of a group that lacks heads the unit is a head,
    and `most` are as many as the group has when it is whole.
    """
    return _heads(patient, _of_one_group)


_IsShared = Callable[[Any, int, int], bool]
"""Whether each of `count` query heads is a unit, beside keys of `groups` heads, by the module's config."""


def _alone_with_its_keys(config: Any, count: int, groups: int) -> bool:
    return groups == 1 < count


def _of_one_group(config: Any, count: int, groups: int) -> bool:
    return groups == 1 and (count < _in_group(config) or config.num_attention_heads > _keys(config) == 1)


def _in_group(config: Any) -> int:
    """How many query heads share keys and values, as the config has it."""
    return int(config.num_attention_heads) // _keys(config)


def _keys(config: Any) -> int:
    return int(getattr(config, "num_key_value_heads", None) or config.num_attention_heads)


def _heads(patient: Patient, is_shared: _IsShared) -> list[Part]:
    parts: list[Part] = []
    for path, module in patient.walk():
        name = type(module).__name__
        if isinstance(module, nn.MultiheadAttention):
            parts.append(_of_torch(module, path))
        if not type(module).__module__.startswith("transformers."):
            continue
        if name == "T5Stack":
            parts += _of_t5(module, path)
        elif name in _FUSED:
            parts += [part for part in (_FUSED[name](module, path, patient),) if part]
        elif name in _SEPARATE:
            parts += _separate(module, path, patient, is_shared, *_SEPARATE[name])
    return parts


def _separate(
    module: nn.Module, path: str, patient: Patient, is_shared: _IsShared, names: tuple[str, ...], said: bool
) -> Iterator[Part]:
    """The part of an attention module with a linear layer for each of queries, keys and values."""
    found = linears(path, module, names)
    inner: Any = module.self if names == _BERT[0] else module
    head = next((inner.__dict__[name] for name in _WIDTH_OF_HEAD if name in inner.__dict__), None)
    if found is None or not head:
        return
    q, k, v, out = found
    count, groups = q.outputs // head, k.outputs // head
    if q.outputs != out.inputs or k.outputs != v.outputs or q.outputs % head or k.outputs % head:
        return
    shared = is_shared(inner.config, count, groups)  # all query heads have these keys and values
    units = count if shared else groups
    each = count // units
    cuts: list[Cut] = q.along_outputs((0, each * head))
    follows = [q.follow_outputs(each * head), out.follow_inputs(each * head)]
    if not shared:
        cuts += k.along_outputs((0, head)) + v.along_outputs((0, head))
        follows += [k.follow_outputs(head), v.follow_outputs(head)]
    cuts += out.along_inputs((0, each * head))
    place = f"{path}.self".lstrip(".") if inner is not module else path
    follows += [Follow(place, name, each) for name in _QUERY_HEADS if name in inner.__dict__]
    follows += [Follow(place, "all_head_size", each * head)] if "all_head_size" in inner.__dict__ else []
    if shared and "num_key_value_groups" in inner.__dict__:
        follows.append(Follow(place, "num_key_value_groups"))
    said = said and inner.config is patient.config and not getattr(module, "qk_layernorm", False)
    stamped = _times_words(path, patient)
    of_keys = (("num_key_value_heads", 1),)
    yield Part(
        path=path,
        count=units,
        per_unit=each,
        cuts=tuple(cuts),
        follows=tuple(follows),
        config=(("num_attention_heads", each), *(() if shared else of_keys)) if said else (),
        fixed=(("head_dim", head), *(of_keys if shared else ())) if said else (),
        most=_in_group(inner.config) if shared and _keys(inner.config) > 1 else None,
        refused=_TIME_STAMPS if stamped else "",
        hint="deleting `alignment_heads` from the generation config before the model is opened"
        if stamped
        else None,
    )


def _times_words(path: str, patient: Patient) -> bool:
    """Whether Whisper reads its time stamps off heads here, which the generation config names by place."""
    settings = getattr(patient.root, "generation_config", None)
    return path.rpartition(".")[2] == "encoder_attn" and bool(getattr(settings, "alignment_heads", None))


def _of_t5(stack: nn.Module, path: str) -> Iterator[Part]:
    """Attention within the stack, of all blocks since they share a bias by head; then that to the other."""
    blocks = f"{path}.block".lstrip(".")
    inner: list[tuple[str, nn.Module]] = []
    across: list[tuple[str, nn.Module]] = []
    for number, block in enumerate(stack.get_submodule("block").children()):
        for index, layer in enumerate(block.get_submodule("layer").children()):
            for name, those in (("SelfAttention", inner), ("EncDecAttention", across)):
                if name in layer._modules:
                    place = f"{blocks}.{number}.layer.{index}.{name}"
                    those.append((place, layer.get_submodule(name)))
    yield from _of_t5_attention(blocks, inner, "")
    for place, module in across:  # of one number: the first makes a bias of zeros for all
        yield from _of_t5_attention(place, [(place, module)], f"{blocks}[*].layer.1.EncDecAttention")


def _of_t5_attention(path: str, those: list[tuple[str, nn.Module]], alike: str) -> Iterator[Part]:
    cuts: list[Cut] = []
    follows: list[Follow] = []
    counts = set()
    for place, module in those:
        found = linears(place, module, ("q", "k", "v", "o"))
        if found is None:
            return
        head = int(module.__dict__["key_value_proj_dim"])
        counts |= {linear.outputs / head for linear in found[:3]} | {found[3].inputs / head}
        for linear in found[:3]:
            cuts += linear.along_outputs((0, head))
            follows.append(linear.follow_outputs(head))
        cuts += found[3].along_inputs((0, head))
        follows += [found[3].follow_inputs(head), Follow(place, "n_heads"), Follow(place, "inner_dim", head)]
        if "relative_attention_bias" in module._modules:
            bias = f"{place}.relative_attention_bias"
            cuts.append(cut(f"{bias}.weight", 1, scored=False))
            follows.append(Follow(bias, "embedding_dim"))
    if len(counts) == 1 and (count := counts.pop()) == int(count):
        config = (("num_heads", 1),)
        yield Part(
            path=path, count=int(count), cuts=tuple(cuts), follows=tuple(follows), config=config, alike=alike
        )


def _of_torch(module: nn.MultiheadAttention, path: str) -> Part:
    return Part(
        path=path,
        count=module.num_heads,
        cuts=(),
        refused="is torch's own attention, which takes the width of a head to be embed_dim / num_heads",
        hint="an attention module with a width of its own for the heads in its place",
    )
