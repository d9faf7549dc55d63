"""Each way to merge gives what its paper says, written out here once more, tensor by tensor."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from surgery import SurgeryError
from tests.surgery.merging.parents import family, merged, tensors

Expected = Callable[[Tensor, list[Tensor]], Tensor]


def trimmed(vector: Tensor, density: float) -> Tensor:
    """The largest part of a task vector."""
    kept = max(1, int(density * vector.numel()))
    threshold = vector.abs().flatten().sort(descending=True).values[kept - 1]
    return torch.where(vector.abs() >= threshold, vector, 0)


def elected(vectors: list[Tensor], weights: list[float], normalize: bool = True) -> Tensor:
    """The mean of what has the sign of the sum."""
    parts = torch.stack([vector * weight for vector, weight in zip(vectors, weights, strict=True)])
    sign = torch.where(parts.sum(0) >= 0, 1.0, -1.0)
    agrees = parts.sign() == sign
    total = (agrees * torch.tensor(weights).view(-1, *[1] * vectors[0].dim())).sum(0)
    made = (parts * agrees).sum(0)
    return made / torch.where(total == 0, 1.0, total) if normalize else made


def ties(base: Tensor, others: list[Tensor]) -> Tensor:
    """Trim to 0.3, elect, mean; weights 1 and 0.5; λ 0.7."""
    vectors = [trimmed(other - base, 0.3) for other in others]
    return base + 0.7 * elected(vectors, [1.0, 0.5])


def slerp(base: Tensor, others: list[Tensor], t: float = 0.3, straight: float = 0.9995) -> Tensor:
    """The great arc, in float64."""
    one, two = base.double().flatten(), others[0].double().flatten()
    cosine = float(one @ two / one.norm() / two.norm())
    if abs(cosine) > straight:
        return ((1 - t) * base.double() + t * others[0].double()).float()
    angle = math.acos(cosine)
    first, second = math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)
    return (first * base.double() + second * others[0].double()).float()


def karcher(base: Tensor, others: list[Tensor]) -> Tensor:
    """The mean on the sphere by many small steps, not by the method's own."""
    models = [tensor.double().flatten() for tensor in (base, *others)]
    norms = [float(model.norm()) for model in models]
    units = [model / norm for model, norm in zip(models, norms, strict=True)]
    mean = sum(units[1:], units[0]) / 3
    mean = mean / mean.norm()
    for _ in range(150):
        pull = torch.zeros_like(mean)
        for unit in units:
            angle = torch.arccos((mean @ unit).clamp(-1, 1))
            if angle > 1e-12:
                pull += angle / angle.sin() * (unit - (mean @ unit) * mean) / 3
        mean = mean + 0.3 * pull
        mean = mean / mean.norm()
    return (mean * sum(norms) / 3).view(base.shape).float()


def stock(base: Tensor, others: list[Tensor]) -> Tensor:
    """T · mean + (1 − t) θ₀."""
    one, two = ((other - base).double().flatten() for other in others)
    cosine = float(one @ two / (one.norm() * two.norm()).clamp(min=1e-12))
    t = 2 * cosine / (1 + cosine)
    return (t * (others[0] + others[1]).double() / 2 + (1 - t) * base.double()).float()


def stock_rows(base: Tensor, others: list[Tensor]) -> Tensor:
    """Each row by itself."""
    rows = base.reshape(-1, base.shape[-1])
    made = [
        stock(rows[index], [other.reshape(rows.shape)[index] for other in others])
        for index in range(len(rows))
    ]
    return torch.stack(made).view(base.shape)


def sce(base: Tensor, others: list[Tensor]) -> Tensor:
    """The half with the largest variance, weights by squares, minority signs erased."""
    vectors = torch.stack([other - base for other in others])
    variance = vectors.var(0, unbiased=False)
    kept = int(int((variance > 0).sum()) * 0.5)
    threshold = variance.flatten().sort(descending=True).values[kept - 1] if kept else math.inf
    vectors = torch.where(variance >= threshold, vectors, 0)
    squares = vectors.square().flatten(1).sum(1)
    weights = squares / squares.sum() if squares.sum() > 0 else torch.full_like(squares, 1 / len(squares))
    sign = torch.where(vectors.sum(0) >= 0, 1.0, -1.0)
    shares = weights.view(-1, *[1] * base.dim()) * (vectors.sign() == sign)
    return base + (vectors * shares).sum(0) / shares.sum(0).clamp(min=1e-6)


def ram_plus(base: Tensor, others: list[Tensor]) -> Tensor:
    """Means where both changed, strengthened where one did."""
    vectors = torch.stack([other - base for other in others])
    changed = vectors.abs() > 1e-5
    count = changed.sum(0)
    made = torch.zeros_like(base)
    for vector, mine in zip(vectors, changed, strict=True):
        shared, alone = int((mine & (count > 1)).sum()), int((mine & (count == 1)).sum())
        gain = 1 + 0.1 * min(0.2, shared / max(alone, 1e-5))
        made += torch.where(mine & (count == 1), vector * gain, 0)
        made += torch.where(mine & (count > 1), vector / count.clamp(min=1), 0)
    return base + made


def fusion(base: Tensor, others: list[Tensor]) -> Tensor:
    """What reaches the median + 1.5 quartile distances of |Δ| · KL."""
    p, q = others[0].softmax(-1) + 1e-8, base.softmax(-1) + 1e-8
    scores = (others[0] - base).abs() * (p * (p / q).log()).sum(-1, keepdim=True).clamp(min=0)
    ordered = scores.flatten().sort().values
    low, median, high = (ordered[int(part * (len(ordered) - 1))] for part in (0.25, 0.5, 0.75))
    return torch.where(scores >= median + 1.5 * (high - low), others[0], base)


def nearswap(base: Tensor, others: list[Tensor]) -> Tensor:
    """The nearer the more."""
    share = (0.005 / (others[0] - base).abs().clamp(min=1e-6)).clamp(0, 1)
    return share * others[0] + (1 - share) * base


def breadcrumbs(base: Tensor, others: list[Tensor]) -> Tensor:
    """Without the largest 5 % and the smallest."""
    made = base.clone()
    for other in others:
        vector = other - base
        ordered = vector.abs().flatten().sort().values
        count = vector.numel()
        kept, top = int(0.6 * count), int(0.05 * count)
        below = max(0, count - kept - top)
        if not kept:
            continue
        low, high = ordered[below], ordered[below + kept - 1]
        made += torch.where((vector.abs() >= low) & (vector.abs() <= high), vector, 0)
    return made


def mean_direction(base: Tensor, others: list[Tensor]) -> Tensor:
    """The direction of the sum of unit vectors at the mean length."""
    models = [tensor.double() for tensor in (base, *others)]
    norms = [model.norm() for model in models]
    total = sum(
        (model / norm for model, norm in zip(models, norms, strict=True)), torch.zeros_like(models[0])
    )
    return (total / total.norm() * (sum(norms) / len(norms))).float()


def arc_of_vectors(base: Tensor, others: list[Tensor]) -> Tensor:
    """The arc between two task vectors, on the base."""
    vectors = [other.double() - base.double() for other in others]
    return (base.double() + slerp(vectors[0], [vectors[1]], 0.75).double()).float()


def dare_all(base: Tensor, others: list[Tensor]) -> Tensor:
    """At density 1 nothing is dropped."""
    return base + 0.5 * (others[0] - base) - 0.25 * (others[1] - base)


CASES: list[tuple[str, int, dict[str, Any], Expected]] = [
    ("merge", 2, {"weights": [2.0, 1.0, 1.0], "normalize": True},
     lambda base, others: 0.5 * base + 0.25 * others[0] + 0.25 * others[1]),
    ("soup", 2, {"t": 0.8}, lambda base, others: 0.2 * base + 0.4 * others[0] + 0.4 * others[1]),
    ("soup", 2, {"t": 1.5, "weights": [3.0, 1.0]},
     lambda base, others: -0.5 * base + 1.125 * others[0] + 0.375 * others[1]),
    ("task_arithmetic", 2, {"weights": [1.0, -0.5], "scale": 0.8},
     lambda base, others: base + 0.8 * ((others[0] - base) - 0.5 * (others[1] - base))),
    ("task_arithmetic", 2, {"weights": [3.0, 1.0], "normalize": True},
     lambda base, others: base + 0.75 * (others[0] - base) + 0.25 * (others[1] - base)),
    ("ties", 2, {"weights": [1.0, 0.5], "densities": [0.3], "scale": 0.7}, ties),
    ("breadcrumbs", 2, {"densities": [0.6], "gammas": [0.05]}, breadcrumbs),
    ("dare", 2, {"weights": [0.5, -0.25], "densities": [1.0]}, dare_all),
    ("della", 2, {"weights": [1.0, 0.5], "densities": [1.0]},
     lambda base, others: base + elected([other - base for other in others], [1.0, 0.5])),
    ("sce", 2, {"density": 0.5}, sce),
    ("ram", 2, {"rate": 0.1}, ram_plus),
    ("slerp", 1, {"t": 0.3}, slerp),
    ("nuslerp", 1, {"weights": [1.5, 1.0]}, lambda base, others: slerp(base, others, 0.4, 1 - 1e-9)),
    ("nuslerp", 2, {"weights": [1.0, 3.0]}, arc_of_vectors),
    ("multislerp", 2, {}, mean_direction),
    ("karcher", 2, {"iterations": 100, "tolerance": 1e-12}, karcher),
    ("model_stock", 2, {}, stock),
    ("model_stock", 2, {"filter_wise": True}, stock_rows),
    ("nearswap", 1, {"t": 0.005}, nearswap),
    ("arcee_fusion", 1, {}, fusion),
]  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A base and two models tuned from it."""
    return family(tmp_path_factory.mktemp("models"), 2)


@pytest.mark.parametrize(
    "verb, count, fields, expected", CASES, ids=[f"{place}-{case[0]}" for place, case in enumerate(CASES)]
)
def test_it_is_what_the_formula_says(
    verb: str, count: int, fields: dict[str, Any], expected: Expected, models: tuple[Path, list[str]]
) -> None:
    """For every tensor of the model, to rounding in float32."""
    base, parents = models[0], models[1][:count]
    found = merged(base, verb, parents, **fields)
    start, others = tensors(base), [tensors(parent) for parent in parents]
    assert found.keys() == start.keys()
    for name, tensor in found.items():
        wanted = expected(start[name], [other[name] for other in others])
        torch.testing.assert_close(tensor, wanted, rtol=2e-5, atol=2e-6, msg=lambda said: f"{name}: {said}")  # noqa: B023


def test_weights_that_cancel_are_refused(models: tuple[Path, list[str]]) -> None:
    """Also where rounding leaves something of them; a weight of 0 counts for nothing, whatever it weighs."""
    for verb, fields in (
        ("merge", {"weights": [0.1, 0.2, -0.3], "normalize": True}),
        ("soup", {"weights": [0.1, -0.1]}),
        ("multislerp", {"weights": [0.1, 0.2, -0.3]}),
    ):
        with pytest.raises(SurgeryError, match="the weights sum up to zero"):
            merged(models[0], verb, models[1], **fields)
    found = merged(models[0], "soup", models[1], t=0.0)
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors(models[0]).items())


def test_the_default_dtype_changes_no_bit(models: tuple[Path, list[str]]) -> None:
    """Elections and shares are counted in the dtype of the arithmetic."""
    first, before = {}, torch.get_default_dtype()
    cases: list[tuple[str, dict[str, Any]]] = [("ties", {"weights": [0.3, 0.6]}), ("sce", {"density": 0.5})]
    for dtype in (torch.float32, torch.float64):
        torch.set_default_dtype(dtype)
        try:
            made = {
                verb: merged(models[0], verb, models[1], "model.layers.0", **more) for verb, more in cases
            }
        finally:
            torch.set_default_dtype(before)
        for verb, found in made.items():
            known = first.setdefault(verb, found)
            assert all(torch.equal(tensor, known[name]) for name, tensor in found.items())


def test_each_changes_something(models: tuple[Path, list[str]]) -> None:
    """And each something else: none of the verbs is another in disguise."""
    seen: dict[bytes, str] = {}
    for number, (verb, count, fields, _) in enumerate(CASES):
        made = merged(models[0], verb, models[1][:count], targets="model.layers.0.mlp.up_proj", **fields)
        tensor = made["model.layers.0.mlp.up_proj.weight"]
        assert not torch.equal(tensor, tensors(models[0])["model.layers.0.mlp.up_proj.weight"])
        key = tensor.numpy().tobytes()
        assert key not in seen, f"{verb} is {seen[key]}"
        seen[key] = f"{number}: {verb}"
