"""What layers are given as the model is, all in one pass over the data."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch

from surgery.calibration.batches import Shown, run, shown
from surgery.calibration.kept import sign_of
from surgery.calibration.layers import Layer, layers_that_can
from surgery.calibration.observing import Inputs, Observer
from surgery.calibration.telling import told
from surgery.devices import device_of
from surgery.errors import SurgeryError
from surgery.evaluate.bench import random_state_kept
from surgery.fields import Targets
from surgery.model import Patient, private_shell
from surgery.stopping import checked


def collect(
    patient: Patient,
    layers: Sequence[Layer],
    data: Sequence[Any],
    *,
    samples: int,
    seed: int = 0,
    grams: bool,
    verb: str,
) -> dict[str, Inputs]:
    """By path of the layer, what it is given on at most `samples` examples of the batches of `data`.

    The model stays as it is: a shell of it runs, in evaluation mode, where its weights are. What was
    collected of this state and these batches is used again, see `listening`, which also says who hears of it;
    squares, which cost little, are collected of all layers for who asks next. Raises SurgeryError for no
    data, for data that the model does not take or that do not reach a layer, and Stopped.
    """
    heard = told()
    batches = shown(data, samples, seed, verb)
    sign = sign_of(patient.root, [batch.given for batch in batches])
    known = {} if sign is None else heard.kept.get(sign)
    missing = [
        layer for layer in layers if layer.path not in known or (grams and known[layer.path].gram is None)
    ]
    if missing:
        found = _collected(patient, missing, batches, grams, verb)
        if sign is not None:
            heard.kept.put(sign, found)
        known |= found
    return {layer.path: known[layer.path] for layer in layers}


def _collected(
    patient: Patient, layers: Sequence[Layer], batches: Sequence[Shown], grams: bool, verb: str
) -> dict[str, Inputs]:
    heard = told()
    shell = private_shell(patient.root).eval()
    device = device_of(shell)
    asked = {layer.path for layer in layers}
    others = [] if grams else layers_that_can(patient, Targets("", ("",)), verb)
    others = [layer for layer in others if layer.path not in asked]
    observer = Observer(shell, [*layers, *others], grams=grams)
    every, done = sum(batch.examples for batch in batches), 0
    with torch.no_grad(), random_state_kept(device), checked(shell, heard.check), observer.hooked():
        for batch in batches:
            heard.check()
            observer.batch = batch
            run(shell, batch, device, verb)
            done += batch.examples
            heard.progress(done / every, f"{done:,} of {every:,} examples")
    found = {layer.path: observer.found(layer.path) for layer in layers}
    for layer in others:
        with suppress(SurgeryError):  # nobody asked for those that the data do not reach
            found[layer.path] = observer.found(layer.path)
    return found
