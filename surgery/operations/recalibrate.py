"""Recalibrate the statistics of batch norms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from graph.paths import is_among
from surgery.calibration.batches import Shown, run
from surgery.devices import device_of
from surgery.edits import Edit, SetBuffer
from surgery.errors import SurgeryError
from surgery.fields import Targets, option
from surgery.lazy import Known
from surgery.measures import Measured
from surgery.model import Patient, private_shell
from surgery.operation import Operation, operation
from surgery.rewriting.rewrite import none_of_kind

_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


@operation(
    title="Recalibrate",
    group="adjust",
    source="batch-norm update of SWA: Izmailov et al. 2018, arXiv:1803.05407",
)
class Recalibrate(Operation):
    """The batch norms hold the statistics of the data as the model is now, averaged over its batches.

    Fields: `targets`: batch norms or what contains them. It runs the session's `data` once, each batch as
    the model takes it, the targets in training mode and everything else in evaluation mode. `measured`
    holds the running mean (channels,), running variance (channels,) and number of batches of each then, so no
    replay needs the data. What changed widths or weights, such as pruning or merging, asks for this. Shapes
    stay. Refused: no batch norm with running statistics there, no data, data that are not numbers.
    """

    targets: Targets = option("**", help="batch norms, or what contains them")
    measured: Measured | None = option(None, help="the statistics, once they were measured")

    def keeps_structure(self) -> bool:
        return True

    def measure(self, patient: Patient, data: Sequence[Any]) -> dict[str, torch.Tensor]:
        wanted = self._norms(patient)
        if not data:
            raise SurgeryError(
                "recalibrate needs data to take the statistics from",
                path=self.targets.select,
                hint="`s.data = [batch, …]`, each as the model takes it",
            )
        shell = private_shell(patient.root).eval()
        norms = {path: shell.get_submodule(path) for path in wanted}
        for norm in norms.values():
            assert isinstance(norm, _BatchNorm)
            norm.reset_running_stats()
            norm.train()
            norm.momentum = None  # the average over all batches, each counting the same
        with torch.no_grad(), torch.random.fork_rng():
            for batch in data:
                run(shell, Shown(batch, 1), device_of(shell), self.name)
        found = {f"{path}.{name}": norm.get_buffer(name) for path, norm in norms.items() for name in _BUFFERS}
        for path, tensor in found.items():
            if not torch.isfinite(tensor).all():
                raise SurgeryError("the statistics of these data are not numbers", path=path)
        return found

    def plan(self, patient: Patient) -> Iterator[Edit]:
        for path in self._norms(patient):
            norm = patient.module(path)
            for name in _BUFFERS:
                full, before = f"{path}.{name}", norm.get_buffer(name)
                if self.measured is None:  # a preview: values are not known, and nothing hangs on them
                    tensor = Known(shape=tuple(before.shape), dtype=before.dtype, tensor=before)
                else:
                    tensor = self.measured.lazy(full)
                if tensor.shape != tuple(before.shape):
                    raise SurgeryError(
                        "the statistics were measured at another width",
                        path=full,
                        got=list(tensor.shape),
                        expected=list(before.shape),
                    )
                yield SetBuffer(full, tensor)

    def _norms(self, patient: Patient) -> list[str]:
        """The paths of batch norms with running statistics, each module once."""
        found: dict[nn.Module, str] = {}
        for path, module in patient.walk():
            inside = is_among(path, self.targets.paths)
            if inside and isinstance(module, _BatchNorm) and module.running_mean is not None:
                found.setdefault(module, path)
        if not found:
            raise none_of_kind("batch norm with running statistics", patient, self.targets)
        return list(found.values())
