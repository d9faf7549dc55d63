"""mergekit's methods: their parameters with its defaults, and the step of ours that each is.

What agrees with mergekit's results, and what differs and why, is in `surgery.mergekit.agreement`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from surgery.mergekit.regions import Cell
from surgery.mergekit.settings import Parameter
from surgery.mergekit.steps import step
from surgery.operation import Operation

Build = Callable[[Cell], Iterator[Operation]]


@dataclass(frozen=True)
class Method:
    """A method of mergekit: its parameters, what it needs of models, and the steps that do it.

    `base`: whether a base model is `needed`, may be there (`allowed`), or is a model like any (`none`).
    `least`, `most`: how many models there are besides the base; without one, all of them.
    """

    build: Build
    parameters: tuple[Parameter, ...]
    base: str = "needed"
    least: int = 0
    most: int | None = None
    inert: tuple[str, ...] = ()
    """Parameters that mergekit has for it, and that do not change results."""


def _linear(cell: Cell) -> Iterator[Operation]:
    weights, normalize = cell.each("weight"), bool(cell.shared("normalize"))
    if cell.parents:
        yield step("merge", **cell.fields, weights=weights, normalize=normalize)
    elif not normalize:
        yield from _scaled(cell, weights[0])


def _passthrough(cell: Cell) -> Iterator[Operation]:
    factor = cell.each("scale")[0]
    if factor is not None:
        yield from _scaled(cell, factor)


def _scaled(cell: Cell, factor: float | tuple[float, ...]) -> Iterator[Operation]:
    if factor != 1:
        yield step("scale", targets=cell.targets, only=cell.only, factor=factor)


def _slerp(cell: Cell) -> Iterator[Operation]:
    yield step("slerp", **cell.fields, t=cell.shared("t"))


def _nuslerp(cell: Cell) -> Iterator[Operation]:
    # mergekit's `row_wise` has vectors along the first dimension, which are the columns
    vectors = "columns" if cell.shared("nuslerp_row_wise") else "rows"
    if cell.shared("nuslerp_flatten"):
        vectors = "tensor"
    yield step("nuslerp", **cell.fields, weights=cell.others("weight"), vectors=vectors)


def _multislerp(cell: Cell) -> Iterator[Operation]:
    normalize = bool(cell.shared("normalize_weights"))
    if len(cell.others("weight")) > 1:
        yield step(
            "multislerp",
            **cell.fields,
            weights=cell.others("weight"),
            around=cell.has_base,
            normalize=normalize,
        )
    elif cell.has_base:
        yield step("merge", **cell.fields, weights=(0.0, 1.0))


def _karcher(cell: Cell) -> Iterator[Operation]:
    if cell.parents:
        yield step("karcher", **cell.fields, iterations=cell.shared("max_iter"), tolerance=cell.shared("tol"))


def _task_arithmetic(cell: Cell) -> Iterator[Operation]:
    if cell.parents:
        yield step("task_arithmetic", **_added(cell))


def _ties(cell: Cell) -> Iterator[Operation]:
    if cell.parents:
        yield step("ties", **_added(cell), densities=cell.others("density"), rescale=cell.shared("rescale"))


def _breadcrumbs(elect: str) -> Build:
    def build(cell: Cell) -> Iterator[Operation]:
        if cell.parents:
            yield step(
                "breadcrumbs",
                **_added(cell),
                densities=cell.others("density"),
                gammas=cell.others("gamma"),
                rescale=cell.shared("rescale"),
                elect=elect,
            )

    return build


def _dare(elect: str) -> Build:
    def build(cell: Cell) -> Iterator[Operation]:
        if cell.parents:
            yield step(
                "dare", **_added(cell), densities=cell.others("density"), rescale=_rescale(cell), elect=elect
            )

    return build


def _della(elect: str) -> Build:
    def build(cell: Cell) -> Iterator[Operation]:
        if cell.parents:
            yield step(
                "della",
                **_added(cell),
                densities=cell.others("density"),
                epsilons=cell.others("epsilon"),
                rescale=_rescale(cell),
                elect=elect,
            )

    return build


def _added(cell: Cell) -> dict[str, Any]:
    """The fields that all sums of task vectors have."""
    return cell.fields | {
        "weights": cell.others("weight"),
        "scale": cell.shared("lambda"),
        "normalize": cell.shared("normalize"),
    }


def _rescale(cell: Cell) -> str:
    return "l1" if cell.shared("rescale") else "none"


def _sce(cell: Cell) -> Iterator[Operation]:
    if cell.parents:
        yield step("sce", **cell.fields, density=_within(cell.shared("select_topk")))


def _within(density: float | tuple[float, ...]) -> float | tuple[float, ...]:
    """More than everything is everything, less than nothing nothing."""
    if isinstance(density, tuple):
        return density
    return min(1.0, max(0.0, density))


def _ram(cell: Cell) -> Iterator[Operation]:
    if cell.parents:
        yield step("ram", **cell.fields, epsilon=cell.shared("epsilon"))


def _ramplus(cell: Cell) -> Iterator[Operation]:
    if cell.parents:
        fields = {"rate": cell.shared("r"), "limit": cell.shared("alpha")}
        yield step("ram", **cell.fields, epsilon=cell.shared("epsilon"), **fields)


def _model_stock(cell: Cell) -> Iterator[Operation]:
    yield step("model_stock", **cell.fields, filter_wise=cell.shared("filter_wise"))


def _nearswap(cell: Cell) -> Iterator[Operation]:
    yield step("nearswap", **cell.fields, t=cell.shared("t"))


def _arcee_fusion(cell: Cell) -> Iterator[Operation]:
    yield step("arcee_fusion", **cell.fields)


_WEIGHT = Parameter("weight", scope="others")
_DENSITY = Parameter("density", scope="others", default=1.0)
_GAMMA = Parameter("gamma", scope="others", default=0.01)
_EPSILON = Parameter("epsilon", scope="others", default=0.15)


def _flag(name: str, default: bool) -> Parameter:
    return Parameter(name, "flag", default=default, steady=True)


def _steady(name: str, default: float) -> Parameter:
    return Parameter(name, default=default, steady=True)


def _sum(build: Build, *more: Parameter, normalize: bool = False, rescale: bool = False) -> Method:
    """A sum of task vectors."""
    common = (
        _flag("normalize", normalize),
        _flag("rescale", rescale),
        Parameter("lambda", default=1.0),
        _WEIGHT,
    )
    inert = () if more else ("rescale",)
    return Method(build, (*common, *more), inert=inert)


METHODS: dict[str, Method] = {
    "linear": Method(_linear, (Parameter("weight", scope="each"), _flag("normalize", True)), "none", 1),
    "slerp": Method(_slerp, (Parameter("t"),), "needed", 1, 1),
    "nuslerp": Method(
        _nuslerp,
        (_WEIGHT, _flag("nuslerp_row_wise", False), _flag("nuslerp_flatten", True)),
        *("allowed", 2, 2),
    ),
    "multislerp": Method(
        _multislerp,
        (_WEIGHT, _flag("normalize_weights", True)),
        *("allowed", 1),
        inert=("eps",),
    ),
    "karcher": Method(
        _karcher,
        (Parameter("max_iter", "integer", default=10, steady=True), _steady("tol", 1e-5)),
        *("none", 1),
    ),
    "task_arithmetic": _sum(_task_arithmetic),
    "ties": _sum(_ties, _DENSITY, normalize=True),
    "dare_linear": _sum(_dare("none"), _DENSITY, rescale=True),
    "dare_ties": _sum(_dare("sum"), _DENSITY, rescale=True),
    "della": _sum(_della("sum"), _DENSITY, _EPSILON, normalize=True, rescale=True),
    "della_linear": _sum(_della("none"), _DENSITY, _EPSILON, rescale=True),
    "breadcrumbs": _sum(_breadcrumbs("none"), _DENSITY, _GAMMA),
    "breadcrumbs_ties": _sum(_breadcrumbs("sum"), _DENSITY, _GAMMA),
    "sce": Method(_sce, (Parameter("select_topk", default=1.0),)),
    "ram": Method(_ram, (_steady("epsilon", 1e-5),)),
    "ramplus_tl": Method(
        _ramplus, (Parameter("r", default=0.1), Parameter("alpha", default=0.2), _steady("epsilon", 1e-5))
    ),
    "model_stock": Method(_model_stock, (_flag("filter_wise", False),), "needed", 2),
    "nearswap": Method(_nearswap, (Parameter("t"),), "needed", 1, 1),
    "arcee_fusion": Method(_arcee_fusion, (), "needed", 1, 1),
    "passthrough": Method(_passthrough, (Parameter("scale", scope="each", default=None),), "none", 1, 1),
}

PARAMETERS = sorted(
    {parameter.name for method in METHODS.values() for parameter in method.parameters} | {"int8_mask", "eps"}
)
"""Every parameter that one of the methods has."""
