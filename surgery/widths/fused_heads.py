"""The heads of attention layers that hold queries, keys and values in one matrix."""

from __future__ import annotations

from typing import Any

from torch import nn

from surgery.model import Patient
from surgery.widths.linear import Linear, linears
from surgery.widths.part import Cut, Follow, Part, behind_one_another


def gpt2(module: nn.Module, path: str, patient: Patient) -> Part | None:
    """All queries, all keys, all values; of attention to an encoder the queries apart."""
    apart = Linear.at(path, module, "q_attn")
    found = linears(path, module, ("c_attn", "c_proj"))
    if found is None:
        return None
    together, out = found
    head, times = int(module.__dict__["head_dim"]), 3 if apart is None else 2
    count = out.inputs // head
    cuts: list[Cut] = together.along_outputs(*behind_one_another(count, (head,) * times))
    follows = [together.follow_outputs(times * head), out.follow_inputs(head)]
    if apart is not None:
        cuts += apart.along_outputs((0, head))
        follows.append(apart.follow_outputs(head))
    cuts += out.along_inputs((0, head))
    follows += [Follow(path, "num_heads"), Follow(path, "split_size", head)]
    return Part(path=path, count=count, cuts=tuple(cuts), follows=tuple(follows))


def neox(module: nn.Module, path: str, patient: Patient) -> Part | None:
    """Query, key and value of one head after another."""
    found = linears(path, module, ("query_key_value", "dense"))
    if found is None:
        return None
    together, out = found
    head = int(module.__dict__["head_size"])
    return Part(
        path=path,
        count=out.inputs // head,
        cuts=(*together.along_outputs((0, 3 * head)), *out.along_inputs((0, head))),
        follows=(together.follow_outputs(3 * head), out.follow_inputs(head)),
    )


def falcon(module: nn.Module, path: str, patient: Patient) -> Part | None:
    """One group after another: its queries, its key, its value. With one key for all, these come last."""
    found = linears(path, module, ("query_key_value", "dense"))
    if found is None:
        return None
    together, out = found
    made: Any = module
    head, count, groups = int(made.head_dim), int(made.num_heads), int(made.num_kv_heads)
    shared = made.multi_query and not made.new_decoder_architecture
    units, each = (count, 1) if shared else (groups, count // groups)
    row = head if shared else (each + 2) * head
    follows = [
        together.follow_outputs(row),
        out.follow_inputs(each * head),
        Follow(path, "num_heads", each),
        Follow(path, "split_size", each * head),
    ]
    alibi = bool(getattr(made.config, "alibi", False))
    return Part(
        path=path,
        count=units,
        per_unit=each,
        cuts=(*together.along_outputs((0, row)), *out.along_inputs((0, each * head))),
        follows=(*follows, *(() if shared else (Follow(path, "num_kv_heads"),))),
        refused="has ALiBi positions, whose slopes go by the number of heads of the model" if alibi else "",
    )


def phi3(module: nn.Module, path: str, patient: Patient) -> Part | None:
    """All queries, all keys, all values. It asks the config, which is one for all, where the keys begin."""
    found = linears(path, module, ("qkv_proj", "o_proj"))
    if found is None:
        return None
    together, out = found
    made: Any = module
    head, groups = int(made.head_dim), int(made.num_key_value_heads)
    each = int(made.num_key_value_groups)
    return Part(
        path=path,
        count=groups,
        per_unit=each,
        cuts=(
            *together.along_outputs(*behind_one_another(groups, (each * head, head, head))),
            *out.along_inputs((0, each * head)),
        ),
        follows=(
            together.follow_outputs((each + 2) * head),
            out.follow_inputs(each * head),
            Follow(path, "num_key_value_heads"),
        ),
        config=(("num_attention_heads", each), ("num_key_value_heads", 1)),
        fixed=(("head_dim", head),),
        alike="**:Phi3Attention",
        reads_config=True,
        refused=""
        if made.config is patient.config
        else "reads the number of heads from a config inside the model's, which cannot be edited yet",
    )
