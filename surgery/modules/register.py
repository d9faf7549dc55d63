"""The register of modules: what `insert`, `replace` and `wrap` can put into a model, by name.

A field holds a name, or a name with arguments as one writes a call: `rmsnorm(eps=1e-6)`. It is read as
data: numbers, flags and text only. An installed package adds modules of its own by the entry-point group
`surgery.modules`: each names a function decorated with `module`.
"""

from __future__ import annotations

import ast
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Literal

import torch
from torch import nn

from graph.paths import nearest
from surgery.errors import SurgeryError
from surgery.lazy import Plain, Recipe, recipe

ENTRY_POINTS = "surgery.modules"
Kind = Literal["layer", "wrapper"]


@dataclass(frozen=True)
class Start:
    """What a parameter starts from: a recipe function without inputs, and its arguments."""

    function: str
    arguments: Mapping[str, Plain] = field(default_factory=dict)


@dataclass(frozen=True)
class Registered:
    """A module by name: what `build` makes, from a width or from the module it wraps and a width.

    `start` says by the name of each new parameter (the last part of its path) what it starts from.
    """

    name: str
    kind: Kind
    build: Callable[..., nn.Module]
    start: Mapping[str, Start]
    needs_width: bool

    @property
    def summary(self) -> str:
        """The first line of the docstring: what it computes, and whether it starts as the identity."""
        return (inspect.getdoc(self.build) or "").partition("\n")[0]

    def arguments(self) -> dict[str, inspect.Parameter]:
        """The arguments that a field may give."""
        found = inspect.signature(self.build).parameters
        return {name: item for name, item in found.items() if item.kind is inspect.Parameter.KEYWORD_ONLY}


@dataclass(frozen=True)
class Fresh:
    """A registered module with its arguments, to be built any number of times."""

    registered: Registered
    arguments: dict[str, Plain]

    def build(self, width: int | None, dtype: torch.dtype, base: nn.Module | None = None) -> nn.Module:
        """The module with its own parameters on meta, of this width and dtype; a wrapper around `base`."""
        given = [*([] if base is None else [base]), *([width] if self.registered.needs_width else [])]
        try:
            with torch.device("meta"):
                made = self.registered.build(*given, **self.arguments)
        except (ValueError, RuntimeError, TypeError) as error:
            raise SurgeryError(f"{self.registered.name} cannot be built: {error}") from None
        known = set() if base is None else set(base.modules())
        for inner in made.modules():
            if inner in known:
                continue
            if inner._buffers:
                raise SurgeryError(f"the registered module {self.registered.name!r} holds buffers")
            for name, parameter in inner._parameters.items():
                if parameter is not None:
                    empty = torch.empty_like(parameter, dtype=dtype, device="meta")
                    inner._parameters[name] = nn.Parameter(empty)
        return made

    def values(self, made: nn.Module, path: str, base: nn.Module | None = None) -> dict[str, Recipe]:
        """What the new parameters of `made`, which will sit at `path`, start from, by their names in it."""
        known = {id(parameter) for parameter in ([] if base is None else base.parameters())}
        found: dict[str, Recipe] = {}
        for name, parameter in made.named_parameters():
            if id(parameter) in known:
                continue
            start = self.registered.start.get(name.rpartition(".")[2])
            if start is None:
                raise SurgeryError(
                    f"the registered module {self.registered.name!r} does not say what {name!r} starts from"
                )
            arguments = dict(start.arguments)
            if start.function == "uniform":
                arguments.setdefault("seed", 0)
                arguments["path"] = f"{path}.{name}"
            shape = tuple(parameter.shape)
            found[name] = recipe(start.function, shape=shape, dtype=parameter.dtype, **arguments)
        return found


_OURS: dict[str, Registered] = {}


def module(
    name: str, *, kind: Kind = "layer", start: Mapping[str, Start] | None = None, width: bool = True
) -> Callable[[Callable[..., nn.Module]], Registered]:
    """Registers a function that builds a module, under `name`.

    It is given, by position, the module to wrap (for a wrapper) and the width (with `width`); what a user
    may say are its keyword-only arguments of type int, float, bool or str. It is called on the meta device:
    it may hold parameters, of which `start` names the values, and no buffers.
    """

    def decorate(build: Callable[..., nn.Module]) -> Registered:
        return Registered(name, kind, build, start or {}, width)

    return decorate


def ours(registered: Registered) -> Registered:
    """Adds one that ships."""
    _OURS[registered.name] = registered
    return registered


@cache
def modules() -> dict[str, Registered]:
    """All registered modules by name, ours first, then those of the entry-point group `surgery.modules`."""
    from surgery.modules import layers, wrappers  # noqa: F401  they register

    found = dict(_OURS)
    for point in entry_points(group=ENTRY_POINTS):
        made = point.load()
        if not isinstance(made, Registered):
            raise SurgeryError(
                f"the entry point {point.value} is no registered module",
                hint="a function decorated with `surgery.modules.module`",
            )
        if made.name in found:
            raise SurgeryError(
                f"the module {made.name!r} of {point.value} has a name that is taken", hint="another name"
            )
        found[made.name] = made
    return found


def named_module(text: str, kind: Kind) -> Fresh:
    """What `rmsnorm` or `rmsnorm(eps=1e-6)` names; SurgeryError for names and arguments that are unknown."""
    name, given = _read(text)
    known = {key: item for key, item in modules().items() if item.kind == kind}
    if name not in known:
        near = nearest(name, list(known), 1)
        raise SurgeryError(
            f"no {'module' if kind == 'layer' else 'wrapper'} is registered as {name!r}",
            expected=f"one of {', '.join(sorted(known))}",
            hint=f"`{near[0]}`" if near else "installing the package that brings it",
        )
    registered, arguments = known[name], dict[str, Plain]()
    wanted = registered.arguments()
    hints = typing.get_type_hints(registered.build)
    for key, value in given.items():
        if key not in wanted:
            near = nearest(key, list(wanted), 1)
            raise SurgeryError(
                f"{name} has no argument {key!r}",
                expected=f"one of {', '.join(wanted)}" if wanted else "none",
                hint=f"`{near[0]}`" if near else None,
            )
        arguments[key] = _typed(name, key, value, hints.get(key, str))
    if missing := [key for key, item in wanted.items() if item.default is item.empty and key not in given]:
        raise SurgeryError(f"{name} needs a value for {missing[0]}", hint=f"`{name}({missing[0]}=…)`")
    return Fresh(registered, arguments)


def _read(text: str) -> tuple[str, dict[str, Any]]:
    """The name and the arguments of a call, as data."""
    wrong = SurgeryError(
        "is no name of a module", path=text[:80], expected="`name` or `name(argument=value)`"
    )
    try:
        node = ast.parse(text.strip(), mode="eval").body
        if isinstance(node, ast.Name):
            return node.id, {}
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.args:
            raise wrong
        if any(item.arg is None for item in node.keywords):
            raise wrong
        return node.func.id, {str(item.arg): ast.literal_eval(item.value) for item in node.keywords}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise wrong from None


def _typed(name: str, key: str, value: Any, kind: Any) -> Plain:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    fits = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    if not fits or kind not in (bool, int, float, str) or value != value:
        raise SurgeryError(
            f"{name}: {key} does not fit", got=repr(value), expected=getattr(kind, "__name__", str(kind))
        )
    plain: Plain = value
    return plain
