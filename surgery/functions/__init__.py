"""The functions that recipes name. Importing this package registers them all."""

from surgery.functions import arithmetic, initial, layout, magnitude, units

__all__ = ["arithmetic", "initial", "layout", "magnitude", "units"]
