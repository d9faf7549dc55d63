"""What a mergekit file says, with every key known or refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graph.paths import nearest
from surgery.errors import SurgeryError

Parameters = Mapping[str, Any]

_FILE = (
    *("merge_method", "base_model", "models", "slices", "modules", "parameters", "dtype", "out_dtype"),
    *("tokenizer_source", "tokenizer", "chat_template"),
)
DTYPES = ("float32", "bfloat16", "float16", "float64")


@dataclass(frozen=True)
class Source:
    """A model that is merged, the range of its blocks where slices say one, and its own parameters."""

    model: str
    blocks: tuple[int, int] | None
    parameters: Parameters
    where: str


@dataclass(frozen=True)
class Slice:
    """Blocks of the result, one after another: where they come from."""

    sources: tuple[Source, ...]
    base_model: str | None
    parameters: Parameters
    where: str

    @property
    def blocks(self) -> tuple[int, int]:
        """The range of the first source."""
        return self.sources[0].blocks or (0, 0)


@dataclass(frozen=True)
class MergeFile:
    """A mergekit file. Either `models` are merged whole, or there are `slices`.

    `levels`: parameters that hold for the whole result, what comes first counts first.
    """

    method: str
    base_model: str | None
    models: tuple[Source, ...]
    slices: tuple[Slice, ...]
    levels: tuple[Parameters, ...]
    dtype: str | None
    out_dtype: str | None
    tokenizer: str | None
    chat_template: str | None

    def references(self) -> tuple[str, ...]:
        """Every model of the file, the base or else the first one first, each once."""
        listed = [self.base_model] if self.base_model else []
        listed += [source.model for source in self.models]
        for item in self.slices:
            listed += [source.model for source in item.sources]
            listed += [item.base_model] if item.base_model else []
        return tuple(dict.fromkeys(listed))


def merge_file(data: Any) -> MergeFile:
    """The file that plain data is; SurgeryError names the key that is unknown or can't be honoured."""
    known(data, _FILE, "the file", needed=("merge_method",))
    given = [key for key in ("models", "slices", "modules") if data.get(key)]
    if len(given) != 1:
        raise SurgeryError(
            "a merge has one of `models`, `slices` and `modules`", got=" and ".join(given) or "none"
        )
    levels: list[Parameters] = [_parameters(data, "parameters")]
    merged, where = data, ""
    if given == ["modules"]:
        merged, where = _default_module(data["modules"])
        levels.insert(0, _parameters(merged, f"{where}parameters"))
    models, slices = merged.get("models") or [], merged.get("slices") or []
    return MergeFile(
        method=_text(data["merge_method"], "merge_method"),
        base_model=reference(data["base_model"], "base_model") if data.get("base_model") else None,
        models=tuple(
            _source(item, f"{where}models[{index}]", ("model", "parameters"))
            for index, item in enumerate(_list(models, f"{where}models"))
        ),
        slices=tuple(
            _slice(item, f"{where}slices[{index}]")
            for index, item in enumerate(_list(slices, f"{where}slices"))
        ),
        levels=tuple(levels),
        dtype=_dtype(data, "dtype"),
        out_dtype=_dtype(data, "out_dtype"),
        tokenizer=_tokenizer(data),
        chat_template=_text(data["chat_template"], "chat_template") if data.get("chat_template") else None,
    )


def known(data: Any, keys: tuple[str, ...], where: str, *, needed: tuple[str, ...] = ()) -> None:
    """SurgeryError where `data` is no mapping, has a key that is not among `keys`, or lacks one."""
    if not isinstance(data, dict):
        raise SurgeryError("is no mapping", path=where, got=repr(data)[:40], expected=", ".join(keys))
    for key in data:
        if key not in keys:
            near = nearest(str(key), keys, 1)
            raise SurgeryError(
                f"has no key {str(key)!r}",
                path=where,
                expected=f"one of {', '.join(keys)}",
                hint=f"`{near[0]}`" if near else None,
            )
    for key in needed:
        if data.get(key) is None:
            raise SurgeryError(f"lacks `{key}`", path=where)


def reference(value: Any, where: str) -> str:
    """The folder that a model is named by; SurgeryError for what only mergekit can do."""
    if isinstance(value, dict):
        known(value, ("model", "lora", "override_architecture"), where, needed=("model",))
        for key in ("lora", "override_architecture"):
            if value.get(key) is not None:
                raise _cannot(
                    f"{where}.{key}", "an adapter is folded first, by `fold`" if key == "lora" else ""
                )
        inner = value["model"]
        if isinstance(inner, dict):
            known(inner, ("path", "revision"), f"{where}.model", needed=("path",))
            if inner.get("revision") is not None:
                raise _cannot(f"{where}.model.revision", "a folder with that revision")
            inner = inner["path"]
        return _text(inner, where)
    return _text(value, where)


def _slice(data: Any, where: str) -> Slice:
    known(data, ("sources", "base_model", "residual_weight", "parameters"), where, needed=("sources",))
    if data.get("residual_weight") is not None:
        raise _cannot(
            f"{where}.residual_weight", "leaving it out: mergekit reads it and does nothing with it"
        )
    sources = tuple(
        _source(item, f"{where}.sources[{index}]", ("model", "layer_range", "parameters"))
        for index, item in enumerate(_list(data["sources"], f"{where}.sources"))
    )
    if not sources:
        raise SurgeryError("has no source", path=where)
    lengths = [source.blocks[1] - source.blocks[0] for source in sources if source.blocks]
    if len(set(lengths)) > 1:
        raise SurgeryError("the sources of a slice have different numbers of blocks", path=where, got=lengths)
    base = data.get("base_model")
    return Slice(
        sources,
        reference(base, f"{where}.base_model") if base else None,
        _parameters(data, f"{where}.parameters"),
        where,
    )


def _source(data: Any, where: str, keys: tuple[str, ...]) -> Source:
    in_slices = "layer_range" in keys
    known(data, keys, where, needed=("model", "layer_range") if in_slices else ("model",))
    return Source(
        reference(data["model"], f"{where}.model"),
        _range(data["layer_range"], f"{where}.layer_range") if in_slices else None,
        _parameters(data, f"{where}.parameters"),
        where,
    )


def _range(value: Any, where: str) -> tuple[int, int]:
    if (
        not isinstance(value, list)
        or len(value) != 2
        or not all(isinstance(item, int) and not isinstance(item, bool) for item in value)
        or not 0 <= value[0] < value[1]
    ):
        raise SurgeryError(
            "is no range of blocks", path=where, got=value, expected="[first, one past the last]"
        )
    return value[0], value[1]


def _parameters(data: Mapping[str, Any], where: str) -> Parameters:
    found = data.get("parameters") or {}
    if not isinstance(found, dict):
        raise SurgeryError("is no mapping", path=where, got=repr(found)[:40])
    return found


def _default_module(data: Any) -> tuple[Any, str]:
    if not isinstance(data, dict) or list(data) != ["default"]:
        names = ", ".join(map(str, data)) if isinstance(data, dict) else repr(data)[:40]
        raise SurgeryError(
            "a model in several parts is merged one part at a time here",
            path="modules",
            got=names,
            expected="`default`, the only module",
            hint='operations with targets, such as `slerp("model.encoder", …)`',
        )
    where = "modules.default."
    known(data["default"], ("models", "slices", "parameters"), where[:-1])
    given = [key for key in ("models", "slices") if data["default"].get(key)]
    if len(given) != 1:
        raise SurgeryError(
            "has one of `models` and `slices`", path=where[:-1], got=" and ".join(given) or "none"
        )
    return data["default"], where


def _dtype(data: Mapping[str, Any], key: str) -> str | None:
    if not data.get(key):
        return None
    name = _text(data[key], key).removeprefix("torch.")
    if name not in DTYPES:
        raise SurgeryError(
            "is no dtype for weights", path=key, got=name, expected=f"one of {', '.join(DTYPES)}"
        )
    return name


def _tokenizer(data: Mapping[str, Any]) -> str | None:
    """Where the tokenizer is from: `base`, `union` or a model."""
    if data.get("tokenizer_source") and data.get("tokenizer"):
        raise SurgeryError("a merge has one of `tokenizer_source` and `tokenizer`", got="both")
    if data.get("tokenizer_source"):
        return reference(data["tokenizer_source"], "tokenizer_source")
    block = data.get("tokenizer")
    if block is None:
        return None
    known(block, ("source", "tokens", "pad_to_multiple_of"), "tokenizer")
    for key in ("tokens", "pad_to_multiple_of"):
        if block.get(key):
            raise _cannot(
                f"tokenizer.{key}", "leaving it out, or a merge of models whose vocabularies are equal"
            )
    return reference(block.get("source") or "union", "tokenizer.source")


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise SurgeryError("is no list", path=where, got=repr(value)[:40])
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise SurgeryError("is no text", path=where, got=repr(value)[:40])
    return value


def _cannot(where: str, hint: str) -> SurgeryError:
    return SurgeryError("this key of mergekit can't be honoured here", path=where, hint=hint or None)
