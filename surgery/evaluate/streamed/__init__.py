"""Models whose weights are larger than the memory, measured while their weights pass by once."""

from surgery.evaluate.streamed.drawn import Drawn, drawn
from surgery.evaluate.streamed.passing import Edited, Pass
from surgery.evaluate.streamed.sweep import StreamedSweep, refuse_unstreamed
from surgery.evaluate.streamed.weights import Weights, stored_weights

__all__ = [
    "Drawn",
    "Edited",
    "Pass",
    "StreamedSweep",
    "Weights",
    "drawn",
    "refuse_unstreamed",
    "stored_weights",
]
