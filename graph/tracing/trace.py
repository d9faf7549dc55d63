"""The trace: which calls a forward makes, which tensors go between them, what each costs.

The model runs once, as a shell with fake tensors. Calls of leaves are seen by wrapping the
forwards of the shell's modules, functions outside leaves by a TorchFunctionMode, operators (for
MACs, and for what a leaf truly reads) by a TorchDispatchMode. Edges go by identity of tensors,
which are all held until the end so that no id is used twice.
"""

import contextlib
import inspect
import logging
import random
import sys
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from graph.layouts import Layout
from graph.nodes import CallNode, Edge, Problem, Span
from graph.repeats import structures
from graph.shell import NotShellable
from graph.tracing.census import Census
from graph.tracing.deep import with_room
from graph.tracing.fakes import fake_mode, given_fake, stand_ins, tensors_in
from graph.tracing.forwards import Forwards
from graph.tracing.reals import given_clone, real_shell
from graph.tracing.recorder import Recorder
from graph.tracing.shared import Shared
from graph.tracing.unmade import Late
from graph.tracing.watch import Functions, Operators
from graph.tree import Site, sites

Inputs = torch.Tensor | tuple[Any, ...] | Mapping[str, Any]
Unit = Literal["token", "example"]

# Torch logs a traceback for each shape that doesn't fit; the Problem says it better.
_log = logging.getLogger("torch._subclasses.fake_tensor")
_silence = Shared(lambda: _log.disabled, lambda off: setattr(_log, "disabled", bool(off)))

_known_positional: WeakKeyDictionary[Callable[..., Any], list[str]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Trace:
    """What a trace saw; `opaque` gives, per path, why a module couldn't be looked into.

    `shapes` are those that lazy tensors took, by path. `inputs` names the tensors given.
    """

    calls: tuple[CallNode, ...] = ()
    edges: tuple[Edge, ...] = ()
    spans: tuple[Span, ...] = ()
    opaque: Mapping[str, str] = field(default_factory=dict)
    problem: Problem | None = None
    tokens: int = 1
    unit: Unit = "token"
    inputs: tuple[str, ...] = ()
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def trace(
    model: nn.Module,
    inputs: Inputs,
    *,
    real: bool = False,
    alike: Mapping[nn.Module, str] | None = None,
    spent: Container[nn.Module] = (),
    places: Sequence[Site] | None = None,
    layouts: Mapping[nn.Module, Layout] | None = None,
) -> Trace:
    """Run `model` once on fakes of `inputs`, or with `real` on values, and record it.

    `inputs` are keyword arguments, a tuple of positional ones, or a single tensor. The model runs
    in eval mode without gradients and, where its config knows `use_cache`, without a cache; hooks of
    its modules run too. The given model, its training flags, hooks, the random state and the
    gradient mode stay as they are.

    A module whose forward depends on values of tensors, or can't be taken apart, becomes one opaque
    call that returns a tensor shaped like its input; a `real` run needs no such guess for values, but
    computes everything, on clones of the weights, and holds every activation until its end. Any other
    exception ends the trace: what was seen until then comes with a Problem. So does one before the first
    call, such as inputs of which there are no fakes. `alike` are the structural hashes of the modules, if
    known. Modules that are `spent` are used up: on fakes they are run themselves, and are empty afterwards.
    `places` are the sites of the model and `layouts` those of its modules, if known.
    """
    places = sites(model) if places is None else places
    levels = max([site[0].count(".") for site in places]) + 1
    casts, dtype = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")

    def run() -> Trace:
        # Another thread would not know what this one casts.
        with torch.autocast("cpu", dtype) if casts else contextlib.nullcontext():
            known = structures(model) if alike is None else alike
            census = Census(places, layouts)
            return _trace(census, inputs, None if real else fake_mode(), known, spent)

    return with_room(levels, run)


def _trace(
    census: Census,
    inputs: Inputs,
    mode: FakeTensorMode | None,
    alike: Mapping[nn.Module, str],
    spent: Container[nn.Module],
) -> Trace:
    with as_before(), uncompiled(), torch.inference_mode(False), torch.no_grad():
        late: Late | None = None
        try:
            tokens, unit = positions(inputs)
            if mode is None:
                copied, given = real_shell(census.root).model, given_clone(inputs)
            else:
                late = Late(census, *stand_ins(mode, bool(spent)), alike, spent)
                copied, given = late.root, given_fake(inputs, mode)
            args, kwargs = arguments(copied, given)
            names = tuple(_names(copied, args, kwargs))
            if late is None or mode is None:
                own = Census(sites(copied))
                recorder = Recorder(own.state(), (args, kwargs))
                run = Forwards(own.paths, recorder, mode)
            else:
                recorder = Recorder(late.state, (args, kwargs), late.ranks)
                run = Forwards.of_fakes(late, alike, recorder, mode)
        except Exception as error:  # before the first call: there is a tree, and no more
            if late is not None:
                late.let_go()
            return Trace(problem=_problem(error, ""))
        problem = None
        with mode or contextlib.nullcontext(), Operators(recorder, mode), Functions(recorder, mode):
            try:
                recorder.finish(copied(*args, **kwargs))
            except Exception as error:
                problem = _problem(error, run.where)
    run.let_go()
    return Trace(
        tuple(recorder.calls),
        tuple(recorder.edges),
        tuple(recorder.spans),
        run.opaque,
        problem,
        tokens,
        unit,
        names,
        run.shapes,
    )


def _problem(error: Exception, where: str) -> Problem:
    if isinstance(error, NotShellable):
        return Problem(where or error.path, error.reason)
    return Problem(where, f"{type(error).__name__}: {error}")


def positions(inputs: Inputs) -> tuple[int, Unit]:
    """How many tokens are in `inputs` (batch × length of ids or embeddings), else how many examples.

    Of an encoder-decoder the decoder's are counted: what is paid is per token it writes.
    """
    tensors = tensors_in(inputs)
    if isinstance(inputs, Mapping):
        for name in ("decoder_input_ids", "input_ids", "inputs_embeds"):
            if isinstance(inputs.get(name), torch.Tensor):
                tensors = [inputs[name]]
                break
    if not tensors or not tensors[0].dim():
        return 1, "example"
    first = tensors[0]
    if not first.is_floating_point():
        return max(first.numel(), 1), "token"
    if first.dim() == 3 and not first.is_nested:
        return int(first.shape[0] * first.shape[1]) or 1, "token"
    return int(first.size(0)) or 1, "example"


@contextlib.contextmanager
def as_before() -> Iterator[None]:
    """What a forward changes besides its model, such as the random state, is afterwards as it was."""
    state = random.getstate()
    numpy: Any = sys.modules.get("numpy.random")  # a model that draws from it has imported it
    drawn = None if numpy is None else numpy.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    # Whatever the caller's default device is, what the model makes must lie beside its fakes.
    elsewhere = torch.get_default_device().type != "cpu"
    device = torch.device("cpu") if elsewhere else contextlib.nullcontext()
    with _silence.at_least(True), torch.random.fork_rng(devices=devices), device:
        try:
            yield
        finally:
            random.setstate(state)
            if drawn is not None:
                numpy.set_state(drawn)


def uncompiled() -> contextlib.AbstractContextManager[Any]:
    """Functions that were compiled run as they were written: a compiled one crashes on fake tensors."""
    # To import the compiler takes a second; whoever has compiled something has done so.
    if "torch._dynamo" not in sys.modules:
        return contextlib.nullcontext()
    stance: contextlib.AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return stance


def arguments(model: nn.Module, inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments of a forward on `inputs`, without a cache."""
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if isinstance(inputs, Mapping):
        kwargs = dict(inputs)
    else:
        args = tuple(inputs) if isinstance(inputs, list | tuple) else (inputs,)
    if hasattr(getattr(model, "config", None), "use_cache"):
        known = inspect.signature(model.forward).parameters
        if "use_cache" in known or any(p.kind is p.VAR_KEYWORD for p in known.values()):
            # A cache would make outputs of objects the graph doesn't see into.
            kwargs["use_cache"] = False
    return args, kwargs


def _names(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[str]:
    """Names of the tensors given, in the order of `tensors_in`."""
    positional = _positional(type(model).forward) if args else []
    for index, value in enumerate(args):
        yield from _named(positional[index] if index < len(positional) else str(index), value)
    for name, value in kwargs.items():
        yield from _named(name, value)


def _positional(forward: Callable[..., Any]) -> list[str]:
    """Names of the parameters of a method that can be given by position, without `self`."""
    plain = isinstance(forward, FunctionType)
    if plain and forward in _known_positional:
        return _known_positional[forward]
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(forward).parameters.values()
    names = [each.name for each in parameters if each.kind in kinds][1:]
    if plain:
        _known_positional[forward] = names
    return names


def _named(name: str, value: Any) -> Iterator[str]:
    tensors = tensors_in(value)
    if isinstance(value, torch.Tensor):
        yield name
    else:
        yield from (f"{name}.{index}" for index in range(len(tensors)))
