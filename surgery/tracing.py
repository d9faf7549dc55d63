"""How the states of a session are traced: on which example inputs, on fake tensors or on real ones."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from graph.extract import extract, extract_spent
from graph.nodes import ModuleGraph
from graph.shell import Shell

_SWITCH = "TRANSFORMERS_DISABLE_TORCH_CHECK"


@dataclass(frozen=True, eq=False)
class Tracing:
    """Example inputs, None where there are none, and whether the model runs on its `real` weights."""

    inputs: Any
    real: bool = False

    def __call__(self, model: nn.Module, origins: Mapping[nn.Module, str]) -> ModuleGraph:
        """The graph of `model`."""
        return self._extracted(model, origins, self.real)

    def on_fakes(self, model: nn.Module, origins: Mapping[nn.Module, str]) -> ModuleGraph:
        """The graph of `model` whatever its tensors hold: no way that they would choose is left out."""
        return self._extracted(model, origins, False)

    def of_spent(self, spent: Shell, origins: Mapping[nn.Module, str]) -> ModuleGraph:
        """What `on_fakes` gives, of a shell that is thrown away and has nothing in it afterwards."""
        with values_unchecked():
            return extract_spent(spent, self.inputs, origins=origins)

    def _extracted(self, model: nn.Module, origins: Mapping[nn.Module, str], real: bool) -> ModuleGraph:
        with contextlib.nullcontext() if real else values_unchecked():
            return extract(model, self.inputs, origins=origins, real=real)


@contextlib.contextmanager
def values_unchecked() -> Iterator[None]:
    """Transformers does not compare, say, tokens for images with their features; it reads this each time."""
    before = os.environ.get(_SWITCH)
    os.environ[_SWITCH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SWITCH]
        else:
            os.environ[_SWITCH] = before
