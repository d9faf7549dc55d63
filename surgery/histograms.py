"""How values are spread: of a module's parameters, and of what it gives on a few examples."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from graph.tree import walk
from surgery.copies import settled
from surgery.devices import device_of
from surgery.errors import SurgeryError
from surgery.evaluate.answer import Wants
from surgery.evaluate.running import Runner
from surgery.model import private_shell
from surgery.session import Session

BINS = 64
PIECE = 1 << 22
"""Values that are looked at at a time."""

EXAMPLES = 8
"""So many examples are run for the values that a module gives."""


@dataclass(frozen=True)
class Histogram:
    """`counts` of values in equal bins from `low` to `high`; the other figures are of all of them.

    `zeros` is the part that is exactly zero. Values that are no numbers are counted in `broken` alone.
    """

    count: int
    low: float
    high: float
    counts: tuple[int, ...]
    mean: float
    deviation: float
    zeros: float
    broken: int = 0


def histogram(tensors: Iterable[Tensor], bins: int = BINS) -> Histogram:
    """Of all values of the tensors together, a few million at a time; SurgeryError for none."""
    parts = [piece for tensor in tensors if tensor.numel() for piece in _pieces(tensor)]
    low, high, total, count, broken, zeros = math.inf, -math.inf, 0.0, 0, 0, 0
    for piece in parts:
        values = _finite(piece)
        broken += len(piece) - len(values)
        if len(values):
            count, zeros = count + len(values), zeros + int((values == 0).sum())
            low, high = min(low, float(values.min())), max(high, float(values.max()))
            total += float(values.sum())
    if not count:
        raise SurgeryError("there are no values to show")
    mean = total / count
    if low == high:  # one value alone stands in the middle
        margin = abs(low) * 1e-3 or 1e-3
        low, high = low - margin, high + margin
    counts, spread = torch.zeros(bins, dtype=torch.int64), 0.0
    for piece in parts:
        values = _finite(piece)
        places = ((values - low) * (bins / (high - low))).long().clamp_(0, bins - 1)
        counts += torch.bincount(places, minlength=bins).cpu()
        spread += float((values - mean).square_().sum())
    deviation = math.sqrt(spread / count)
    return Histogram(count, low, high, tuple(counts.tolist()), mean, deviation, zeros / count, broken)


def _pieces(tensor: Tensor) -> tuple[Tensor, ...]:
    flat = tensor.detach().reshape(-1)
    return tuple(flat[start : start + PIECE] for start in range(0, len(flat), PIECE))


def _finite(piece: Tensor) -> Tensor:
    """The numbers of a piece, float64 where the device has it."""
    wide = piece.float() if piece.device.type == "mps" else piece.double()
    return wide[torch.isfinite(wide)]


def weights(session: Session, path: str) -> Histogram:
    """Of all parameters at or below a path, tied ones once.

    Raises SurgeryError for a path that is not there, for a module without parameters, and for a skeleton.
    """
    settled()
    module = _module(session, path)
    parameters = [parameter for parameter in module.parameters() if parameter.is_floating_point()]
    if not parameters:
        raise SurgeryError("it has no parameters", path=path)
    if any(parameter.is_meta for parameter in parameters):
        raise SurgeryError("a model opened without weights has no values to show", path=path)
    return histogram(parameters)


def activations(session: Session, path: str, examples: int = EXAMPLES) -> Histogram:
    """Of what the module gives on the first `examples` that an evaluation would take.

    Raises SurgeryError for a module that gives no hidden states, or is called more than once.
    """
    _module(session, path)
    evaluator = session.evaluator()
    with session.lock:
        model = private_shell(session.model)
    device = device_of(model)
    batch = evaluator.examples.batch(0, examples)
    batch = replace(batch, inputs={name: value.to(device) for name, value in batch.inputs.items()})
    runner = Runner(model.eval(), device, exact=True, whose="the model")
    with torch.no_grad():
        answer = runner.answer(batch, None, Wants(hidden=((path, path),)))
    if path not in answer.hidden:
        raise SurgeryError("it does not give hidden states once per example", path=path)
    return histogram([answer.hidden[path]])


def _module(session: Session, path: str) -> nn.Module:
    with session.lock:
        found = dict(walk(session.model)).get(path)
    if found is None:
        raise SurgeryError("there is no such module in this state", path=path)
    return found
