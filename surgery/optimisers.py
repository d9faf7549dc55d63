"""Optimisers that hold Parameters which an edit has taken out of the model: they train nothing there."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.utils.weak import WeakIdKeyDictionary

from graph.tree import join, walk
from surgery.errors import SurgeryWarning
from surgery.selecting import listed


class Watch:
    """Knows every Parameter that a model ever had, so that it can name those that are no longer in it.

    Torch's hook on the steps of all optimisers is used once a Parameter that could be trained has gone, and
    as long as this object lives. It looks at an optimiser once per state of the model and warns.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._paths = WeakIdKeyDictionary()
        self._looked_at: weakref.WeakKeyDictionary[Optimizer, int] = weakref.WeakKeyDictionary()
        self._state = 0
        self._hooked = False
        self.note()

    def note(self) -> None:
        """To be called after each change of the model."""
        self._state += 1
        present = set()
        for path, parameter in self._parameters():
            present.add(id(parameter))
            self._paths[parameter] = path
        if not self._hooked and any(
            parameter.requires_grad and id(parameter) not in present for parameter in self._paths
        ):
            self._hooked = True
            weakref.finalize(self, _hook(weakref.ref(self)).remove)

    def stale(self, optimiser: Optimizer) -> tuple[str, ...]:
        """The paths that Parameters of the optimiser had in the model when they were last in it."""
        present = {id(parameter) for _, parameter in self._parameters()}
        held = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        return tuple(
            self._paths[parameter]
            for parameter in held
            if id(parameter) not in present and parameter in self._paths
        )

    def _parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Parameters by path, however deep the tree; of several paths the first comes last."""
        for path, module in reversed([*walk(self._model)]):
            for name, parameter in module._parameters.items():
                if parameter is not None:
                    yield join(path, name), parameter

    def before_step(self, optimiser: Optimizer) -> None:
        """A SurgeryWarning if the optimiser holds what is gone; once per state of the model."""
        if self._looked_at.get(optimiser) == self._state:
            return
        self._looked_at[optimiser] = self._state
        if gone := self.stale(optimiser):
            warnings.warn(
                f"this {type(optimiser).__name__} holds parameters that are no longer in the model, "
                f"where it trains nothing: {listed(gone)}. Try: a new one over `s.model.parameters()`.",
                SurgeryWarning,
                stacklevel=4,
            )


def _hook(watch: weakref.ref[Watch]) -> Any:
    def hook(optimiser: Optimizer, *_: object) -> None:
        there = None if torch.compiler.is_compiling() else watch()
        if there is not None:
            there.before_step(optimiser)

    return register_optimizer_step_pre_hook(hook)
