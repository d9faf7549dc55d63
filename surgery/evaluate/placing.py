"""Shells of models on the evaluation's device, sharing there what the models share here."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch
from torch import Tensor, nn

from graph.shell import NotShellable, shell
from surgery.devices import is_out_of_memory
from surgery.errors import SurgeryError
from surgery.evaluate.device import resolve


class Placer:
    """Puts shells on `device`; a tensor that the first model brought there is not brought again.

    With `spread` tensors stay where they lie, on several devices, and accelerate moves what goes between.
    """

    def __init__(self, device: torch.device, *, spread: bool = False) -> None:
        self.device, self.spread = device, spread
        self._there: dict[Hashable, Tensor] = {}

    def place(self, model: nn.Module, *, remember: bool = False) -> nn.Module:
        """A shell of `model` on the device, in evaluation mode.

        `remember` is for a model that outlives the placer. Raises SurgeryError for a model that
        has no weights, cannot be taken apart or does not fit.
        """
        for path, parameter in model.named_parameters():
            if parameter.is_meta:
                raise SurgeryError(
                    "it has no weights, so nothing can be run",
                    path=path,
                    hint="open the model without `skeleton=True`",
                )

        def moved(old: nn.Parameter) -> nn.Parameter:
            new = nn.Parameter(self._bring(old.detach(), remember), requires_grad=False)
            new.__dict__.update(old.__dict__)
            return new

        try:
            return structural(model, moved, self._buffer, dispatched=self.spread).eval()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise SurgeryError(
                f"the model does not fit into the memory of {self.device}", hint='`device="cpu"`'
            ) from error

    def anew(self) -> Placer:
        """One that has brought nothing yet."""
        return Placer(self.device, spread=self.spread)

    def _buffer(self, old: Tensor) -> Tensor:
        made = old.detach().clone()
        return made if self.spread else made.to(self.device)

    def _bring(self, tensor: Tensor, remember: bool) -> Tensor:
        if self.spread or tensor.device == self.device:
            return tensor
        key = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device)
        there = self._there.get(key)
        if there is None:
            there = tensor.to(self.device)
            if remember:
                self._there[key] = there
        return there


def placer(device: str | torch.device, model: nn.Module) -> Placer:
    """What puts shells of `model` on the device meant: `auto` leaves one that is on several where it is."""
    devices = devices_of(model)
    if device == "auto" and len(devices) > 1:
        return Placer(devices[0], spread=True)
    return Placer(resolve(device))


def devices_of(model: nn.Module) -> list[torch.device]:
    """The devices that parameters of a model lie on, each once, that of the first before all others."""
    return list(dict.fromkeys(parameter.device for parameter in model.parameters()))


def structural(
    model: nn.Module,
    parameter: Callable[[nn.Parameter], nn.Parameter] | None = None,
    buffer: Callable[[Tensor], Tensor] | None = None,
    *,
    dispatched: bool = True,
) -> nn.Module:
    """A shell of `model`, `dispatched` over devices as that is, or not at all.

    Raises SurgeryError, with the path, for what cannot be taken apart.
    """
    try:
        return shell(model, parameter, buffer, dispatched=dispatched).model
    except NotShellable as error:
        raise SurgeryError(error.reason, path=error.path or "(root)") from error
