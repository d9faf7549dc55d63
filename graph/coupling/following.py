"""One forward on fakes, followed operator by operator: what it computes with, and where labels go."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from graph.coupling.labels import Joined
from graph.coupling.rules import REORDERED, RESHAPED, SPLIT, Dims, Labelled, Rule, rule_of
from graph.tracing.deep import with_room
from graph.tracing.fakes import fake_mode, fake_shell, given_fake, tensors_in
from graph.tracing.outcomes import shortly
from graph.tracing.shared import uncollected
from graph.tracing.trace import Inputs, arguments, as_before, uncompiled
from graph.tracing.watch import in_bfloat16
from graph.tree import join, own_tensors, walk

_GROUPED = getattr(torch.ops.aten, "_grouped_mm", None)
"""Its fake kernel knows bfloat16 alone, though the real one takes float32 too."""
Numbers = tuple[str, tuple[float, ...]]
"""An elementwise operator, and the plain numbers it was given."""


class NotCoupled(Exception):
    """The forward can't be followed on shapes alone, and so nothing is known of what hangs together."""


W = TypeVar("W", bound="Counted")


def followed(model: nn.Module, inputs: Inputs, kind: Callable[[nn.Module, FakeTensorMode], W]) -> W:
    """A watch of this kind that has seen a forward on fakes of `inputs`.

    Raises NotCoupled for a forward that asks for values, or that raises.
    """

    def run() -> W:
        with as_before(), uncompiled(), torch.inference_mode(False), torch.no_grad():
            mode = fake_mode()
            try:
                copied = fake_shell(model, mode).model
                args, kwargs = arguments(copied, given_fake(inputs, mode))
                watch = kind(copied, mode)
                with mode, watch:
                    result = copied(*args, **kwargs)
                watch.returned(result)
            except Exception as error:
                raise NotCoupled(f"{type(error).__name__}: {error}") from error
        return watch

    levels = max(path.count(".") for path, _ in walk(model)) + 1
    with uncollected.at_least(True):
        return with_room(levels, run)


class Counted(TorchDispatchMode):
    """Notes the plain numbers that one forward computes with."""

    def __init__(self, model: nn.Module, mode: FakeTensorMode) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.mode = mode
        self.numbers: list[Numbers] = []

    def returned(self, result: Any) -> None:
        """What the forward returned, after its last operator."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nobody compiles what is only followed, and the guard takes longer than the operator

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func.overloadpacket is _GROUPED:
            out = in_bfloat16(func)(*args, **kwargs)
        else:
            out, _ = shortly(func, self.mode, args, kwargs)
        if torch.Tag.pointwise in func.tags:
            plain = (*args, *kwargs.values())
            self.numbers.append((str(func), tuple(each for each in plain if type(each) in (int, float))))
        return out


class Flow(Counted):
    """Carries labels through the operators of one forward."""

    def __init__(self, model: nn.Module, mode: FakeTensorMode) -> None:
        super().__init__(model, mode)
        self.joined = Joined()
        self.known: dict[int, tuple[torch.Tensor, Labelled]] = {}  # tensors are held: no id is used twice
        self.stored: list[tuple[str, torch.Tensor, Labelled]] = []
        self.read: set[int] = set()
        for path, module in walk(model):
            for name, tensor, _ in own_tensors(module):
                if id(tensor) not in self.known:
                    self.stored.append((join(path, name), tensor, self.note(tensor, self._fresh(tensor))))

    def returned(self, result: Any) -> None:
        """What comes out stays."""
        for tensor in tensors_in(result):
            self.joined.fix(*self.labelled(tensor).dims)

    def rule_of(self, func: Any) -> Rule | None:
        """The rule of an operator, None if there is none."""
        return rule_of(func)

    def _fresh(self, tensor: torch.Tensor) -> Dims:
        return [self.joined.new(size) if size > 1 else None for size in tensor.shape]

    def note(self, tensor: torch.Tensor, dims: Dims) -> Labelled:
        """From now on the tensor has these labels."""
        made = Labelled(tuple(tensor.shape), dims)
        self.known[id(tensor)] = (tensor, made)
        return made

    def labelled(self, tensor: torch.Tensor) -> Labelled:
        """The tensor's labels; none for one that nobody has seen."""
        known = self.known.get(id(tensor))
        if known is None:
            return Labelled(tuple(tensor.shape), [None] * tensor.dim())
        self.read.add(id(tensor))
        return known[1]

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        out = super().__torch_dispatch__(func, types, args, kwargs)
        given = {id(tensor) for tensor in tensors_in((args, kwargs))}
        made = tensors_in(out)
        everywhere = self._carried(func, args, kwargs, made)
        for tensor, dims in zip(made, everywhere, strict=True):
            if id(tensor) not in given:  # what was written in place keeps its labels
                self.note(tensor, dims)
        return out

    def _carried(self, func: Any, args: Any, kwargs: Any, made: list[torch.Tensor]) -> list[Dims]:
        """The labels of each tensor that came out."""
        none: list[Dims] = [[None] * tensor.dim() for tensor in made]
        seen: list[Labelled] = []

        def stand_in(value: Any) -> Any:
            if isinstance(value, torch.Tensor):
                seen.append(self.labelled(value))
                return seen[-1]
            return [stand_in(item) for item in value] if isinstance(value, list | tuple) else value

        args = [stand_in(value) for value in args]
        kwargs = {name: stand_in(value) for name, value in kwargs.items()}
        asked = func.namespace == "prim"  # for a device, say, and for no value
        if asked or not any(labels is not None for item in seen for labels in item.dims):
            return none
        name = func._schema.name.removeprefix("aten::")
        rule = self.rule_of(func)
        with contextlib.suppress(TypeError, IndexError, ValueError):  # called as the rule doesn't know
            if name in RESHAPED:
                found = [RESHAPED[name](self.joined, args[0], tuple(made[0].shape))]
            elif name in SPLIT:
                found = SPLIT[name](self.joined, *args, **kwargs)
            elif rule is not None:
                found = [rule(self.joined, *args, **kwargs), *none[1:]]
            else:
                found = []
            if _fits(found, made):
                return found
        self._fix(seen)
        return none

    def _fix(self, seen: list[Labelled]) -> None:
        for item in seen:
            self.joined.fix(*item.dims)


class Reordered(Flow):
    """The same where units stay and only change places: fewer operators mind that."""

    def rule_of(self, func: Any) -> Rule | None:
        return REORDERED.get(func._schema.name.removeprefix("aten::")) or rule_of(func)


def _fits(found: list[Dims], made: list[torch.Tensor]) -> bool:
    """Whether there is a label, or none, for each entry of what came out."""
    return len(found) == len(made) and all(
        len(dims) == tensor.dim()
        and all(
            labels is None or len(labels) == size for labels, size in zip(dims, tensor.shape, strict=True)
        )
        for dims, tensor in zip(found, made, strict=True)
    )
