"""What would each edit cost? Many candidates measured on the same examples."""

from surgery.evaluate.sweep.candidates import candidates
from surgery.evaluate.sweep.report import Row, SweepReport, paths_of
from surgery.evaluate.sweep.sweep import Sweep

__all__ = ["Row", "Sweep", "SweepReport", "candidates", "paths_of"]
