"""A parent that may be wider or narrower than this model: its shapes, and the parent as a model that runs."""

from __future__ import annotations

import json
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from surgery.alignment.carrying import Carrying
from surgery.alignment.counterpart import Counterpart, Shape
from surgery.alignment.units import Units
from surgery.checkpoint.adapter import parent_at
from surgery.checkpoint.manifest import is_saved, read_manifest
from surgery.checkpoint.parents import running_statistics, that_fit
from surgery.checkpoint.structure import Structure, from_config, rebuilt
from surgery.errors import SurgeryError
from surgery.merging import Merging
from surgery.merging.whole import parent_model
from surgery.model import Patient


def shapes_of(patient: Patient, step: Merging, groups: list[Units]) -> dict[str, Shape]:
    """The shapes of the parent's tensors that are merged, by path: they may differ where groups lie.

    SurgeryError as in a merge where they differ elsewhere.
    """
    put = Carrying(Counterpart.alike(patient, groups), {}, sizes=True)
    found = {path: other.shape for paths, _, (other,) in step.pairs(patient, put) for path in paths}
    held = (
        running_statistics(patient, step.targets.paths) if step.statistics in ("average", "parents") else ()
    )
    checkpoint = that_fit(patient, step.parents, step.targets)[0]
    for path in held:
        own = patient.buffer(path)
        assert own is not None
        places = patient.buffer_sites()[id(own.parameter)]
        found[path] = checkpoint.tensor(places, own, free=put.free(places)).shape
    return found


def refuse_other_heads(patient: Patient, step: Merging, groups: list[Units]) -> None:
    """SurgeryError if a config beside the parent says heads of other widths, which shapes do not tell."""
    first = next((group.path for group in groups if group.kind == "heads"), None)
    config = _config(patient, step)
    if first is None or config is None:
        return
    mine, theirs = _head_widths(patient.root.config), _head_widths(config)
    for name, own in mine.items():
        if theirs.get(name, own) != own:
            raise SurgeryError(
                "heads of another width cannot be carried: positions pair the entries of a head",
                path=first,
                got=f"{theirs[name]} entries a head in {step.parents[0].source}",
                expected=own,
                hint='a parent with heads like these, or `only="!attn"`',
            )


def wide_parent(patient: Patient, step: Merging, groups: list[Units]) -> nn.Module:
    """The parent with its own widths: of its config where there is one, else this model made wider.

    SurgeryError as in a merge of whole models.
    """
    made = _made(patient, step)
    put = Carrying(Counterpart.alike(patient, groups), {}, sizes=True)
    parent = parent_model(patient, step, put, made)
    for module in parent.modules() if made is None else ():
        _as_wide(module)
    return parent.eval()


def _made(patient: Patient, step: Merging) -> nn.Module | None:
    """The parent without its values, where config or script say how it is made."""
    config, structure = _config(patient, step), _structure(step)
    if config is None:
        return None
    try:
        if structure is not None and structure["class"] == type(patient.root).__name__:
            return rebuilt(structure, step.parents[0].source)
        return from_config(type(patient.root).__name__, config.to_dict())
    except SurgeryError:  # a class of somebody's own
        return None


def _structure(step: Merging) -> Structure | None:
    """How a parent is made that needs `surgery.load`: what its config.json says is no config."""
    folder = parent_at(step.parents[0].source).folder
    manifest = read_manifest(folder) if is_saved(folder) else {}
    found: Structure | None = manifest.get("structure")
    return None if manifest.get("loads_with") == "transformers" else found


def _config(patient: Patient, step: Merging) -> Any:
    """The parent's config, as this model's class reads it; None where there is none."""
    cls: Any = type(getattr(patient.root, "config", None))
    if patient.model_type is None:
        return None
    if (structure := _structure(step)) is not None:  # its steps leave heads as wide as its config says
        return None if structure["config"] is None else cls.from_dict(structure["config"])
    try:
        text = (parent_at(step.parents[0].source).folder / "config.json").read_text(encoding="utf-8")
        return cls.from_dict(json.loads(text))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def _head_widths(config: Any, name: str = "") -> dict[str, int]:
    """By the name of a config inside this one, or "" for itself, how many entries a head has."""
    found = {}
    said = getattr(config, "head_dim", None) or getattr(config, "d_kv", None)
    wide, count = (getattr(config, each, None) for each in ("hidden_size", "num_attention_heads"))
    if isinstance(said, int):
        found[name] = said
    elif isinstance(wide, int) and isinstance(count, int) and count:
        found[name] = wide // count
    for inner in getattr(config, "sub_configs", None) or ():
        if (value := getattr(config, inner, None)) is not None:
            found |= _head_widths(value, f"{name}.{inner}".lstrip("."))
    return found


def _as_wide(module: Any) -> None:
    """The attributes of torch's own layers follow their tensors."""
    weight = getattr(module, "weight", None)
    if isinstance(module, nn.MultiheadAttention):
        head, rows = module.head_dim, module.out_proj.weight.shape[1]
        module.embed_dim, module.num_heads = rows, rows // head
    elif weight is None:
        return
    elif isinstance(module, _ConvNd):
        ins, outs = (0, 1) if isinstance(module, _ConvTransposeNd) else (1, 0)
        if module.groups > 1:
            module.groups = module.groups * weight.shape[0] // _rows(module)
        module.in_channels, module.out_channels = weight.shape[ins], weight.shape[outs]
        if module.groups > 1:
            grouped = "out_channels" if ins == 0 else "in_channels"
            setattr(module, grouped, getattr(module, grouped) * module.groups)
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = weight.shape
    elif isinstance(module, _NormBase):
        module.num_features = len(weight)
    elif isinstance(module, nn.GroupNorm):
        module.num_groups = module.num_groups * len(weight) // module.num_channels
        module.num_channels = len(weight)
    elif isinstance(module, nn.LayerNorm | nn.RMSNorm):
        module.normalized_shape = tuple(weight.shape)


def _rows(module: Any) -> int:
    """How many rows a convolution's weight had."""
    return int(module.in_channels if isinstance(module, _ConvTransposeNd) else module.out_channels)
