"""Folders that PEFT wrote of types other than LoRA, as adapters of this model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from surgery.adapters.adapter import Adapter, root_of
from surgery.adapters.fitting import free, refuse_hidden
from surgery.adapters.peft.adapter import PeftAdapter
from surgery.adapters.peft.asking import never, traits
from surgery.adapters.peft.kinds import tell, why_not
from surgery.adapters.peft.layers import NAME, owned, state, template
from surgery.adapters.peft.names import PREFIX
from surgery.adapters.peft.settings import defaults_of, options_of
from surgery.checkpoint.adapter import OtherAdapter, adapter_at
from surgery.checkpoint.tensors import read_tensor
from surgery.edits import Edit, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.lazy import recipe
from surgery.model import Patient, refuse_reused

_START = "base_model.model."
_SAYS_WHERE = frozenset(("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"))
"""Settings that the names in the file say as well."""


def other_type(source: str) -> OtherAdapter | None:
    """The adapter in a folder if it is of another type than LoRA."""
    found = adapter_at(source)
    return found if isinstance(found, OtherAdapter) else None


def paths_in(adapter: OtherAdapter) -> list[str]:
    """The modules that the file is about, by what PEFT begins the names of a type's parameters with."""
    from peft.mapping import PEFT_TYPE_TO_PREFIX_MAPPING

    begins = PEFT_TYPE_TO_PREFIX_MAPPING.get(adapter.config["peft_type"])
    found: dict[str, None] = {}
    for name in adapter.checkpoint.entries:
        parts = name.removeprefix(_START).split(".")
        at = next((place for place, part in enumerate(parts) if begins and part.startswith(begins)), None)
        if at is None:
            raise SurgeryError("is no part of an adapter of its type", path=name, got=adapter.source)
        found[".".join(parts[:at])] = None
    return list(found)


def spec_in(adapter: OtherAdapter) -> str:
    """The type and its options; SurgeryError for settings that say more than one value for all modules."""
    told, kind = adapter.config, str(adapter.config["peft_type"])
    if (why := never(kind)) is not None:
        raise SurgeryError(f"is of a type that {why}", path=adapter.source, got=kind)
    known, defaults = options_of(kind), defaults_of(kind)
    given: dict[str, Any] = {}
    for name, value in told.items():
        if name in known:
            if value != known[name][1]:
                given[name] = value
        elif name in defaults and name not in _SAYS_WHERE and value and value != defaults[name]:
            raise SurgeryError(f"has a {name}, which is not read", path=adapter.source, got=repr(value)[:80])
    return json.dumps({"type": kind, "options": given}, sort_keys=True)


def adopted(
    patient: Patient, adapter: OtherAdapter, places: Mapping[str, Sequence[str]], called: str
) -> Iterator[Edit]:
    """An adapter at each of the places with the tensors that the file has for the path before it."""
    spec = spec_in(adapter)
    if not any(places.values()):
        raise SurgeryError("the adapter has nothing for these modules", path=next(iter(places), None))
    for theirs, paths in places.items():
        for path in paths:
            yield from _adopted_at(patient, adapter, spec, theirs, path, called)


def _adopted_at(
    patient: Patient, adapter: OtherAdapter, spec: str, theirs: str, path: str, called: str
) -> Iterator[Edit]:
    if not free(patient, [path], called):
        raise SurgeryError(
            "carries an adapter already",
            path=path,
            hint="detach it, or fold it in, first; or another `called`",
        )
    base = patient.module(path)
    if (why := why_not(spec, root_of(base))) is not None:
        raise SurgeryError(why, path=path, got=type(root_of(base)).__name__)
    refuse_hidden(patient, path)
    refuse_reused(patient, path)
    found, kind = traits(spec, root_of(base)), PREFIX + str(adapter.config["peft_type"]).lower()
    if found.seeded or (not found.additive and isinstance(base, Adapter)):
        problem = "draws what is not in the file" if found.seeded else "must be a module's first adapter"
        raise SurgeryError(f"{kind} {problem}", path=path, got=adapter.source)
    tell(kind, found, path)
    made = PeftAdapter(base, kind, spec, found, 0)
    layer = template(spec, made.described, 0)
    entries = {
        name.removeprefix(f"{_START}{theirs}."): entry
        for name, entry in adapter.checkpoint.entries.items()
        if name.startswith(f"{_START}{theirs}.")
    }

    def build(module: nn.Module) -> nn.Module:
        assert module is base, "an adapter goes around the module that it was planned for"
        if called != "default":
            made.__dict__["name"] = called
        return made

    yield SetModule(path, build)
    for item in owned(layer):
        entry = entries.pop(item.stored, None)
        if entry is None or tuple(entry.lazy().shape) != item.shape:
            raise SurgeryError(
                f"does not fit the model: {item.stored}",
                path=path,
                got=None if entry is None else list(entry.lazy().shape),
                expected=list(item.shape),
            )
        lazy = entry.lazy()
        to = str(item.dtype).removeprefix("torch.")
        yield SetTensor(
            f"{path}.{item.name}",
            lazy if lazy.dtype == item.dtype else recipe("cast", lazy, dtype=item.dtype, to=to),
        )
    fixed = {_stored(name): value for name, value in state(layer).items()}
    for name, entry in entries.items():
        lazy = entry.lazy()
        known = fixed.get(name)
        if known is None or not torch.equal(read_tensor(lazy.file, lazy.name).to(known.dtype), known):
            raise SurgeryError(
                "has a tensor beside the parameters that is another one here",
                path=f"{theirs}.{name}",
                got=adapter.source,
            )


def _stored(name: str) -> str:
    return ".".join(part for part in name.split(".") if part != NAME)
