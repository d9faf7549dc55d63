"""Charts that help to choose the values of an operation: bars, curves and heat maps, written as SVG."""

from surgery.charts.kinds import Bars, Chart, Curves, Heat

__all__ = ["Bars", "Chart", "Curves", "Heat"]
