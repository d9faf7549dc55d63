"""The functions that recipes name. Importing this package registers them all."""

from surgery.functions import arithmetic, initial, magnitude, units

__all__ = ["arithmetic", "initial", "magnitude", "units"]
