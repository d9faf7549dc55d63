"""Add what other models learned, or take it away."""

from __future__ import annotations

from surgery.fields import option
from surgery.lazy import Lazy
from surgery.merging import Here, TaskVectors
from surgery.operation import operation


@operation(title="Task arithmetic", group="merge", source="Ilharco et al. 2023, arXiv:2212.04089")
class TaskArithmetic(TaskVectors):
    """Each tensor is θ₀ + λ Σ wᵢ (θᵢ − θ₀), with this model as θ₀; a negative weight unlearns a task.

    Fields: `weights`, one per parent; `scale` λ; `normalize` divides by Σ wᵢ. Computed in float32 or wider.
    """

    normalize: bool = option(False, help="divide by the sum of the weights")

    def merged(self, here: Here) -> Lazy:
        return self._added(here, here.vectors(), "none", self.normalize)
