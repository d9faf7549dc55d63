"""The register of advisers: those that ship and those of installed packages, by name and as text."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from surgery.advise.contract import Adviser
from surgery.advise.examples.activation_sparsity import ActivationSparsity
from surgery.advise.examples.angular_distance import AngularDistance
from surgery.advise.examples.block_influence import BlockInfluence
from surgery.advise.examples.expert_usage import ExpertUsage
from surgery.advise.examples.naswot import Naswot
from surgery.advise.examples.outliers import Outliers
from surgery.advise.examples.similarity import Similarity
from surgery.advise.gradients.gradient_agreement import GradientAgreement
from surgery.advise.gradients.grasp import Grasp
from surgery.advise.gradients.head_importance import HeadImportance
from surgery.advise.gradients.module_sensitivity import ModuleSensitivity
from surgery.advise.gradients.snip import Snip
from surgery.advise.gradients.tie_cut import TieCut
from surgery.advise.weights.stable_rank import StableRank
from surgery.advise.weights.synflow import Synflow
from surgery.advise.weights.weight_norm import WeightNorm
from surgery.advise.weights.weight_similarity import WeightSimilarity
from surgery.entries import Kind, Unavailable, gathered, named, worded

ENTRY_POINTS = "surgery.advisers"
BUILT_IN: tuple[type[Adviser], ...] = (
    BlockInfluence,
    AngularDistance,
    Similarity,
    WeightSimilarity,
    GradientAgreement,
    TieCut,
    ActivationSparsity,
    WeightNorm,
    StableRank,
    Outliers,
    HeadImportance,
    ExpertUsage,
    ModuleSensitivity,
    Snip,
    Synflow,
    Grasp,
    Naswot,
)
_KIND = Kind(Adviser, "adviser", "@adviser", "score")


@dataclass(frozen=True)
class Register:
    """All advisers by name, and those of installed packages that are not among them."""

    advisers: dict[str, type[Adviser]]
    unavailable: tuple[Unavailable, ...]


@cache
def register() -> Register:
    """What there is; a package that fails, or takes a name that is not free, costs no other anything."""
    return Register(*gathered(_KIND, BUILT_IN, entry_points(group=ENTRY_POINTS)))


def advisers() -> dict[str, type[Adviser]]:
    """All advisers by name, ours first, then those of the entry-point group `surgery.advisers`."""
    return register().advisers


def adviser_named(name: str) -> type[Adviser]:
    """The adviser called `name`; SurgeryError with the nearest name, or the reason it cannot be had."""
    return named(_KIND, name, advisers(), register().unavailable)


def adviser_in(text: str, fields: dict[str, Any] | None = None) -> Adviser:
    """The adviser that a word names, with fields behind it: `angular_distance:n=2`; `fields` win."""
    name, values = worded(text)
    return adviser_named(name).from_fields(values | (fields or {}))
