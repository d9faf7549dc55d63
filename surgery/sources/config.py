"""A transformers config: the structure it describes, with or without a class it names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from surgery.errors import SurgeryError
from surgery.sources.module import with_inputs
from surgery.sources.notes import in_one_line, joined
from surgery.sources.opened import Opened

if TYPE_CHECKING:
    from surgery.checkpoint.structure import Structure

_ALONE = "A config holds no weights: this is the structure alone."

# The class that a config alone stands for: the family's language model, else the model without a head.
_KINDS = ("IMAGE_TEXT_TO_TEXT", "SEQ_TO_SEQ_CAUSAL_LM", "SPEECH_SEQ_2_SEQ", "MASKED_LM", "CAUSAL_LM")


def is_config(source: object) -> bool:
    """Whether `source` is a config object of transformers."""
    return (
        hasattr(source, "to_dict")
        and hasattr(source, "model_type")
        and not isinstance(source, nn.Module | type)
    )


def from_config(config: Any, inputs: Any = None) -> Opened:
    """The structure that a config object describes, parameters on meta."""
    kind = type(config).__name__
    return _opened(config.to_dict(), kind, inputs, name=config.model_type or kind, source=None)


def is_config_file(file: Path) -> bool:
    """Whether `file` is meant as a config: by its name, or by what it says."""
    if file.name == "config.json" or file.suffix != ".json":
        return file.name == "config.json"
    try:
        return bool({"architectures", "model_type"} & read_config(file).keys())
    except SurgeryError:
        return False


def from_config_file(file: Path, inputs: Any = None) -> Opened:
    """The structure that a config.json describes, parameters on meta."""
    return _opened(read_config(file), str(file), inputs, name=file.stem, source=str(file.resolve()))


def _opened(data: dict[str, Any], where: str, inputs: Any, *, name: str, source: str | None) -> Opened:
    structure, told = described(data, where)
    model = skeleton_of(structure, where)
    inputs, guessed, about_inputs = with_inputs(model, inputs)
    note = joined(_ALONE, told, about_inputs)
    return Opened(model, name, source, inputs, None, structure, note, guessed)


def described(data: dict[str, Any], where: str) -> tuple[Structure, str | None]:
    """The structure a config describes, and what is to be said of it.

    A config that names no class stands for its family's usual one. Code that it brings is not run: where
    transformers has a class of the name, that is used. Raises SurgeryError if there is none.
    """
    from surgery.checkpoint.structure import structure_of_config

    if "_diffusers_version" in data or "_class_name" in data:
        raise SurgeryError(
            "describes a part of a diffusers pipeline, not a transformers model",
            path=where,
            got=data.get("_class_name"),
            hint="`surgery.open(module, inputs={...})` with the module diffusers makes of it",
        )
    names = data.get("architectures")
    if names and not isinstance(names, list):
        raise SurgeryError("architectures is no list", path=where, got=repr(names))
    if not names:
        name = usual_class(data.get("model_type"), where)
        return structure_of_config(data | {"architectures": [name]}), (
            f"Its config names no class: it was built as {name}, usual for {data['model_type']}."
        )
    if data.get("auto_map") and _is_known(names[0]):
        own = {key: value for key, value in data.items() if key != "auto_map"}
        return structure_of_config(own), (
            f"The code it brings is not run: transformers' own {names[0]} was taken."
        )
    return structure_of_config(data), None


def _is_known(name: object) -> bool:
    import transformers

    found = getattr(transformers, name, None) if isinstance(name, str) else None
    return isinstance(found, type) and issubclass(found, transformers.PreTrainedModel)


def usual_class(model_type: object, where: str) -> str:
    """The model class a family is known by; SurgeryError for a type that transformers does not have."""
    from transformers.models.auto import modeling_auto

    tables = [getattr(modeling_auto, f"MODEL_FOR_{kind}_MAPPING_NAMES") for kind in _KINDS]
    tables.append(modeling_auto.MODEL_MAPPING_NAMES)
    tables += [
        table
        for name, table in sorted(vars(modeling_auto).items())
        if name.startswith("MODEL_FOR_") and name.endswith("_MAPPING_NAMES")
    ]
    for table in tables:
        found = table.get(model_type) if isinstance(model_type, str) else None
        if found:
            return str(found if isinstance(found, str) else found[0])
    if isinstance(model_type, str) and (part := _named_like_its_config(model_type)):
        return part
    raise SurgeryError(
        "names no class, and its model_type stands for none of the installed transformers",
        path=where,
        got=repr(model_type) if model_type else None,
        expected="architectures or model_type",
        hint="a newer transformers, or `surgery.open(module)`",
    )


def _named_like_its_config(model_type: str) -> str | None:
    """The class of a part, such as a text tower, which no table lists: `XTextModel` of `XTextConfig`."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    stem = CONFIG_MAPPING_NAMES.get(model_type, "").removesuffix("Config")
    found = (name for name in (f"{stem}Model", stem, f"{stem}ForCausalLM") if stem and _is_known(name))
    return next(found, None)


def skeleton_of(structure: Structure, where: str) -> nn.Module:
    """The structure with parameters on meta; SurgeryError with the reason if it cannot be built."""
    from surgery.checkpoint.structure import rebuilt

    try:
        return rebuilt(structure, where)
    except SurgeryError:
        raise
    except Exception as error:  # a config may hold anything
        raise SurgeryError(
            f"transformers cannot build {structure['class']} from it: {in_one_line(error)}", path=where
        ) from error


def read_config(file: Path) -> dict[str, Any]:
    """A config.json as data."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise SurgeryError("cannot be read as JSON", path=str(file)) from None
    if not isinstance(data, dict):
        raise SurgeryError("is no config", path=str(file), got=type(data).__name__, expected="an object")
    return data
