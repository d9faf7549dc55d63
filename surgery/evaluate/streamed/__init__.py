"""Models whose weights are larger than the memory, measured while their weights pass by once."""

from surgery.evaluate.streamed.passing import Edited, Pass
from surgery.evaluate.streamed.sweep import StreamedSweep, refuse_unstreamed
from surgery.evaluate.streamed.weights import Weights

__all__ = [
    "Edited",
    "Pass",
    "StreamedSweep",
    "Weights",
    "refuse_unstreamed",
]
