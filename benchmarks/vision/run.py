"""`python -m benchmarks.vision.run`: answers `{"model": "timm:NAME"}` lines with figures of its graph."""

import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from graph import costs, extract

_DECLARED: list[torch.library.Library] = []


def imported() -> None:
    """Imports torchvision.

    Where its operators were built for another torch they do not load: those it asks for are declared.
    """
    try:
        import torchvision
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _DECLARED.append(library)
        import torchvision  # noqa: F401


def built(name: str) -> nn.Module:
    """A model of timm or torchvision by name, with random weights."""
    library, _, name = name.partition(":")
    if library == "timm":
        import timm

        made: nn.Module = timm.create_model(name, pretrained=False)
        return made.eval()
    import torchvision

    place: Any = torchvision.models
    *folders, name = name.split(".")
    for folder in folders:
        place = getattr(place, folder)
    more = {"weights_backbone": None} if folders else {}
    made = getattr(place, name)(weights=None, **more)
    return made.eval()


def answer(name: str) -> dict[str, Any]:
    """Figures of the graph of a model, and the true ones beside them."""
    torch.manual_seed(0)
    model = built(name)
    image = torch.randn(3, 224, 224)
    inputs: tuple[Any, ...] = ([image],) if "detection" in name else (image[None],)
    began = time.perf_counter()
    graph = extract(model, inputs)
    found: dict[str, Any] = {"seconds": time.perf_counter() - began}
    entered = {edge.target for edge in graph.edges}
    leaves = [call.id for call in graph.calls if call.function is None]
    problem = graph.problem
    cost = costs(graph)
    return found | {
        "leaves": len(leaves),
        "entered": sum(index in entered for index in leaves),
        "problem": None if problem is None else f"until {problem.path or 'its end'}: {problem.message}",
        "opaque": sum(node.opaque is not None for node in graph.modules),
        "parameters": cost.parameters,
        "true_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "macs": cost.macs,
        "true_macs": next(counted(model, inputs), None),
    }


def counted(model: nn.Module, inputs: tuple[Any, ...]) -> Iterator[float]:
    """MACs as torch counts them in a true forward; nothing where that fails.

    Its counter knows no fused attention of the CPU, so attention is taken apart for it.
    """
    torch.backends.mha.set_fastpath_enabled(False)
    counter = FlopCounterMode(display=False)
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
            model(*inputs)
    except Exception:
        return
    yield counter.get_total_flops() / 2


def main() -> None:
    """Answers until there are no more requests."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    torch.set_num_threads(1)
    imported()
    for line in sys.stdin:
        try:
            said = answer(json.loads(line)["model"])
        except Exception as error:
            said = {"error": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"}
        answers.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
