"""The functions that recipes name. Importing this package registers them all."""

from surgery.functions import arithmetic, initial, magnitude

__all__ = ["arithmetic", "initial", "magnitude"]
