"""Layouts: what of a module's attributes is worth a look, and shells that go by them."""

from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import nn

from graph import shell
from graph.layouts import PLAIN, TREE, layout_of
from graph.repeats import attributes


class Odd(nn.Module):
    """A layer with attributes of many kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 2)
        self.rate, self.name, self.shape = 0.5, "odd", (2, 2)
        self.notes: list[Any] = []
        self.table = OrderedDict(a=self.inner)


def linear_with_hook() -> nn.Module:
    """A layer that calls a function after its forward."""
    module = nn.Linear(2, 2)
    module.register_forward_hook(lambda module, args, out: out)
    return module


@pytest.mark.parametrize("make", [Odd, linear_with_hook, lambda: nn.BatchNorm1d(3), lambda: nn.LSTM(2, 2)])
def test_every_attribute_is_in_one_part(make: Any) -> None:
    """Plain ones are plain, the tree is among the others, and nothing is left out."""
    module = make()
    layout = layout_of(module)
    assert sorted([*layout.plain, *layout.hollow, *layout.others]) == sorted(module.__dict__)
    assert all(type(module.__dict__[name]) in PLAIN for name in layout.plain)
    assert set(layout.others) >= TREE
    assert layout.filled(module) == [name for name in layout.hollow if module.__dict__[name]]


def test_a_hook_is_seen_in_a_layout_met_before() -> None:
    """What is in a container decides each time, though its class is known."""
    bare, hooked = nn.Linear(2, 2), linear_with_hook()
    assert layout_of(bare) is layout_of(hooked)
    assert layout_of(bare).filled(bare) == []
    assert layout_of(hooked).filled(hooked) == ["_forward_hooks"]


def test_an_attribute_of_another_class_makes_another_layout() -> None:
    """A list in the place of a number is found at once."""
    module = nn.Linear(2, 2)
    assert "in_features" in layout_of(module).plain
    module.__dict__["in_features"] = [2]
    assert "in_features" in layout_of(module).others
    assert dict(attributes(module))["in_features"] == "(2,)"


def test_hollow_containers_of_a_shell_are_its_own() -> None:
    """A hook put on the shell is none of the model's, nor the other way round."""
    for model in (nn.Linear(2, 2), linear_with_hook()):
        before = len(model._forward_hooks)
        made = shell(model).model
        assert list(made.__dict__) == list(model.__dict__)
        made.register_forward_hook(lambda module, args, out: out)
        made.register_forward_pre_hook(lambda module, args: args)
        made.register_buffer("more", torch.zeros(1), persistent=False)
        assert (len(model._forward_hooks), len(model._forward_pre_hooks)) == (before, 0)
        assert not model._non_persistent_buffers_set and not model._buffers


def test_a_container_at_two_places_stays_one() -> None:
    """A list that two modules share is one list in the shell too, empty or not."""
    first, second = Odd(), Odd()
    second.notes = first.notes
    made: Any = shell(nn.Sequential(first, second)).model
    assert made[0].notes is made[1].notes is not first.notes
    assert made[0].table["a"] is made[0].inner
