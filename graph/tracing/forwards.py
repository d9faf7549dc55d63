"""The forwards of a shell's modules, each wrapped to report to the recorder of a trace."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from graph.nodes import Span
from graph.shell import Sealed
from graph.tracing.fakes import materialised, tensors_in
from graph.tracing.guesses import looks_like, why_unseen
from graph.tracing.keys import Keys
from graph.tracing.layers import Layers
from graph.tracing.memo import Memo, Start
from graph.tracing.places import Places
from graph.tracing.recorder import Recorder, Watched
from graph.tracing.unmade import Late, Pairs, Unmade
from graph.tree import is_lazy, join, own_tensors, walk


@dataclass(slots=True)
class _Frame:
    """A running forward of a module with children; `seen` counts the calls of each child object."""

    path: str
    start: int
    guesses: int
    seen: dict[int, int] = field(default_factory=dict)


class Forwards:
    """Wraps every forward of a shell nobody else uses, whose modules have these `paths`.

    `mode` is the one its fake tensors live in; None if they are real. `opaque` says which modules were
    not looked into and why, `shapes` what lazy tensors turned out to be, `where` which module failed.
    """

    def __init__(
        self, paths: Mapping[nn.Module, list[str]], recorder: Recorder, mode: FakeTensorMode | None
    ) -> None:
        self.recorder, self.mode = recorder, mode
        self.opaque: dict[str, str] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.where = ""
        self.failed: Exception | None = None
        self.frames: list[_Frame] = []
        self.paths: dict[int, list[str]] = {}
        self.places = Places()
        self.wrapped: list[nn.Module] = []
        self.late: Late | None = None
        self.memo: Memo | None = None
        self.layers = None if mode is None else Layers(recorder, mode)
        for module, known in paths.items():
            self.add(module, known)

    @classmethod
    def of_fakes(
        cls, late: Late, alike: Mapping[nn.Module, str], recorder: Recorder, mode: FakeTensorMode
    ) -> Self:
        """Those of a shell of fakes; `alike` are the structural hashes of what it was made from."""
        run = cls({}, recorder, mode)
        run.late, late.take = late, run.take
        for old, paths in late.census.paths.items():
            if late.has_made(old) and id(late.memo[id(old)]) not in run.paths:
                run.add(late.memo[id(old)], paths)
        run.memo = Memo(Keys(late, alike, recorder, run.paths, run.places.unwatched), recorder, mode)
        return run

    def add(self, module: nn.Module, paths: list[str]) -> None:
        """Wrap `module`, which has these paths."""
        self.paths[id(module)] = paths
        self.wrapped.append(module)
        self.wrap(module)

    def take(self, block: nn.Module, made: Pairs) -> None:
        """Wrap what was made in a block on the way, as if it had been there from the first."""
        assert self.late is not None, "it is what tells of them"
        for new, old in made:
            self.add(new, self.late.census.paths[old])
        if self.memo is not None:
            self.memo.keys.take(block, made)

    def let_go(self) -> None:
        """Empties the model and forgets what alike blocks did: afterwards nobody can call it.

        Wrapped forwards hold what holds them. Left as they are, it would be for the garbage collector to find
        them, which looks at all that is alive before it lets go of so much.
        """
        for module in self.wrapped:
            module.__dict__.clear()
        if self.late is not None:
            self.late.let_go()
        self.memo = self.late = None

    def wrap(self, module: nn.Module) -> None:
        if self.mode is not None:
            self.places.watch(module)
        forward = module.forward
        module.__dict__.pop("_compiled_call_impl", None)  # a compiled forward would pass us by

        def watched(*args: Any, **kwargs: Any) -> Any:
            if self.recorder.current is not None:  # inside a leaf or a function
                return forward(*args, **kwargs)
            path = self.path_of(module)
            if _is_leaf(module):
                return self.leaf(path, module, forward, args, kwargs)
            return self.alike(path, module, forward, args, kwargs)

        # `functools.wraps` takes much longer.
        watched.__dict__.update(getattr(forward, "__dict__", {}), __wrapped__=forward)
        if (module._parameters or module._buffers) and any(
            is_lazy(tensor) for _, tensor, _ in own_tensors(module)
        ):
            self.infer_when_called(module)
        module.__dict__["forward"] = watched

    def infer_when_called(self, module: Any) -> None:
        """Let a lazy module take its shapes from what it is called with, and note them."""
        if self.mode is not None:
            materialised(module, self.mode)
        infer = module.initialize_parameters

        def inferred(*args: Any, **kwargs: Any) -> None:
            with self.recorder.watching():
                infer(*args, **kwargs)
            for name, tensor, _ in own_tensors(module):
                paths = [join(path, name) for path in self.paths[id(module)]]
                self.recorder.state[id(tensor)] = tensor, paths
                self.shapes.update(dict.fromkeys(paths, tuple(tensor.shape)))

        module.__dict__["initialize_parameters"] = inferred

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

    def leaf(self, path: str, module: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        with self.recorder.watching((args, kwargs)) as watched:
            try:
                out = self.unseen(path, module, args, kwargs)
                if out is None:
                    out = self.layer(module, forward, args, kwargs, watched)
                    return self.recorder.module_call(path, out, watched)
            except Exception as error:
                out = self.guess(path, module, error, (args, kwargs))
                if out is None:
                    raise
            self.opaque_call(path, out, watched)
            return out

    def opaque_call(self, path: str, out: Any, watched: Watched) -> None:
        if self.late is not None:
            self.late.make_below(path)
        self.recorder.opaque_call(path, out, watched)

    def layer(self, module: nn.Module, forward: Any, args: Any, kwargs: Any, watched: Watched) -> Any:
        """Run a leaf, or make what another of its kind returned."""
        layers = self.layers
        with torch._C.DisableTorchFunction():  # looking at tensors is nothing that the model does
            key = None if layers is None else layers.key(module, forward, args, kwargs, watched)
        if layers is None or key is None:
            return forward(*args, **kwargs)
        known = layers.again(key, module, watched)
        if known is not None:
            return known[0]
        out = forward(*args, **kwargs)
        with torch._C.DisableTorchFunction():
            layers.learn(key, module, out, watched)
        return out

    def unseen(self, path: str, module: nn.Module, args: Any, kwargs: Any) -> Any:
        """What a sealed module returns on real tensors; None where it isn't sealed or can't be run.

        One in training mode isn't run: it would write into buffers that are the model's own.
        """
        if self.mode is not None or not isinstance(module, Sealed):
            return None
        (original,) = module.original
        if any(below.training for _, below in walk(original)):
            return None
        self.opaque[path] = module.reason
        return original(*args, **kwargs)

    def alike(self, path: str, module: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        """Run a block, or copy what an alike one did; what values decide isn't the same twice."""
        if (memo := self.memo) is None:
            return self.block(path, module, forward, args, kwargs)
        given = args, kwargs
        with self.recorder.watching(), torch._C.DisableTorchFunction():
            key = memo.keys.key(module, given)
        if key is None:
            return self.block(path, module, forward, args, kwargs)
        first = len(self.recorder.calls)
        copied = memo.copy(key, path, given)
        if copied is not None:
            self.recorder.spans.append(Span(path, first, len(self.recorder.calls)))
            return copied[0]
        start = Start(first, len(self.recorder.written), tuple(tensors_in(given)))
        before = len(self.opaque), self.places.reads
        out = self.block(path, module, forward, args, kwargs)
        with self.recorder.watching(), torch._C.DisableTorchFunction():
            if before == (len(self.opaque), self.places.reads):
                memo.learn(key, path, module, given, start, out)
        return out

    def block(self, path: str, module: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        frame = _Frame(path, len(self.recorder.calls), len(self.opaque))
        self.frames.append(frame)
        self.recorder.module = path
        if type(module._modules) is Unmade:
            module._modules.ready()
        try:
            out = forward(*args, **kwargs)
            self.recorder.spans.append(Span(path, frame.start, len(self.recorder.calls)))
        except Exception as error:
            out = self.guess(path, module, error, (args, kwargs), guessed=len(self.opaque) > frame.guesses)
            if out is None:
                raise
            self.recorder.forget(frame.start)
            with self.recorder.watching((args, kwargs)) as watched:
                self.opaque_call(path, out, watched)
        finally:
            self.frames.pop()
            self.recorder.module = self.frames[-1].path if self.frames else ""
        return out

    def guess(
        self, path: str, module: nn.Module, error: Exception, given: Any, guessed: bool = False
    ) -> torch.Tensor | None:
        """A stand-in for what `path` would return; None if the error must go on.

        A block around a stand-in may choke on it (it wanted a tuple, or another width): then the
        block can't be looked into either. The root has no stand-in.
        """
        if self.failed is not error:
            self.failed, self.where = error, path
        why = why_unseen(error, module)
        if why is None and guessed:
            why = f"what it holds had to be guessed, and the guess does not fit ({type(error).__name__})"
        with self.recorder.watching():
            tensors = [t for t in tensors_in(given) if id(t) not in self.recorder.state]
            if not path or not tensors or why is None:
                return None
            self.opaque[path] = why
            return looks_like(module, tensors)


def _is_leaf(module: nn.Module) -> bool:
    """Whether a call of `module` is one node: no children, or children that are never called."""
    return not module._modules or isinstance(module, nn.MultiheadAttention | Sealed)
