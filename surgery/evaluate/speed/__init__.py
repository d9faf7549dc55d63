"""How quick and how large a model is, before and after surgery: latency, throughput, memory, size."""

from surgery.evaluate.speed.memory import peak_bytes, stored_bytes
from surgery.evaluate.speed.report import Pace, SpeedReport
from surgery.evaluate.speed.speed import measure_speed

__all__ = ["Pace", "SpeedReport", "measure_speed", "peak_bytes", "stored_bytes"]
