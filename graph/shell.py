"""A structural shell: new module objects around the same parameter storage.

The opened model is never touched: what is edited, traced or evaluated is a shell of it. A shell
has module objects, containers, buffers, hooks and config of its own; only the storage of its
parameters is the opened model's. Nothing may write into that storage in place. Objects of other classes
that its modules hold are the opened model's too.
"""

import contextlib
import types
from collections import OrderedDict
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from typing import Any, cast
from weakref import ProxyTypes

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from graph.configs import config_like, is_config
from graph.dispatched import is_dispatched, unwrapped_names
from graph.holders import NotCopied, copied, fill_slots, is_holder, slots_of
from graph.known import Known
from graph.layouts import PLAIN, TREE, Layout, layout_of
from graph.references import is_reference, redirected
from graph.tree import children, has_no_shape, is_lazy, own_tensors, unwrapped, walk

_CONTAINERS = frozenset({list, tuple, set})


@dataclass(frozen=True, slots=True)
class Shell:
    """A shell and the module objects it was made from: `source_of[new] is old`.

    `layouts` are those of its modules as they were made, less those with hooks and the like. `now` is for
    whoever has edited it since to say, and is believed.
    """

    model: nn.Module
    source_of: dict[nn.Module, nn.Module]
    layouts: dict[nn.Module, Layout] = field(default_factory=dict)
    now: Known | None = None


class NotShellable(Exception):
    """A module cannot be copied by structure; `path` and `reason` say which and why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path or '(root)'}: {reason}")
        self.path, self.reason = path, reason


class Sealed(nn.Module):
    """Stands in, where a shell is only looked at, for a module that can't be taken apart.

    It holds tensors and children of the same names; calling it raises NotShellable.
    """

    def __init__(self, path: str, reason: str, original: nn.Module) -> None:
        super().__init__()
        self.path, self.reason = path, reason
        self.original = (original,)  # in a tuple, so that it is no child

    def forward(self, *_: object, **__: object) -> None:
        """Raises NotShellable."""
        raise NotShellable(self.path, self.reason)


def shell(
    model: nn.Module,
    parameter: Callable[[nn.Parameter], nn.Parameter] | None = None,
    buffer: Callable[[torch.Tensor], torch.Tensor] | None = None,
    *,
    private_config: bool = True,
    seal: bool = False,
    spent: Container[nn.Module] = (),
    dispatched: bool = True,
) -> Shell:
    """A structural copy of `model`; compiled wrappers are left out.

    `parameter` makes a parameter of the copy from one of the model's; by default a new Parameter
    over the same storage. `buffer` likewise; by default a clone. `private_config` copies configs; a
    block that is copied inside one model shares the model's. Each object is made once, so
    ties and reused modules stay what they are. Raises NotShellable for scripted modules, for
    forwards replaced on the instance by something that is not a method of a module, for modules whose
    parameters have no shape yet, and for modules that hold what can't be copied. With `seal` the first
    two are replaced by a Sealed, the third is left to `parameter` and `buffer`. Accelerate's wraps of
    forwards are left out then, and where the shell is not to be `dispatched` over devices as the model is.

    Modules that are `spent` become what their copies would be, instead of being copied. They must be of a
    shell that nobody looks at any more.
    """
    maker = Maker(model, parameter or alias, buffer or _clone, private_config, seal, spent)
    maker.dispatched = dispatched and not seal
    return maker.shell()


def lazy_like(old: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Another lazy parameter or buffer of the same dtype."""
    kind: Any = type(old)
    return cast(torch.Tensor, kind(device=device, dtype=old.dtype))


def alias(old: nn.Parameter) -> nn.Parameter:
    """A parameter over the same storage."""
    if is_lazy(old):
        return cast(nn.Parameter, lazy_like(old, old.device))
    return parameter_like(old, old.detach())


def parameter_like(old: nn.Parameter, data: torch.Tensor) -> nn.Parameter:
    """A parameter over `data`; its other attributes are those of `old`."""
    # Torch lets what was made in inference mode require gradients in that mode alone.
    with torch.inference_mode() if data.is_inference() else contextlib.nullcontext():
        new = nn.Parameter(data, requires_grad=old.requires_grad)
    new.__dict__.update(old.__dict__)
    return new


def _clone(old: torch.Tensor) -> torch.Tensor:
    return lazy_like(old, old.device) if is_lazy(old) else old.clone()


class Maker:
    """Makes one shell; see `shell` for what it is given."""

    def __init__(
        self,
        model: nn.Module,
        parameter: Callable[[nn.Parameter], nn.Parameter],
        buffer: Callable[[torch.Tensor], torch.Tensor],
        private_config: bool,
        seal: bool,
        spent: Container[nn.Module],
    ) -> None:
        self.spent = spent
        self.model, self.parameter, self.buffer = unwrapped(model), parameter, buffer
        self.private_config, self.seal = private_config, seal
        self.dispatched = not seal
        self.memo: dict[int, Any] = {}
        self.kept: list[Any] = []
        self.source_of: dict[nn.Module, nn.Module] = {}
        self.layouts: dict[nn.Module, Layout] = {}
        self.slotted: dict[type, bool] = {}

    def shell(self) -> Shell:
        for path, module in self.walk():
            if id(module) not in self.memo:
                self.begin(path, module)
        for module in self.source_of.values():
            for child in module._modules.values() if module._modules else ():
                if child is not None and (inner := unwrapped(child)) is not child:
                    self.memo[id(child)] = self.memo[id(inner)]  # a compiled wrapper is what it wraps
        for new, old in list(self.source_of.items()):
            try:
                self.fill(new, old)
            except Exception as error:
                path = next((path for path, module in walk(self.model) if module is old), "")
                why = f"what it holds cannot be copied ({type(error).__name__}: {error})"
                raise NotShellable(path, why) from error
        return Shell(self.memo[id(self.model)], self.source_of, self.layouts)

    def walk(self) -> Iterable[tuple[str, nn.Module]]:
        """(path, module) of what is to be made."""
        return walk(self.model)

    def begin(self, path: str, module: nn.Module) -> nn.Module:
        """What `module` becomes, to be filled."""
        new = module if module in self.spent else self.blank(path, module)
        self.memo[id(module)] = new
        self.source_of[new] = module
        return new

    def blank(self, path: str, module: nn.Module) -> nn.Module:
        """A new object for `module`, nothing in it yet."""
        reason = foreign(module)
        if reason is None and not self.seal and has_no_shape(module):
            raise NotShellable(path, "its parameters have no shape before it is called for the first time")
        if reason is None:
            try:
                return object.__new__(type(module))  # its class may want arguments
            except TypeError as error:
                reason = f"it cannot be made anew ({error})"
        if self.seal:
            return Sealed(path, reason, module)
        raise NotShellable(path, reason)

    def fill(self, new: nn.Module, old: nn.Module) -> None:
        if isinstance(new, Sealed):
            self.fill_sealed(new, old)
            return
        held = new.__dict__
        layout = layout_of(old)
        filled = layout.filled(old)
        left_out = () if self.dispatched else unwrapped_names(old)
        if new is not old:
            held.update(old.__dict__)
            for name, kind in layout.hollow.items():
                if name not in filled:
                    held[name] = kind()  # nobody else's
        alike = not filled and not left_out
        for name in layout.others + tuple(filled) if filled else layout.others:
            value = held[name]
            if type(value) is dict and not value and name in TREE:
                held[name] = {}
            else:
                made = held[name] = self.remap(value)
                alike = alike and type(made) is type(value)
        for name in left_out:
            del held[name]
        if alike:
            self.layouts[new] = layout
        if type(old) not in self.slotted:
            self.slotted[type(old)] = bool(slots_of(type(old)))
        if self.slotted[type(old)]:
            fill_slots(new, old, self.remap)

    def fill_sealed(self, new: Sealed, old: nn.Module) -> None:
        for name, tensor, kind in own_tensors(old):
            (new._parameters if kind == "parameter" else new._buffers)[name] = self.remap(tensor)
        for name, child in children(old):
            new._modules[name] = self.memo[id(child)]

    def remap(self, value: Any) -> Any:
        """`value` with every module, tensor, bound method and config in it replaced by the shell's own."""
        kind = type(value)
        if kind in PLAIN:
            return value
        known = self.memo.get(id(value))
        if known is not None:
            return known
        if kind is dict or kind is OrderedDict:  # most of what a module has
            memo = self.memo
            made = memo[id(value)] = kind()
            self.kept.append(value)
            for key, item in value.items():
                known = memo.get(id(item))
                made[key] = self.remap(item) if known is None else known
            return made
        made = self._made(value)
        if made is not value:
            self.memo[id(value)] = made
            self.kept.append(value)
        return made

    def note(self, value: Any, made: Any) -> None:
        self.memo[id(value)] = made
        self.kept.append(value)

    def _made(self, value: Any) -> Any:
        if type(value) is nn.Parameter:  # most of what is left; its class is slow to ask
            return self.parameter(value)
        if type(value) in ProxyTypes:  # it may be dead, and then answers to nothing
            return value
        if isinstance(value, torch.Tensor):
            return self.parameter(value) if isinstance(value, nn.Parameter) else self.buffer(value)
        if isinstance(value, RemovableHandle):
            return self.handle(value)
        if isinstance(value, types.MethodType) and isinstance(value.__self__, nn.Module):
            return types.MethodType(value.__func__, self.remap(value.__self__))
        if is_reference(value):
            self.memo[id(value)] = value  # it may lead to itself
            return redirected(value, self.remap)
        if type(value) not in _CONTAINERS and is_config(value):
            return self.config(value) if self.private_config else value
        if not is_holder(value):
            return value
        try:
            return copied(value, self.remap, lambda made: self.note(value, made))
        except NotCopied:
            return value

    def config(self, value: Any) -> Any:
        """A config of the shell's own."""
        return config_like(value, self.memo)

    def handle(self, old: RemovableHandle) -> RemovableHandle:
        """The handle of a hook, removing it from the shell and not from the model."""
        hooks, key, extra = old.__getstate__()
        new: RemovableHandle = RemovableHandle.__new__(RemovableHandle)
        kept = [self.remap(also) for also in extra if also is not None]
        new.__setstate__((None if hooks is None else self.remap(hooks), key, tuple(kept)))
        return new


def foreign(module: nn.Module) -> str | None:
    """Why `module` can't be taken apart; None if it can."""
    if isinstance(module, torch.jit.ScriptModule):
        return "a scripted module cannot be taken apart"
    patched = module.__dict__.get("forward")
    if patched is None or is_dispatched(module):
        return None
    if not (isinstance(patched, types.MethodType) and isinstance(patched.__self__, nn.Module)):
        return "its forward was replaced by a closure"
    return None
