"""Advisers: numbers per place that say where a cut is likely to be cheap, without making it."""

from surgery.advise.advice import Advice, Item, Ranked
from surgery.advise.case import Case
from surgery.advise.contract import Adviser, adviser
from surgery.advise.register import adviser_named, advisers

__all__ = ["Advice", "Adviser", "Case", "Item", "Ranked", "adviser", "adviser_named", "advisers"]
