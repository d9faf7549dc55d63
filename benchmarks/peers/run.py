"""`python -m benchmarks.peers.run TOOL`: a tool in a process of its own.

Reads requests as lines of JSON and answers each with one: `{"build": MODEL}` makes a model of the zoo,
`{"extract": true}` extracts it once and is timed, `{"leaves": true}` counts leaf calls in the last graph,
`{"shape": NAME}` builds and extracts a large decoder, once per process.
"""

import gc
import json
import os
import resource
import sys
import time
from typing import Any

import torch

from benchmarks.peers import models
from benchmarks.peers.tools import Tool, tool, with_room


class Process:
    """Answers requests for one tool."""

    def __init__(self, name: str) -> None:
        self.name, self.tool = name, tool(name)
        self.model: Any = None
        self.inputs: Any = None
        self.made: Any = None
        if name == "export":
            models.known_to_export()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """What a request asks for; an exception as `error`."""
        try:
            return self.done(**request)
        except Exception as error:
            return {"error": said(error)}

    def done(
        self, build: str | None = None, extract: bool = False, leaves: bool = False, shape: str | None = None
    ) -> dict[str, Any]:
        """The answer to one request."""
        if build:
            self.made = None
            self.model, self.inputs = models.zoo_model(build)
            return {}
        if extract:
            return self.extracted()
        if leaves:
            return {"leaves": self.tool.leaves(self.made), "called": leaf_calls(self.model, self.inputs)}
        return shaped(self.name, self.tool, str(shape))

    def extracted(self) -> dict[str, Any]:
        """Seconds of one extraction, by the clock and of the processor."""
        self.made = None
        gc.collect()
        began, busy = time.perf_counter(), time.process_time()
        self.made = self.tool.extract(self.model, self.inputs)
        found = {"seconds": time.perf_counter() - began, "cpu_s": time.process_time() - busy}
        problem = getattr(self.made, "problem", None)
        return found if problem is None else {"error": f"{problem.path}: {problem.message}"}


def shaped(name: str, used: Tool, shape: str) -> dict[str, Any]:
    """Seconds and peak memory of building and extracting a shape; those of imports are kept apart."""
    config = models.imported_shape(shape)
    if name == "ours":
        import surgery.checkpoint.structure
        import surgery.sources.config  # noqa: F401
    imported = peak_bytes()
    began, busy = time.perf_counter(), time.process_time()
    model, inputs = (models.shape_of_ours if name == "ours" else models.shape_on_meta)(config)
    built = time.perf_counter()
    found: dict[str, Any] = {"build_s": built - began}
    try:
        made = used.extract(model, inputs)
    except Exception as error:
        return {"error": said(error), "after_s": time.perf_counter() - built}
    found |= {"seconds": time.perf_counter() - began, "cpu_s": time.process_time() - busy}
    found |= {"peak_bytes": peak_bytes(), "imports_bytes": imported, "leaves": used.leaves(made)}
    if name == "ours":
        found |= {"nodes": len(made.calls), "edges": len(made.edges)}
        found["called"] = sum(call.function is None for call in made.calls)
    return found


def leaf_calls(model: Any, inputs: Any) -> int:
    """How many calls of modules without children a plain forward makes, and of attention modules."""
    count = 0

    def counted(*_: Any) -> None:
        nonlocal count
        count += 1

    leaves = [
        module
        for module in dict.fromkeys(model.modules())
        if not module._modules or isinstance(module, torch.nn.MultiheadAttention)
    ]
    handles = [module.register_forward_hook(counted) for module in leaves]
    # Fused kernels pass by the modules whose weights they take.
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad():
            model(**inputs) if isinstance(inputs, dict) else model(*inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for handle in handles:
            handle.remove()
    return count


def peak_bytes() -> int:
    """The most memory this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def said(error: BaseException) -> str:
    """The first line of the innermost cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    line = next((line for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {line.strip()[:160]}"


def main() -> None:
    """Answers until there are no more requests."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a tool prints is no answer
    torch.set_num_threads(1)
    process = Process(sys.argv[1])
    for line in sys.stdin:
        answers.write(json.dumps(process.answer(json.loads(line))) + "\n")


if __name__ == "__main__":
    # Ours makes room by itself where a model needs it.
    main() if sys.argv[1] == "ours" else with_room(main)
