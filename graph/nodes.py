"""The records a module graph is made of: frozen, comparable, made of plain values only.

Paths are dotted as torch prints them (`model.layers.3.mlp`); the root is the empty path.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from graph.records import quickly_made

Scalar = bool | int | float | str | None

INPUT, OUTPUT = -1, -2
"""Ends of edges that are no calls: what the model is given, and what it returns."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Shape and dtype of a tensor; dtype as torch prints it without `torch.`."""

    shape: tuple[int, ...]
    dtype: str


@quickly_made
@dataclass(frozen=True, slots=True)
class ParameterNode:
    """A parameter or buffer at one path.

    `tie` numbers the tie it belongs to (an index into `ModuleGraph.ties`), None if it is alone.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    size_bytes: int
    kind: Literal["parameter", "buffer"]
    tie: int | None = None

    @property
    def count(self) -> int:
        """Number of elements."""
        product = 1
        for side in self.shape:
            product *= side
        return product


@quickly_made
@dataclass(frozen=True, slots=True)
class ModuleNode:
    """A module at one path; a module reused at two paths is two nodes in one tie.

    `origin` is its immutable id: its path in the base model, or `step:path` of the step that
    made it. `attributes` are the scalars of its `__dict__` (`in_features`, `eps`, `layer_idx`).
    `structure` is a hash of class, attributes, shapes and children without names of the place
    it sits in: equal for blocks that are alike. `container` is true for lists and sequences.
    `opaque` says why the trace couldn't look into the module and guessed what it returns.
    """

    path: str
    class_name: str
    origin: str
    children: tuple[str, ...]
    tensors: tuple[ParameterNode, ...]
    attributes: tuple[tuple[str, Scalar], ...]
    structure: str
    container: bool = False
    opaque: str | None = None
    tie: int | None = None

    @property
    def name(self) -> str:
        """The last segment of the path; the empty text at the root."""
        return self.path.rpartition(".")[2]

    @property
    def is_new(self) -> bool:
        """Whether a step made the module: it was not in the base."""
        step, colon, _ = self.origin.partition(":")
        return bool(colon) and step.isdigit()


@quickly_made
@dataclass(frozen=True, slots=True)
class CallNode:
    """One call: of a leaf or opaque module (`function` None) or of a function outside leaves.

    `module` is the path of the module called, or of the module whose forward called the function.
    `reads` are paths of the parameters it read. `macs` are multiply-accumulates over the
    example inputs; `activation_bytes` the size of the tensors it returned, without those that
    share storage with what it was given.
    """

    id: int
    module: str
    function: str | None
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    macs: int
    reads: tuple[str, ...] = ()
    activation_bytes: int = 0


@quickly_made
@dataclass(frozen=True, slots=True)
class Edge:
    """A tensor that goes from one call to another; source -1 is the model's input.

    `argument` counts the tensor arguments of the target from 0, `output` the tensors the source
    returned; of the model's input it is an index into `ModuleGraph.inputs`. In a `ModuleGraph`,
    target -2 is the model's output.
    """

    source: int
    target: int
    argument: int
    tensor: TensorSpec
    output: int = 0


@quickly_made
@dataclass(frozen=True, slots=True)
class Span:
    """One run of the forward of a module with children: the calls `start <= id < stop` it made."""

    module: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Tie:
    """One parameter, module or storage at several paths, in the order of the module tree."""

    index: int
    kind: Literal["parameter", "module", "storage"]
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the trace ended early: the module whose forward raised, and its message."""

    path: str
    message: str


@dataclass(frozen=True)
class ModuleGraph:
    """A model as data: its tree, its calls in order, the tensors between them, and its ties."""

    class_name: str
    modules: tuple[ModuleNode, ...]
    calls: tuple[CallNode, ...] = ()
    edges: tuple[Edge, ...] = ()
    ties: tuple[Tie, ...] = ()
    problem: Problem | None = None
    tokens: int = field(default=1)
    """Number of positions in the example inputs (batch × length), or of examples: see `unit`."""
    unit: Literal["token", "example"] = "token"
    """What `tokens` counts: MACs divided by it are per token, or per example where there are none."""
    inputs: tuple[str, ...] = ()
    """Names of the tensors in the example inputs, in order: `input_ids`, or `past.0` inside a tuple."""
    spans: tuple[Span, ...] = ()
    """Runs of modules with children, in the order in which they ended: a reused block has several."""

    @cached_property
    def by_path(self) -> dict[str, ModuleNode]:
        """Module nodes by path, in the order of the tree."""
        return {node.path: node for node in self.modules}

    @cached_property
    def by_origin(self) -> dict[str, str]:
        """Paths by origin id; of a module that is at several paths the first in the tree."""
        return {node.origin: node.path for node in reversed(self.modules)}

    @cached_property
    def tensor_paths(self) -> frozenset[str]:
        """Paths of all parameters and buffers."""
        return frozenset([tensor.path for node in self.modules for tensor in node.tensors])

    @cached_property
    def read_paths(self) -> frozenset[str]:
        """Paths of the parameters and buffers that a call reads."""
        return frozenset([path for call in self.calls if call.reads for path in call.reads])

    def __getitem__(self, path: str) -> ModuleNode:
        return self.by_path[path]

    def __contains__(self, path: object) -> bool:
        return path in self.by_path
