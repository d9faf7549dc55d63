"""Merging with other checkpoints: what all such operations have in common."""

from surgery.merging.merging import Here, Merging
from surgery.merging.task_vectors import TaskVectors
from surgery.merging.with_parents import WithParents

__all__ = ["Here", "Merging", "TaskVectors", "WithParents"]
