"""What layers are given once those before them were edited: block after block, as pruning papers do it.

The forwards of all batches run side by side, each in a thread of its own as its model wrote it, and wait
before every block. The block runs on all of them, its inputs are summed up, its layers are edited, and then
it runs again, for what follows. So each batch runs once, whatever lies between blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from graph.paths import is_among
from surgery.calibration.batches import Shown, run, shown
from surgery.calibration.collecting import collect
from surgery.calibration.layers import Layer
from surgery.calibration.observing import Inputs, Observer
from surgery.calibration.telling import told
from surgery.devices import device_of
from surgery.evaluate.bench import random_state_kept
from surgery.evaluate.blocks import block_paths
from surgery.evaluate.stepped import Stepped, stepped_here
from surgery.model import Patient, private_shell

Edited = Callable[[Layer, Inputs, Tensor], Tensor]
"""The new weight of a layer, of its inputs and the weight it has."""


def in_turn(
    patient: Patient,
    layers: Sequence[Layer],
    data: Sequence[Any],
    edited: Edited,
    *,
    samples: int,
    seed: int = 0,
    grams: bool,
    verb: str,
) -> dict[str, Inputs]:
    """By path of the layer, what it is given while the layers of all blocks before its own are `edited`.

    Layers of one block see what the others there make of it as they are. A layer outside blocks is a block
    of its own. What is used several times, a tied weight or a block that is called again, has no turn: it is
    edited first of all, by what the model as it is gives it at all of its places. Else as `collect`, except
    that nothing is kept.
    """
    heard = told()
    shared = {layer.path for layer in layers if len(layer.places) > 1}
    batches = shown(data, samples, seed, verb)
    while True:
        first = [layer for layer in layers if layer.path in shared]
        wanted = {"samples": samples, "seed": seed, "grams": grams, "verb": verb}
        known = collect(patient, first, data, **wanted) if first else {}  # type: ignore[arg-type]
        shell = private_shell(patient.root).eval()
        for layer in first:
            _edit(shell, layer, known[layer.path], edited)
        rest = [layer for layer in layers if layer.path not in shared]
        if not rest:
            return known
        walk = _Walk(shell, rest, batches, edited, grams, verb)
        try:
            return known | walk.inputs()
        except _Again as again:
            shared |= {layer.path for layer in rest if is_among(layer.path, again.units)}
            heard.progress(0.0, "again: a block is called several times")


class _Again(Exception):
    """These blocks were called several times in one forward."""

    def __init__(self, units: Sequence[str]) -> None:
        super().__init__()
        self.units = units


class _Forward(Stepped[str]):
    """The forward of one batch; `at` is the block it waits before, or in, `been` where it was."""

    def __init__(self, work: Callable[[], None], batch: Shown) -> None:
        super().__init__(work)
        self.batch = batch
        self.been: set[str] = set()


class _Walk:
    """All batches through a shell, which is edited on the way."""

    def __init__(
        self,
        shell: nn.Module,
        layers: Sequence[Layer],
        batches: Sequence[Shown],
        edited: Edited,
        grams: bool,
        verb: str,
    ) -> None:
        self.shell, self.edited, self.heard = shell, edited, told()
        self.units = _units(shell, layers)
        self.observer = Observer(shell, layers, grams=grams)
        self.done: set[str] = set()
        self.again: list[str] = []
        device = device_of(shell)
        self.forwards = [
            _Forward(lambda batch=batch: run(shell, batch, device, verb), batch)  # type: ignore[misc]
            for batch in batches
        ]
        self.device = device
        for unit in self.units:
            self._gate(unit)

    def inputs(self) -> dict[str, Inputs]:
        """What the layers are given; SurgeryError for one that no batch reaches."""
        found: dict[str, Inputs] = {}
        going = list(self.forwards)
        try:
            with random_state_kept(self.device), self.observer.hooked():
                going = [forward for forward in going if self._advance(forward)]
                while going:
                    unit = going[0].at
                    assert unit is not None
                    here = [forward for forward in going if forward.at == unit]
                    for forward in here:  # through the block, to see what its layers are given
                        self.observer.batch = forward.batch
                        self._advance(forward)
                        self.observer.batch = None
                    for layer in self.units[unit]:
                        found[layer.path] = self.observer.found(layer.path)
                        _edit(self.shell, layer, found[layer.path], self.edited)
                    self.done.add(unit)
                    label = f"{len(self.done):,} of {len(self.units):,} blocks"
                    self.heard.progress(len(self.done) / len(self.units), label)
                    gone = [forward for forward in here if not self._advance(forward)]
                    going = [forward for forward in going if forward not in gone]
        finally:
            for forward in self.forwards:
                forward.leave()
        if self.again:
            raise _Again(self.again)
        for path in self.observer.layers:
            if path not in found:
                self.observer.found(path)  # which refuses it
        return found

    def _advance(self, forward: _Forward) -> bool:
        self.heard.check()
        forward.advance()
        if forward.error is not None:
            raise forward.error
        return forward.at is not None

    def _gate(self, unit: str) -> None:
        """Lets forwards wait at the block at `unit`, run it twice, and go on with what it gives then."""
        module = self.shell.get_submodule(unit)
        called = module.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            here = stepped_here()
            if not isinstance(here, _Forward):
                return called(*args, **kwargs)
            if unit in here.been or unit in self.done:
                if unit in here.been and unit not in self.again:
                    self.again.append(unit)
                return called(*args, **kwargs)
            here.been.add(unit)
            here.stop_at(unit)
            copied, named = tree_map_only(Tensor, torch.clone, (args, kwargs))  # it may write into them
            if not self.observer.look(module, copied, named):
                called(*copied, **named)
            here.stop_at(unit)
            return called(*args, **kwargs)

        module.forward = forward


def _units(shell: nn.Module, layers: Sequence[Layer]) -> dict[str, list[Layer]]:
    """The layers by the block they are in, or by themselves."""
    blocks = block_paths(shell)
    found: dict[str, list[Layer]] = {}
    for layer in layers:
        around = next((path for path in blocks if is_among(layer.path, [path])), layer.path)
        found.setdefault(around, []).append(layer)
    return found


def _edit(shell: nn.Module, layer: Layer, inputs: Inputs, edited: Edited) -> None:
    """Puts the edited weight into the layer's places on the shell, whose parameters are nobody else's."""
    before = shell.get_submodule(layer.path)._parameters["weight"]
    assert before is not None
    made = nn.Parameter(edited(layer, inputs, before.detach()).to(before.device), requires_grad=False)
    for place in layer.places:
        shell.get_submodule(place)._parameters["weight"] = made
