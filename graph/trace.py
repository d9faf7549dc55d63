"""The trace: which calls a forward makes, which tensors go between them, what each costs.

The model runs once, as a shell with fake tensors. Calls of leaves are seen by wrapping the
forwards of the shell's modules, functions outside leaves by a TorchFunctionMode, operators (for
MACs, and for what a leaf truly reads) by a TorchDispatchMode. Edges go by identity of tensors,
which are all held until the end so that no id is used twice.
"""

import contextlib
import functools
import inspect
import logging
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from graph.fakes import fake, fake_mode, fake_shell, map_tensors, tensors_in
from graph.memo import Memo
from graph.nodes import CallNode, Edge, Problem, Span
from graph.recorder import Recorder
from graph.tree import own_tensors, walk
from graph.watch import Functions, Operators

Inputs = torch.Tensor | tuple[Any, ...] | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trace:
    """What a trace saw; `opaque` gives, per path, why a module couldn't be looked into."""

    calls: tuple[CallNode, ...]
    edges: tuple[Edge, ...]
    spans: tuple[Span, ...]
    opaque: Mapping[str, str]
    problem: Problem | None
    tokens: int


def trace(model: nn.Module, inputs: Inputs) -> Trace:
    """Run `model` on fakes of `inputs` and record it.

    `inputs` are keyword arguments, a tuple of positional ones, or a single tensor. The model runs
    in eval mode without gradients and, where its config knows `use_cache`, without a cache. The
    given model, its training flags, the random state and the gradient mode stay as they are.
    A module whose forward depends on values of tensors becomes one opaque call that returns a tensor
    shaped like its input. Any other exception ends the trace: what was seen until then comes with
    a Problem. Raises NotShellable.
    """
    mode = fake_mode()
    with _as_before(), torch.inference_mode(False), torch.no_grad():
        copied = fake_shell(model, mode).model
        args, kwargs = _arguments(copied, map_tensors(inputs, lambda tensor: fake(tensor, mode)))
        recorder = Recorder(_state(copied), (args, kwargs))
        run = _Run(copied, recorder)
        problem = None
        with mode, Operators(recorder), Functions(recorder):
            try:
                recorder.finish(copied(*args, **kwargs))
            except Exception as error:
                problem = Problem(run.where, f"{type(error).__name__}: {error}")
    return Trace(
        tuple(recorder.calls),
        tuple(recorder.edges),
        tuple(recorder.spans),
        run.opaque,
        problem,
        tokens_in(inputs),
    )


def tokens_in(inputs: Inputs) -> int:
    """Positions in `inputs`: batch × length of ids or embeddings, the batch of anything else."""
    tensors = list(tensors_in(inputs))
    if isinstance(inputs, Mapping):
        for name in ("input_ids", "inputs_embeds"):
            if isinstance(inputs.get(name), torch.Tensor):
                tensors = [inputs[name]]
    if not tensors or not tensors[0].dim():
        return 1
    first = tensors[0]
    if not first.is_floating_point():
        return max(first.numel(), 1)
    return int(first.shape[0] * first.shape[1] if first.dim() == 3 else first.shape[0]) or 1


@contextlib.contextmanager
def _as_before() -> Iterator[None]:
    state = random.getstate()
    # Torch logs a traceback for each shape that doesn't fit; the Problem says it better.
    log = logging.getLogger("torch._subclasses.fake_tensor")
    disabled, log.disabled = log.disabled, True
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(state)
            log.disabled = disabled


def _arguments(model: nn.Module, inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if isinstance(inputs, dict):
        kwargs = dict(inputs)
    else:
        args = tuple(inputs) if isinstance(inputs, list | tuple) else (inputs,)
    if hasattr(getattr(model, "config", None), "use_cache"):
        known = inspect.signature(model.forward).parameters
        if "use_cache" in known or any(p.kind is p.VAR_KEYWORD for p in known.values()):
            # A cache would make outputs of objects the graph doesn't see into.
            kwargs["use_cache"] = False
    return args, kwargs


def _state(model: nn.Module) -> dict[int, tuple[torch.Tensor, list[str]]]:
    """Parameters and buffers by id, with all their paths; the tensor is held so that the id stays."""
    found: dict[int, tuple[torch.Tensor, list[str]]] = {}
    for path, module in walk(model):
        for name, tensor, _ in own_tensors(module):
            found.setdefault(id(tensor), (tensor, []))[1].append(f"{path}.{name}" if path else name)
    return found


# What fake tensors refuse though real ones would do; grouped products have a fake kernel for bf16 only.
_FAKE_ONLY = (
    "data pointer of",
    "numpy() is not supported for tensor subclasses",
    "Expected inputs of BF16 type",
)


def _value_dependent(error: Exception) -> bool:
    """Whether `error` says that a fake tensor was asked for what only a real one has."""
    kinds = torch._subclasses.fake_tensor
    if isinstance(error, kinds.DataDependentOutputException | kinds.DynamicOutputShapeException):
        return True
    if isinstance(error, kinds.UnsupportedOperatorException):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _FAKE_ONLY)


@dataclass(slots=True)
class _Frame:
    """A running forward of a module with children; `seen` counts the calls of each child object."""

    path: str
    start: int
    guesses: int
    seen: dict[int, int] = field(default_factory=dict)


class _Run:
    """Wraps the forwards of a shell's modules; each wrapped call reports to the recorder."""

    def __init__(self, model: nn.Module, recorder: Recorder) -> None:
        self.recorder = recorder
        self.opaque: dict[str, str] = {}
        self.where = ""
        self.failed: Exception | None = None
        self.frames: list[_Frame] = []
        self.paths: dict[int, list[str]] = {}
        self.memo = Memo(recorder, self.paths)
        for path, module in walk(model):
            self.paths.setdefault(id(module), []).append(path)
            if len(self.paths[id(module)]) == 1:
                self.wrap(module)

    def wrap(self, module: nn.Module) -> None:
        forward = module.forward
        module.__dict__.pop("_compiled_call_impl", None)  # a compiled forward would pass us by

        @functools.wraps(forward)
        def watched(*args: Any, **kwargs: Any) -> Any:
            if self.recorder.current is not None:  # inside a leaf or a function
                return forward(*args, **kwargs)
            path = self.path_of(module)
            if _is_leaf(module):
                return self.leaf(path, forward, args, kwargs)
            return self.alike(path, module, forward, args, kwargs)

        module.__dict__["forward"] = watched

    def path_of(self, module: nn.Module) -> str:
        """The path by which `module` is being called.

        An object at several paths doesn't tell by which it is called: those below the running
        module are taken in turn, so two towers sharing one module are two calls at two paths.
        """
        paths = self.paths[id(module)]
        if len(paths) == 1 or not self.frames:
            return paths[0]
        frame = self.frames[-1]
        below = [p for p in paths if not frame.path or p.startswith(frame.path + ".")] or paths
        turn = frame.seen.get(id(module), 0)
        frame.seen[id(module)] = turn + 1
        return below[turn % len(below)]

    def leaf(self, path: str, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with self.recorder.watching((args, kwargs)) as watched:
            try:
                out = forward(*args, **kwargs)
            except Exception as error:
                out = self.guess(path, error, args, kwargs)
                if out is None:
                    raise
                self.recorder.opaque_call(path, out, watched)
                return out
            return self.recorder.module_call(path, out, watched)

    def alike(self, path: str, module: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        """Run a block, or copy what an alike one did."""
        given, start = (args, kwargs), len(self.recorder.calls)
        with self.recorder.watching(given) as watched:
            key = self.memo.key(module, given)
        if key is None:
            return self.block(path, forward, args, kwargs)
        copied = self.memo.copy(key, path, given)
        if copied is not None:
            self.recorder.spans.append(Span(path, start, len(self.recorder.calls)))
            return copied[0]
        guesses = len(self.opaque)
        out = self.block(path, forward, args, kwargs)
        with self.recorder.watching():
            versions = [version for _, version in watched.given]
            if len(self.opaque) == guesses:
                self.memo.learn(key, path, given, versions, start, out)
        return out

    def block(self, path: str, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        frame = _Frame(path, len(self.recorder.calls), len(self.opaque))
        self.frames.append(frame)
        self.recorder.module = path
        try:
            out = forward(*args, **kwargs)
            self.recorder.spans.append(Span(path, frame.start, len(self.recorder.calls)))
        except Exception as error:
            out = self.guess(path, error, args, kwargs, guessed=len(self.opaque) > frame.guesses)
            if out is None:
                raise
            self.recorder.forget(frame.start)
            with self.recorder.watching((args, kwargs)) as watched:
                self.recorder.opaque_call(path, out, watched)
        finally:
            self.frames.pop()
            self.recorder.module = self.frames[-1].path if self.frames else ""
        return out

    def guess(
        self,
        path: str,
        error: Exception,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        guessed: bool = False,
    ) -> torch.Tensor | None:
        """An input-shaped stand-in for what `path` would return; None if the error must go on.

        A block around a stand-in may choke on it (it wanted a tuple, or another width): then the
        block can't be looked into either. The root has no stand-in.
        """
        if self.failed is not error:
            self.failed, self.where = error, path
        tensors = [t for t in tensors_in((args, kwargs)) if id(t) not in self.recorder.state]
        if not path or not tensors or not (guessed or _value_dependent(error)):
            return None
        likely = next((tensor for tensor in tensors if tensor.is_floating_point()), tensors[0])
        self.opaque[path] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        with self.recorder.watching():
            return torch.empty_like(likely)


def _is_leaf(module: nn.Module) -> bool:
    """Whether a call of `module` is one node: no children, or children that are never called."""
    return not module._modules or isinstance(module, nn.MultiheadAttention)
