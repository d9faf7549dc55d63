"""A factory: a function, named `package.module:function`, that makes a module.

Naming one runs its code, so only what a person typed gets here: `surgery.replay` refuses a factory that a
script names unless it is allowed by name.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from graph.paths import nearest
from surgery.errors import SurgeryError
from surgery.sources.module import from_module
from surgery.sources.notes import in_one_line
from surgery.sources.opened import Opened
from surgery.weightless import weightless

SEED = 0
"""Of what a factory draws with torch, so that a script replays on the same random weights."""


def from_factory(name: str, inputs: Any = None, *, skeleton: bool = False) -> Opened:
    """The module that `package.module:function` makes; the working folder is importable meanwhile.

    The function is called without arguments and returns a module, or a module and example inputs, which
    `inputs` overrides; a module that is there already is taken as it is. It draws its random numbers from a
    fixed seed. `skeleton`: it is called with parameters going to meta as they are registered, so it may not
    need their values. Raises SurgeryError for what is not there and for what it raises.
    """
    with _working_folder_importable(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)  # a module may draw while it is imported
        found = _found(name)
        made = found if isinstance(found, nn.Module) else built(name, found, skeleton=skeleton)
    example = None
    if isinstance(made, tuple) and len(made) == 2:
        made, example = made
    if not isinstance(made, nn.Module):
        raise SurgeryError(
            "returned no module",
            path=name,
            got=type(made).__name__,
            expected="a torch.nn.Module, or one and its example inputs",
        )
    return from_module(made, example if inputs is None else inputs, source=name, name=name, skeleton=skeleton)


@contextlib.contextmanager
def _working_folder_importable() -> Iterator[None]:
    """As for `python -m`; the search path is afterwards as it was, but for what the factory changed."""
    place = os.getcwd()
    sys.path.insert(0, place)
    importlib.invalidate_caches()  # a module written a moment ago
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(place)


def _found(name: str) -> Any:
    module_name, _, function = name.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise SurgeryError(
                f"there is no module {error.name!r}",
                path=name,
                hint="the folder above it as working folder, or installing its package",
            ) from None
        raise SurgeryError(f"importing it failed: {in_one_line(error)}", path=name) from error
    except (Exception, SystemExit) as error:
        raise SurgeryError(f"importing it failed: {in_one_line(error)}", path=name) from error
    for part in function.split("."):
        if not hasattr(found, part):
            near = nearest(part, [key for key, value in vars(found).items() if callable(value)])
            raise SurgeryError(
                f"{module_name} has no {function!r}",
                path=name,
                hint=f"`{module_name}:{near[0]}`" if near else None,
            )
        found = getattr(found, part)
    if not callable(found):
        raise SurgeryError(
            "is no function", path=name, got=type(found).__name__, expected="one that makes a module"
        )
    return found


def built(name: str, function: Callable[[], Any], *, skeleton: bool) -> Any:
    """What `function` makes, drawing from a fixed seed, with `skeleton` without values for parameters.

    `name` stands in the SurgeryError for what it raises.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            with weightless() if skeleton else contextlib.nullcontext():
                return function()
    except SurgeryError:
        raise
    except (Exception, SystemExit) as error:
        problem = f"{'without weights ' if skeleton else ''}it raised {in_one_line(error)}"
        hint = "opening it with its weights: without `skeleton`" if skeleton else None
        raise SurgeryError(problem, path=name, hint=hint) from error
