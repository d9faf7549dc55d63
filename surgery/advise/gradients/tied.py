"""The gradients of what is tied, place by place: each end gets tensors of its own over the same memory."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

import torch
from torch import Tensor, nn

from graph.ties import ties
from surgery.advise.case import Case
from surgery.advise.loss import Loss
from surgery.evaluate.data.examples import Batch
from surgery.evaluate.placing import structural


@dataclass(frozen=True)
class Tied:
    """`ends`, the modules that share tensors, and per tensor its paths at these ends, in their order."""

    ends: tuple[str, ...]
    tensors: tuple[tuple[str, ...], ...]


def tied(model: nn.Module) -> list[Tied]:
    """All that is tied in a model: modules at several paths, and parameters, those of one pair together."""
    found: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for tie in ties(model):
        if tie.kind == "module":
            names = [name for name, _ in model.get_submodule(tie.paths[0]).named_parameters()]
            tensors = [tuple(f"{path}.{name}" for path in tie.paths) for name in names]
            found.setdefault(tie.paths, []).extend(tensors)
        elif tie.kind == "parameter" and _is_weight(model, tie.paths[0]):
            found.setdefault(_ends(tie.paths), []).append(tie.paths)
    return [Tied(ends, tuple(tensors)) for ends, tensors in found.items() if tensors]


def part(model: nn.Module, found: list[Tied]) -> None:
    """Gives every end modules and parameters of its own over the same memory; outputs do not change."""
    for group in found:
        module = model.get_submodule(group.ends[0])
        for end in group.ends[1:]:
            if model.get_submodule(end) is module:
                around, _, name = end.rpartition(".")
                model.get_submodule(around)._modules[name] = structural(module)
        for paths in group.tensors:
            for path in paths:
                around, _, name = path.rpartition(".")
                holder = model.get_submodule(around)
                held = holder._parameters[name]
                assert held is not None
                holder._parameters[name] = nn.Parameter(held.detach())


def site_gradients(case: Case, found: list[Tied]) -> list[tuple[Tensor, ...]]:
    """Of every group the gradient of the mean loss at each end, (numbers,) float32; the model is parted.

    They add up to the gradient of what is tied.
    """
    loss = Loss(case)
    part(case.model, found)
    held = [case.model.get_parameter(path) for group in found for paths in group.tensors for path in paths]
    total = [torch.zeros_like(parameter, dtype=torch.float32) for parameter in held]

    def gradients(batch: Batch) -> tuple[Tensor, ...]:
        with torch.enable_grad():
            sums = loss.each(batch).sum()
            return torch.autograd.grad(sums, held, allow_unused=True, materialize_grads=True)

    for parts, _ in case.over(gradients, loss.room):
        for known, more in zip(total, parts, strict=True):
            known += more
    left = iter(total)
    ordered = [[[next(left) / case.seen for _ in paths] for paths in group.tensors] for group in found]
    return [
        tuple(torch.cat([of_tensor[end].flatten() for of_tensor in group]) for end in range(len(group[0])))
        for group in ordered
    ]


def _is_weight(model: nn.Module, path: str) -> bool:
    around, _, name = path.rpartition(".")
    held = model.get_submodule(around)._parameters.get(name)
    return held is not None and held.is_floating_point()


def _ends(paths: tuple[str, ...]) -> tuple[str, ...]:
    """The paths without the names behind that all have in common."""
    names = [path.split(".")[::-1] for path in paths]
    alike = len(list(takewhile(lambda at: len(set(at)) == 1, zip(*names, strict=False))))
    return tuple(".".join(path.split(".")[: len(path.split(".")) - alike]) for path in paths)
