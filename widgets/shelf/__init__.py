"""The parents' shelf: other checkpoints and adapters beside the model, and the step they make together."""

from widgets.shelf.gestures import wire
from widgets.shelf.shelf import Shelf

__all__ = ["Shelf", "wire"]
