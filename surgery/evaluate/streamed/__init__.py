"""Models whose weights are larger than the memory, measured while their weights pass by once."""

from surgery.evaluate.streamed.drawn import Drawn, drawn
from surgery.evaluate.streamed.sweep import StreamedSweep
from surgery.evaluate.streamed.weights import Weights, stored_weights

__all__ = ["Drawn", "StreamedSweep", "Weights", "drawn", "stored_weights"]
