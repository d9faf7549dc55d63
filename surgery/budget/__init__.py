"""How much can be saved, and what that is likely to cost: plans of many edits, from sweeps of each alone."""

from surgery.budget.budget import Budget
from surgery.budget.plan import Outcome, Plan, Prediction

__all__ = ["Budget", "Outcome", "Plan", "Prediction"]
