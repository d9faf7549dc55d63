"""The proof that a step keeps what the model computes: made in float64, and run there on random inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils._pytree import tree_map_only

from graph.units import short
from surgery.copies import settled
from surgery.edits import SetBuffer, SetTensor
from surgery.errors import SurgeryError
from surgery.journal import Journal
from surgery.keeping import quarter_of_memory
from surgery.lazy import Held, nodes
from surgery.model import Patient, private_shell
from surgery.rewriting.double import outputs
from surgery.runs import Live, carry_out

if TYPE_CHECKING:
    from surgery.operation import Operation

BOUND = 1e-9
"""The largest error of an exact rewrite, relative to the largest number of an output, in float64."""

SEED = 0


class NotExact(SurgeryError):
    """A step that claims to be exact changed what the model computes."""

    __module__ = "surgery"


@dataclass(frozen=True)
class Proof:
    """How far outputs moved, relative to the largest number of each, over so many `inputs`.

    `error`: made and run in float64; None where nothing was proved, and `reason` says why. `rounding`: of the
    very step that was kept, in the precision of the model, `dtype`.
    """

    error: float | None
    rounding: float = 0.0
    dtype: str = ""
    inputs: int = 0
    reason: str = ""

    def __str__(self) -> str:
        if self.error is None:
            return f"not proved: {self.reason}"
        return f"outputs move by {self.error:.1e} in float64, {self.rounding:.1e} in {self.dtype}"


class Witness:
    """Keeps the model as it is before a step, and finds out afterwards what the step changed of its outputs.

    The model before is a shell on the same tensors, and an edit replaces tensors: it costs no memory. For the
    proof what the step reads is copied into float64.
    """

    def __init__(self, step: Operation, model: nn.Module, inputs: Any) -> None:
        self.proof: Proof | None = None
        self._inputs, self._before = inputs, None
        if not step.exact:
            return
        if any(parameter.is_meta for parameter in model.parameters()):
            self.proof = Proof(None, reason="the model was opened without weights")
        elif inputs is None:
            self.proof = Proof(None, reason="there are no example inputs to run on")
        else:
            self._before = _shell(model)

    def testify(self, step: Operation, after: nn.Module) -> None:
        """Makes the `proof` of a step that claims to be exact; SurgeryError where it changed outputs.

        `step` is resolved, and `after` is the model that it made.
        """
        if self._before is not None:
            self.proof = self._compared(step, self._before, after)

    def _compared(self, step: Operation, before: nn.Module, after: nn.Module) -> Proof:
        settled()
        read = read_by(step, before)
        if (size := sum(tensor.numel() * 8 for tensor in read.values())) > quarter_of_memory():
            return Proof(None, reason=f"in float64 what it reads would take {short(size, 'B')} of memory")
        exact = _in_double(before, set(read))
        given = [self._inputs]
        try:
            was = [outputs(exact, self._inputs)]
        except (RuntimeError, TypeError) as why:  # torch lacks some kernels for float64
            return Proof(None, reason=f"the model does not run in float64: {why}")
        try:  # a model need not take what was drawn; that it takes the examples is known
            was.append(outputs(exact, drawn(self._inputs)))
            given.append(drawn(self._inputs))
        except Exception:
            pass
        carry_out(step, exact, Journal(), Live(), signs=False)
        error = max(difference(out, outputs(exact, each)) for out, each in zip(was, given, strict=True))
        if not error <= BOUND:
            raise NotExact(
                f"{step.name} would change what the model computes here, and is meant to be exact",
                path=_where(step),
                got=f"{error:.1e} of the largest output in float64",
                expected=f"at most {BOUND:.0e}",
                hint="other targets: what stands between them is not what it is taken for",
            )
        natively = [outputs(model, self._inputs, double=False) for model in (before, _shell(after))]
        dtype = str(natively[0][0].dtype).removeprefix("torch.") if natively[0] else ""
        return Proof(error, difference(*natively), dtype, len(given))


def _shell(model: nn.Module) -> nn.Module:
    return private_shell(model).eval()


def read_by(step: Operation, model: nn.Module) -> dict[int, torch.Tensor]:
    """The tensors of the model that `step`, resolved, makes others from, by id."""
    edits = list(step.plan(Patient(model)))
    lazies = [edit.tensor for edit in edits if isinstance(edit, SetTensor | SetBuffer)]
    held = [node.parameter for node in nodes(lazies) if isinstance(node, Held)]
    return {id(tensor): tensor for tensor in held if tensor.is_floating_point()}


def _in_double(model: nn.Module, read: set[int]) -> nn.Module:
    """A shell of the model in which what a step reads is in float64, so that it writes float64."""

    def parameter(old: nn.Parameter) -> nn.Parameter:
        return nn.Parameter(old.detach().double() if id(old) in read else old.detach(), requires_grad=False)

    def buffer(old: torch.Tensor) -> torch.Tensor:
        return old.double() if id(old) in read else old.clone()

    return private_shell(model, parameter, buffer).eval()


def drawn(inputs: Any) -> Any:
    """Inputs like these with random values: normal numbers, and integers of the range there is.

    Flags, and integers that are only 0 and 1, such as masks, stay as they are.
    """
    generator = torch.Generator().manual_seed(SEED)

    def values(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.is_floating_point():
            return torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        low, high = (int(tensor.min()), int(tensor.max())) if tensor.numel() else (0, 0)
        if tensor.dtype == torch.bool or tensor.is_complex() or (low >= 0 and high <= 1):
            return tensor
        made = torch.randint(low, high + 1, tensor.shape, generator=generator)
        return made.to(tensor.device, tensor.dtype)

    return tree_map_only(torch.Tensor, values, inputs)


def difference(before: list[torch.Tensor], after: list[torch.Tensor]) -> float:
    """The largest |a − b| / max |a| over the outputs; infinite where they are not of the same shapes."""
    if [tensor.shape for tensor in before] != [tensor.shape for tensor in after]:
        return float("inf")
    found = 0.0
    for was, now in zip(before, after, strict=True):
        same = (was == now) | (was.isnan() & now.isnan())
        moved = torch.where(same, 0.0, (was.double() - now.double()).abs())
        scale = was[was.isfinite()].double().abs().max() if was.isfinite().any() else torch.tensor(0.0)
        most = moved.max() if moved.numel() else torch.tensor(0.0)
        if most != 0:
            error = float(most / scale)
            found = max(found, error if error == error else float("inf"))
    return found


def _where(step: Operation) -> str | None:
    """What the step was made on."""
    targets = getattr(step, "targets", None)
    return None if targets is None else str(targets.select) or "(root)"
