"""Which blocks a model can best do without: criteria measured on data, and choices under a budget."""

from surgery.shortening.choosing import cheapest
from surgery.shortening.freeing import Freed, share_parameters
from surgery.shortening.removals import Removals
from surgery.shortening.turning import Turns, turned

__all__ = ["Freed", "Removals", "Turns", "cheapest", "share_parameters", "turned"]
