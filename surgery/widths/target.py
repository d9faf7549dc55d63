"""How many units have to go until a model is as small or as fast as it should be."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from statistics import median
from typing import Literal

import torch

from graph.costs import costs
from surgery.calibration.batches import Shown, run
from surgery.calibration.telling import told
from surgery.copies import settled
from surgery.devices import device_of
from surgery.edits import Edit, Site
from surgery.errors import SurgeryError
from surgery.journal import Journal
from surgery.model import Patient, private_shell
from surgery.runs import Live
from surgery.tracing import Tracing

Of = Literal["parameters", "bytes", "macs", "latency"]
ROUNDS, WARM = 7, 2
"""Forwards of which a latency is the median, and those before that are not timed."""


def refuse_unknown_figure(patient: Patient, of: Of) -> None:
    """SurgeryError if the figure hangs on example inputs and there are none."""
    if of in ("macs", "latency") and patient.inputs is None:
        raise SurgeryError(
            f"{NOUNS[of]} are of example inputs, and there are none",
            hint='`surgery.open(model, inputs)`, or `figure="parameters"`',
        )


class Figure:
    """A figure of the model after edits: counted on a skeleton, or timed on the example inputs."""

    def __init__(self, patient: Patient, of: Of) -> None:
        refuse_unknown_figure(patient, of)
        self.patient, self.of = patient, of

    def __call__(self, edits: Callable[[Patient], list[Edit]]) -> int:
        """Parameters, bytes, MACs, or nanoseconds of a forward, after these edits."""
        return self._timed(edits) if self.of == "latency" else self._counted(edits)

    def _counted(self, edits: Callable[[Patient], list[Edit]]) -> int:
        from surgery.preview import sketch  # which knows of operations

        inputs = self.patient.inputs if self.of == "macs" else None
        drawn = sketch(self.patient.root)
        site = Site(drawn.model, Journal(), drawn.run)
        for edit in edits(Patient(drawn.model, self.patient.inputs, self.patient.tokenizer)):
            edit.apply(site)
        drawn.run.places = None
        graph = Tracing(inputs).of_spent(drawn.as_it_is(), drawn.origins)
        if graph.problem is not None:
            raise SurgeryError(
                f"with fewer the forward would fail here: {graph.problem.message}",
                path=graph.problem.path or "(root)",
            )
        found = costs(graph)
        return {"parameters": found.parameters, "bytes": found.size_bytes}.get(self.of, found.macs)

    def _timed(self, edits: Callable[[Patient], list[Edit]]) -> int:
        model = private_shell(self.patient.root).eval()
        site = Site(model, Journal(), Live())
        for edit in edits(Patient(model, self.patient.inputs, self.patient.tokenizer)):
            edit.apply(site)
        settled()
        device, found = device_of(model), []
        with torch.no_grad():
            for turn in range(WARM + ROUNDS):
                told().check()
                began = time.perf_counter_ns()
                run(model, Shown(self.patient.inputs, 1), device, "latency")
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
                if turn >= WARM:
                    found.append(time.perf_counter_ns() - began)
        return int(median(found))


NOUNS: dict[str, str] = {"parameters": "parameters", "bytes": "bytes", "macs": "MACs", "latency": "latency"}
_TIME = re.compile(r"\s*(\d+(?:\.\d+)?)\s*ms\s*")


def limit_of(to: str, of: Of, before: int) -> float:
    """The figure that may be left: of a share or an amount less, or an amount; of a latency also `5 ms`."""
    from surgery.budget.goal import goal_of

    if of != "latency":
        return goal_of(to, of, before).limit
    if found := _TIME.fullmatch(to):
        return float(found[1]) * 1e6
    if "%" not in to:
        raise SurgeryError("this says no latency", got=repr(to), hint='`"-20 %"` or `"5 ms"`')
    return goal_of(to, "macs", before).limit


def aim(figure: Figure, smallest: Callable[[Patient], list[Edit]], to: str, path: str) -> float:
    """The figure that may be left; `smallest` are the edits after which as much is gone as may go.

    SurgeryError where the figure is no larger already, and where even then it is larger, with what it is.
    """
    before = figure(lambda _: [])
    limit = limit_of(to, figure.of, before)
    if before <= limit:
        raise SurgeryError(
            "the model is no larger or slower than that already",
            path=path,
            got=f'to="{to}"',
            expected=f"less than {said(before, figure.of)}",
        )
    least = figure(smallest)
    if least > limit:
        less = f"-{share:g} %" if (share := _less(before, least)) > 0 else None
        raise SurgeryError(
            "there are too few units here, so that it cannot be met",
            path=path,
            got=f'to="{to}"',
            expected=f"{said(least, figure.of)} or more, which is "
            + (less or f"no less than the {said(before, figure.of)} there are"),
            hint=(f'`to="{less}"`, ' if less else "") + "a lower `floor`, or more targets",
        )
    return limit


def rungs_until(
    figure: Figure, fewer: Callable[[int], Callable[[Patient], list[Edit]]], most: int, limit: float
) -> int:
    """The fewest rungs after which the figure is at most `limit`; after `most` it is.

    Of a latency, which is never twice the same, in steps of a sixty-fourth.
    """
    low, high, done = 0, most, 0
    fine = max(1, most // 64) if figure.of == "latency" else 1
    while high - low > fine:
        middle = (low + high) // 2
        low, high = (low, middle) if figure(fewer(middle)) <= limit else (middle, high)
        done += 1
        told().check()
        told().progress(min(1.0, done / max(1, most.bit_length())), f"{high:,} units fewer, or less")
    return high


def said(figure: int, of: Of) -> str:
    """`1,210,000`, `3.21 ms`."""
    return f"{figure / 1e6:.3g} ms" if of == "latency" else f"{figure:,} {NOUNS[of]}"


def _less(before: int, after: int) -> float:
    """The share in percent that is surely had: rounded towards none, and negative where there is more."""
    return (10_000 * (before - after) // before if before else 0) / 100
