"""A model of alike blocks, and the ways on which its forward may come to what lies in one of them."""

import copy
from collections.abc import Callable
from typing import Any
from weakref import ref

import torch
from torch import Tensor, nn


class Settings:
    """A config, as transformers has them."""

    model_type = "small"

    def __init__(self) -> None:
        self.turned = False
        self.aside: Any = None

    def to_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}


class Inner(nn.Module):
    """Two linear layers, in the order that the config says."""

    def __init__(self, config: Settings) -> None:
        super().__init__()
        self.config = config
        self.up, self.down = nn.Linear(4, 4), nn.Linear(4, 4)
        self.register_buffer("scale", torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        """Up and down, or down and up."""
        if self.config.turned:
            return self.up(self.down(x)) * self.scale
        return self.down(self.up(x)) * self.scale


class Block(nn.Module):
    """A residual block around an inner module."""

    def __init__(self, config: Settings) -> None:
        super().__init__()
        self.inner, self.act = Inner(config), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """The inner module's output is added to x."""
        return x + self.act(self.inner(x))

    def inside(self, x: Tensor) -> Tensor:
        """What a bound method leads to."""
        return self.inner.down(x)


class Model(nn.Module):
    """Eight blocks; `way` says what else the forward does, `build` what else the model holds."""

    def __init__(self, way: Callable[[Any, Tensor], Tensor], build: Callable[[Any], None]) -> None:
        super().__init__()
        self.config = Settings()
        self.layers = nn.ModuleList(Block(self.config) for _ in range(8))
        self.way = way
        build(self)

    def forward(self, x: Tensor) -> Tensor:
        """The way."""
        return self.way(self, x)


def nothing(model: Any) -> None:
    """No more than the blocks."""


def in_turn(model: Any, x: Tensor) -> Tensor:
    """Each block once."""
    for layer in model.layers:
        x = layer(x)
    return x


def a_weight_of_a_later_block(model: Any, x: Tensor) -> Tensor:
    """The weight of a layer in a block that is never run, and the first of all its parameters."""
    x = in_turn(model, x) @ model.layers[6].inner.up.weight
    return x * next(model.layers[5].parameters())


def a_grandchild(model: Any, x: Tensor) -> Tensor:
    """A module inside a block is called without the block, and the block after it."""
    return in_turn(model, model.layers[6].inner(model.layers[4].inner.up(x)))


def by_names(model: Any, x: Tensor) -> Tensor:
    """What names, children, lengths and states say."""
    last = model.layers[7]
    assert [name for name, _ in last.named_modules()] == ["", "inner", "inner.up", "inner.down", "act"]
    assert [len(layer._modules) for layer in model.layers] == [2] * 8
    assert "inner" in model.layers[6]._modules and not hasattr(model.layers[6], "outer")
    assert dict(model.layers[5]._modules).keys() == {"inner", "act"} == {**model.layers[4]._modules}.keys()
    assert len(list(model.layers[3].children())) == 2 and "inner" in dir(model.layers[2])
    assert len(model.state_dict()) == 8 * 5
    assert not any(module.training for module in model.modules())
    return in_turn(model, x)


def another_child(model: Any, x: Tensor) -> Tensor:
    """A later block gets another module, one loses one, one has two exchanged deep inside."""
    model.layers[4].act = nn.Identity()
    model.layers[5].inner.up = model.layers[5].inner.down
    del model.layers[6].act
    model.layers[6].act = torch.tanh
    model.layers[7]._modules.pop("act")
    model.layers[7].__dict__["act"] = torch.sigmoid
    return in_turn(model, x)


def another_flag(model: Any, x: Tensor) -> Tensor:
    """The shared config changes on the way: the blocks after it go another way."""
    for index, layer in enumerate(model.layers):
        model.config.turned = index > 4
        x = layer(x)
    return x


def another_buffer(model: Any, x: Tensor) -> Tensor:
    """A buffer of a later block becomes what was computed."""
    model.layers[6].inner.scale = x.sum(0)
    return in_turn(model, x)


def in_odd_modes(model: Any, x: Tensor) -> Tensor:
    """Insides are first asked for under inference, a default device, gradients, and inside a `vmap`."""
    with torch.inference_mode():
        x = x @ model.layers[7].inner.up.weight.t()
    with torch.enable_grad(), torch.device("meta"):
        weight = model.layers[6].inner.up.weight
    x = torch.vmap(lambda row: row * model.layers[5].inner.up.bias)(x) @ weight
    x = torch.func.grad(lambda y: (y @ model.layers[4].inner.up.weight).sum())(x)
    with torch.autocast("cpu", torch.bfloat16):
        return in_turn(model, x)


def copied_on_the_way(model: Any, x: Tensor) -> Tensor:
    """A later block is run as a copy, which the trace does not know."""
    return copy.copy(model.layers[6])(in_turn(model, x))


def failing_inside(model: Any, x: Tensor) -> Tensor:
    """A later block is given a shape that its layer refuses."""
    return model.layers[6].inner(in_turn(model, x)[:, :3])


def opaque_around(model: Any, x: Tensor) -> Tensor:
    """The blocks are run, and one that goes by a value stands for all that is in it."""
    return model.choosing(in_turn(model, x))


class Choosing(nn.Module):
    """Blocks of its own that are never run, for it asks for a value before."""

    def __init__(self) -> None:
        super().__init__()
        config = Settings()
        self.blocks = nn.ModuleList(Block(config) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """The first block or the last."""
        return self.blocks[0](x) if x.sum() > 0 else self.blocks[3](x)


def through(name: str) -> Callable[[Any, Tensor], Tensor]:
    """A way that calls what the attribute leads to."""

    def way(model: Any, x: Tensor) -> Tensor:
        led = getattr(model, name)
        led = led() if isinstance(led, ref) else led
        return led(in_turn(model, x))

    return way


def hooked(model: Any) -> None:
    """A hook of the first block calls a layer of the seventh."""
    other = model.layers[6].inner

    def hook(module: nn.Module, args: Any, out: Tensor) -> Tensor:
        return other.up(out)

    model.layers[0].register_forward_hook(hook)


def hooked_inside(model: Any) -> None:
    """One block has a hook deep inside, which its likes don't have."""
    model.layers[5].inner.up.register_forward_hook(lambda module, args, out: out.tanh())


def holding(name: str, lead: Callable[[Any], Any]) -> Callable[[Any], None]:
    """A build that sets an attribute past the module tree."""
    return lambda model: object.__setattr__(model, name, lead(model))


def tied_across(model: Any) -> None:
    """Weights of several blocks are one, and one is the last layer's too."""
    for index in (2, 4, 6):
        model.layers[index].inner.up.weight = model.layers[0].inner.up.weight
    model.head = nn.Linear(4, 4, bias=False)
    model.head.weight = model.layers[7].inner.down.weight


def tied_inside(model: Any) -> None:
    """One block ties its two layers."""
    model.layers[5].inner.up.weight = model.layers[5].inner.down.weight


def reused(model: Any) -> None:
    """What lies in one block lies at a second path too."""
    model.also = model.layers[6].inner
    model.layers[5].inner = model.layers[4].inner


def in_the_config(model: Any) -> None:
    """The config leads into a block."""
    model.config.aside = [model.layers[6].inner.up]


def with_lists(model: Any) -> None:
    """All blocks share a list, and go by its length."""
    shared: list[int] = []

    def forward(self: Any, x: Tensor) -> Tensor:
        self.seen.append(1)
        return self.up(x) if len(self.seen) < 5 else self.down(x)

    kind = type("Listing", (Inner,), {"forward": forward})
    for layer in model.layers:
        inner = kind(model.config)
        inner.seen = shared
        layer.inner = inner


def patched(model: Any) -> None:
    """One block's inner forward is a method of another one."""
    model.layers[6].inner.forward = model.layers[2].inner.forward


def closure_over(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """A function that calls `module`."""
    return lambda x: module(x)


WAYS: dict[str, tuple[Callable[[Any, Tensor], Tensor], Callable[[Any], None]]] = {
    "in turn": (in_turn, nothing),
    "a weight": (a_weight_of_a_later_block, nothing),
    "a grandchild": (a_grandchild, nothing),
    "names": (by_names, nothing),
    "another child": (another_child, nothing),
    "another flag": (another_flag, nothing),
    "another buffer": (another_buffer, nothing),
    "odd modes": (in_odd_modes, nothing),
    "a copy": (copied_on_the_way, nothing),
    "a failure": (failing_inside, nothing),
    "a choice": (opaque_around, lambda model: setattr(model, "choosing", Choosing())),
    "a list": (
        lambda model, x: model.led[1](model.led[0](in_turn(model, x))),
        holding("led", lambda model: [model.layers[6].inner, model.layers[3]]),
    ),
    "a hook": (in_turn, hooked),
    "a hook inside": (in_turn, hooked_inside),
    "ties across": (lambda model, x: model.head(in_turn(model, x)), tied_across),
    "a tie inside": (in_turn, tied_inside),
    "a second path": (lambda model, x: model.also(in_turn(model, x)), reused),
    "a config": (lambda model, x: model.config.aside[0](in_turn(model, x)), in_the_config),
    "a shared list": (in_turn, with_lists),
    "a forward of another": (in_turn, patched),
    "a method": (through("led"), holding("led", lambda model: model.layers[6].inside)),
    "an attribute": (through("led"), holding("led", lambda model: model.layers[6].inner.up)),
    "a weak reference": (through("led"), holding("led", lambda model: ref(model.layers[6].inner))),
    "a closure": (through("led"), holding("led", lambda model: closure_over(model.layers[6].inner))),
}
