"""Walking a tree: the sites of modules, and modules by their paths."""

import gc
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from graph import extract
from graph.tree import module_at, sites, walk
from tests.zoo import ZOO


def plainly(module: nn.Module, path: str, above: tuple[nn.Module, ...]) -> Iterator[tuple[str, nn.Module]]:
    """The tree as a recursion gives it, without what holds itself."""
    yield path, module
    for name, child in module._modules.items():
        if child is not None and not any(child is other for other in (*above, module)):
            yield from plainly(child, f"{path}.{name}".lstrip("."), (*above, module))


@pytest.mark.parametrize("name", ZOO)
def test_sites_are_those_of_a_plain_recursion(name: str) -> None:
    """Every path of every module, in order, and around each the module that holds it."""
    model, _ = ZOO[name]()
    found = sites(model)
    assert [(path, id(module)) for path, module in walk(model)] == [
        (path, id(module)) for path, module in plainly(model, "", ())
    ]
    at = {path: module for path, module, _, _ in found}
    for path, module, around, parent in found[1:]:
        assert at[around] is parent
        assert parent._modules[path[len(around) :].lstrip(".")] is module


def test_a_module_that_holds_itself_ends() -> None:
    """It is at one path, and what is beside it is there."""
    model = nn.Sequential(nn.Linear(2, 2))
    model.register_module("me", model)
    model.append(nn.ReLU())
    assert [path for path, _ in walk(model)] == ["", "0", "2"]


def test_a_module_by_its_path_is_that_of_torch() -> None:
    """The same module for a path, the same error for what is none."""
    model = nn.Sequential(nn.ModuleDict({"a": nn.Linear(2, 2)}), nn.ReLU())
    model.register_module("none", None)
    for path, module in model.named_modules():
        assert module_at(model, path) is module
    for path in ("2", "0.b", "0.a.weight", "none", "none.x", "0..a", "0.a."):
        with pytest.raises(AttributeError) as theirs:
            model.get_submodule(path)
        with pytest.raises(AttributeError) as ours:
            module_at(model, path)
        assert str(ours.value) == str(theirs.value)


def test_a_trace_leaves_nothing_to_the_garbage_collector() -> None:
    """Its shell, whose wrapped forwards hold it, is gone when the graph is there."""
    model = nn.Sequential(*(nn.Sequential(nn.Linear(2, 2), nn.ReLU()) for _ in range(4)))
    extract(model, torch.randn(1, 2))
    gc.collect()
    before = gc.isenabled()
    gc.disable()
    try:
        alive = sum(issubclass(type(item), nn.Module) for item in gc.get_objects())
        extract(model, torch.randn(1, 2))
        assert sum(issubclass(type(item), nn.Module) for item in gc.get_objects()) == alive
    finally:
        if before:
            gc.enable()
