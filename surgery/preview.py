"""Preview: what steps would cost, computed on a skeleton. No tensor is made, nothing changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from torch import nn

from graph.costs import Costs, costs
from graph.known import Known
from graph.nodes import ModuleGraph
from graph.shell import Shell, shell
from graph.tree import Site, sites
from surgery.adapters.drawn import adapter_around
from surgery.aliases import holding_nothing
from surgery.errors import SurgeryError
from surgery.lazy import Held, Lazy, Recipe, Reduction
from surgery.operation import Operation
from surgery.runs import Skeleton, on_meta
from surgery.tracing import Tracing


@dataclass(frozen=True, repr=False)
class Preview:
    """Costs before and after; `nonzero` are parameters that are not zero, after: at most that many.

    `nonzero` is None where no step sets weights to zero. Sizes in bytes, MACs over the example inputs.
    `bounds` is None where `after` is exact; else a step's shapes are yet to be measured, and only those of
    parameters, size_bytes and macs that are in it are known to be at most those of `after`.
    """

    steps: tuple[Operation, ...]
    before: Costs
    after: Costs
    graph: ModuleGraph
    nonzero: tuple[int, int] | None = None
    bounds: frozenset[str] | None = None

    def rows(self) -> list[tuple[str, float | None, float | None, bool]]:
        """(label, before, after, after is an upper bound) for each figure that is known."""
        before, after, bounds = self.before, self.after, self.bounds
        counted: dict[str, tuple[str, float | None, float | None]] = {
            "parameters": ("Parameters", before.parameters, after.parameters),
            "size_bytes": ("Bytes", before.size_bytes, after.size_bytes),
            "macs": (f"MACs per {after.unit}", before.macs_per_token, after.macs_per_token),
        }
        rows: list[tuple[str, float | None, float | None, bool]] = [
            (*row, bounds is not None) for name, row in counted.items() if bounds is None or name in bounds
        ]
        cached = before.kv_bytes_per_token, after.kv_bytes_per_token
        if bounds is None or cached[0] == cached[1]:  # what goes may keep more of it, or less
            rows.append(("KV cache per token", *cached, False))
        if self.nonzero:
            rows.append(("Non-zeros", *self.nonzero, True))
        return [row for row in rows if row[1] is not None or row[2] is not None]

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        from surgery.show.html import change_html

        return change_html(self.rows())

    def __str__(self) -> str:
        lines = []
        for label, before, after, bound in self.rows():
            change = (after or 0) - (before or 0)
            sign = "≤ " if bound else ""
            lines.append(f"{label:<20} {before or 0:>14,.0f} → {sign}{after or 0:>12,.0f}   {change:+,.0f}")
        return "\n".join(lines)


@dataclass
class Sketch:
    """A skeleton of a model with the lineage of its meta parameters back to the real ones."""

    shell: Shell
    run: Skeleton
    origins: dict[nn.Module, str]
    """The immutable ids of its modules, of those that are known."""

    @property
    def model(self) -> nn.Module:
        """The skeleton itself."""
        return self.shell.model

    @property
    def real(self) -> tuple[Held, ...]:
        """The parameters it was drawn from."""
        return tuple(map(Held.of, self.run.lineage.drawn.values()))

    def places(self) -> list[Site]:
        """The sites of its modules as they are now."""
        if self.run.places is None:
            self.run.places = sites(self.model)
        return self.run.places

    def as_it_is(self) -> Shell:
        """The shell with what is known of it after the steps."""
        return replace(self.shell, now=Known(self.places(), self.run.layouts))

    def tensors(self) -> list[tuple[Lazy | None, nn.Parameter]]:
        """Its parameters, each once, with what they stand for."""
        found: dict[int, nn.Parameter] = {}
        for _, module, _, _ in self.places():  # `parameters()` looks at each through a pile of generators
            for parameter in module._parameters.values() if module._parameters else ():
                if parameter is not None:
                    found.setdefault(id(parameter), parameter)
        return [(self.run.lineage.of(parameter), parameter) for parameter in found.values()]

    def is_thinned(self) -> bool:
        """Whether a step has set weights to zero."""
        return any(map(_thins, self.run.lineage.values()))


def sketch(model: nn.Module, origins: Mapping[nn.Module, str] = MappingProxyType({})) -> Sketch:
    """A skeleton: parameters on meta, buffers real; `origins` are the ids of modules of the model."""
    run = Skeleton()

    def placeholder(parameter: nn.Parameter) -> nn.Parameter:
        made = on_meta(parameter)
        run.lineage.drawn[id(made)] = parameter
        return made

    made = shell(model, parameter=placeholder)
    run.layouts, run.outside = made.layouts, holding_nothing(made.layouts)
    known = {new: origins[old] for new, old in made.source_of.items() if old in origins}
    return Sketch(made, run, known)


def figures(drawn: Sketch, resolved: tuple[Operation, ...], before: ModuleGraph, tracing: Tracing) -> Preview:
    """What the steps cost that were carried out on the sketch; SurgeryError if they broke the model.

    The sketch is used up.
    """
    tensors = drawn.tensors() if drawn.is_thinned() else []
    graph = tracing.of_spent(drawn.as_it_is(), drawn.origins)
    if before.problem is None and resolved:
        refuse_broken(graph, resolved[-1].name)
        refuse_unread(graph, before, resolved[-1].name)
        if len(resolved) == 1:  # of several steps there is no trace in between
            resolved[0].check(before, graph)
    left = nonzero(drawn.real, tensors) if tensors else None
    waiting = [step.bounds(before if place == 0 else None) for place, step in enumerate(resolved)]
    known = [figures for figures in waiting if figures is not None]
    bounds = frozenset.intersection(*known) if known else None
    return Preview(resolved, costs(before), costs(graph), graph, left, bounds)


def nonzero(
    real: Sequence[Held], tensors: Sequence[tuple[Lazy | None, nn.Parameter]]
) -> tuple[int, int] | None:
    """Non-zero parameters before, and at most how many after; None if no step sets weights to zero.

    `real` are the parameters before, `tensors` those after with what they stand for.
    """
    reductions: dict[int, Reduction] = {}
    thinned: dict[int, int] = {}
    counted = 0
    for node, _ in tensors:
        if node is not None and _zeros(node):
            counted += _zeros(node)
        elif node is not None and _thins(node):
            smallest = node.inputs[1]
            assert isinstance(smallest, Reduction)
            reductions[id(smallest)] = smallest
            thinned[id(smallest)] = thinned.get(id(smallest), 0) + 1
    if not reductions and not counted:
        return None
    # Of a reduction some of whose tensors are gone again nobody knows where its zeros lay.
    whole = [item for key, item in reductions.items() if thinned[key] == len(item.inputs)]
    after = sum(_count(node, parameter) for node, parameter in tensors)
    after -= counted + sum(int(str(item.arguments["k"])) for item in whole)
    total = sum(_count(node, node.parameter) for node in real)
    return total, after


def _thins(node: Lazy) -> bool:
    """Whether a tensor is another one with some of its weights set to zero."""
    return isinstance(node, Recipe) and (node.function == "zero_smallest" or bool(_zeros(node)))


def _zeros(node: Lazy) -> int:
    """How many weights a recipe sets to zero that says it itself; 0 for another."""
    said = node.arguments.get("zeros", 0) if isinstance(node, Recipe) else 0
    return int(str(said))


def _count(node: Lazy | None, parameter: torch.Tensor) -> int:
    """Non-zeros where the values are there and unchanged, else the number of elements."""
    if isinstance(node, Held) and not node.parameter.is_meta:
        return int(torch.count_nonzero(node.parameter.detach()))
    return parameter.numel()


def refuse_unread(graph: ModuleGraph, before: ModuleGraph, verb: str) -> None:
    """SurgeryError if a parameter that the step added is read by no call: the edit would have no effect.

    What other blocks had already and did not read either, such as cross-attention in a decoder alone, may
    come with a copy of a block.
    """
    if not graph.calls:
        return
    unread = graph.tensor_paths - before.tensor_paths - graph.read_paths
    if not (unread := unread - _read_by_another_name(graph, unread)):
        return
    idle = set(map(_in_any_block, before.tensor_paths - before.read_paths))
    for node in graph.modules:
        for tensor in node.tensors:
            added = tensor.kind == "parameter" and tensor.path in unread
            # An adapter may compute without its base, if it is read itself: that is checked as well.
            if added and adapter_around(graph, node.path) is None and _in_any_block(tensor.path) not in idle:
                raise SurgeryError(
                    f"{verb} here would have no effect: the forward never reads what it adds",
                    path=node.path,
                    got=tensor.path,
                )


def _read_by_another_name(graph: ModuleGraph, unread: frozenset[str]) -> set[str]:
    """Those of the paths whose module has the tensor by a second name too, by which a call reads it."""
    read: set[str] = set()
    for tie in graph.ties if unread else ():
        owners = {path.rpartition(".")[0] for path in tie.paths if path in graph.read_paths}
        read.update(path for path in tie.paths if path in unread and path.rpartition(".")[0] in owners)
    return read


def _in_any_block(path: str) -> str:
    """The path without the numbers of items in it."""
    return ".".join("*" if part.isdigit() else part for part in path.split("."))


def has_guesses(graph: ModuleGraph) -> bool:
    """Whether the trace guessed what a module returns."""
    return any(node.opaque for node in graph.modules)


def refuse_failed(
    step: Operation, shown_before: ModuleGraph, before: ModuleGraph, shown: ModuleGraph, graph: ModuleGraph
) -> None:
    """SurgeryError if a step broke the model or made another edit, by its graphs: as shown, and on fakes.

    The two are one unless a session is traced on real weights.
    """
    if shown is not graph and shown_before.problem is None:
        refuse_broken(shown, step.name)
    # What had to be guessed may not fit any more, though the model does.
    proved = shown is not graph and shown.problem is None and has_guesses(graph)
    if before.problem is None and not (proved and graph.problem):
        refuse_broken(graph, step.name)
        refuse_unread(graph, before, step.name)
        step.check(before, graph)


def refuse_broken(graph: ModuleGraph, verb: str) -> None:
    """SurgeryError at the module whose forward would raise, if the trace found one."""
    if graph.problem is not None:
        raise SurgeryError(
            f"after {verb} the forward would fail here: {graph.problem.message}",
            path=graph.problem.path or "(root)",
            hint="undoing, or an edit that keeps the shapes",
        )
