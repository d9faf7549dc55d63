"""A structural shell: new module objects around the same parameter storage.

The opened model is never touched: what is edited, traced or evaluated is a shell of it. A shell
has module objects, containers, buffers, hooks and config of its own; only the storage of its
parameters is the opened model's. Nothing may write into that storage in place.
"""

import copy
import types
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True, slots=True)
class Shell:
    """A shell and the module objects it was made from: `source_of[new] is old`."""

    model: nn.Module
    source_of: dict[nn.Module, nn.Module]


class NotShellable(Exception):
    """A module cannot be copied by structure; `path` and `reason` say which and why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path or '(root)'}: {reason}")
        self.path, self.reason = path, reason


def shell(
    model: nn.Module,
    parameter: Callable[[nn.Parameter], nn.Parameter] | None = None,
    buffer: Callable[[torch.Tensor], torch.Tensor] | None = None,
    *,
    private_config: bool = True,
) -> Shell:
    """A structural copy of `model`.

    `parameter` makes a parameter of the copy from one of the model's; by default a new Parameter
    over the same storage. `buffer` likewise; by default a clone. `private_config` copies configs; a
    block that is copied inside one model shares the model's. Each object is made once, so
    ties and reused modules stay what they are. Raises NotShellable for scripted modules and for
    forwards replaced on the instance by something that is not a method of a module.
    """
    return _Maker(model, parameter or _alias, buffer or torch.Tensor.clone, private_config).shell()


def _alias(old: nn.Parameter) -> nn.Parameter:
    new = nn.Parameter(old.detach(), requires_grad=old.requires_grad)
    new.__dict__.update(old.__dict__)
    return new


class _Maker:
    def __init__(
        self,
        model: nn.Module,
        parameter: Callable[[nn.Parameter], nn.Parameter],
        buffer: Callable[[torch.Tensor], torch.Tensor],
        private_config: bool,
    ) -> None:
        self.model, self.parameter, self.buffer = model, parameter, buffer
        self.private_config = private_config
        self.memo: dict[int, Any] = {}
        self.kept: list[Any] = []
        self.source_of: dict[nn.Module, nn.Module] = {}

    def shell(self) -> Shell:
        paths: dict[nn.Module, str] = {}
        for path, module in self.model.named_modules():
            _refuse_foreign(path, module)
            paths[module] = path
            new = module.__class__.__new__(module.__class__)
            self.memo[id(module)] = new
            self.source_of[new] = module
        for new, old in self.source_of.items():
            for name, value in old.__dict__.items():
                new.__dict__[name] = self.remap(value)
        return Shell(self.memo[id(self.model)], self.source_of)

    def remap(self, value: Any) -> Any:
        """`value` with every module, tensor, bound method and config in it replaced by the shell's own."""
        known = self.memo.get(id(value))
        if known is not None:
            return known
        made = self._made(value)
        if made is not value:
            self.memo[id(value)] = made
            self.kept.append(value)
        return made

    def _made(self, value: Any) -> Any:
        if isinstance(value, nn.Parameter):
            return self.parameter(value)
        if isinstance(value, torch.Tensor):
            return self.buffer(value)
        if isinstance(value, types.MethodType) and isinstance(value.__self__, nn.Module):
            return types.MethodType(value.__func__, self.remap(value.__self__))
        if type(value) in (dict, OrderedDict):
            return type(value)((key, self.remap(item)) for key, item in value.items())
        if type(value) in (list, set):
            return type(value)(self.remap(item) for item in value)
        if type(value) is tuple:
            items = tuple(self.remap(item) for item in value)
            return value if all(a is b for a, b in zip(items, value, strict=True)) else items
        if _is_config(value):
            return copy.deepcopy(value, self.memo) if self.private_config else value
        return value


def _is_config(value: object) -> bool:
    """Whether `value` configures a model and must be private: edits change its fields."""
    return hasattr(value, "to_dict") and (hasattr(value, "model_type") or hasattr(value, "max_new_tokens"))


def _refuse_foreign(path: str, module: nn.Module) -> None:
    if isinstance(module, torch.jit.ScriptModule):
        raise NotShellable(path, "a scripted module cannot be taken apart")
    patched = module.__dict__.get("forward")
    if patched is not None and not (
        isinstance(patched, types.MethodType) and isinstance(patched.__self__, nn.Module)
    ):
        raise NotShellable(path, "its forward was replaced by a closure")
