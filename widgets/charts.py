"""The plotly chart: size against the metric, a point per measured state."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import ipywidgets

# plotly's import of nbformat would build a URI grammar for two seconds that nothing here needs.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

ACCENT, QUIET = "#6d66ea", "#85858f"

HEADING = (
    '<section class="ms-panel ms-chart"><header class="ms-chart-head">'
    '<h2 class="ms-heading">{}</h2></header>{}</section>'
)
EMPTY = '<p class="ms-empty">Each state that is evaluated becomes a point; click one to go there.</p>'


class SizeChart(ipywidgets.VBox):
    """Size against the metric; plotly is loaded when the first state has been measured."""

    def __init__(self, go_to: Callable[[int], None]) -> None:
        self._go_to = go_to
        self.figure: Any = None
        self._shown = False
        super().__init__([_heading("Size against quality", EMPTY)])

    def draw(self, points: list[dict[str, Any]]) -> None:
        """Puts the measured states into the chart; the current one stands out."""
        if not points:
            return
        if self.figure is None:
            self.figure = _figure(self._clicked)
        figure = self.figure
        with figure.batch_update():
            trace = figure.data[0]
            trace.x = [point["parameters"] for point in points]
            trace.y = [point["value"] for point in points]
            trace.text = [point["label"] for point in points]
            trace.customdata = [point["id"] for point in points]
            trace.marker.color = [ACCENT if point["current"] else QUIET for point in points]
            trace.marker.size = [12 if point["current"] else 8 for point in points]
            trace.error_y.array = [point["half_width"] for point in points]
            figure.layout.xaxis.range = _range([point["parameters"] for point in points])
        if not self._shown:
            self._shown = True
            self.children = [_heading(f"Size against {points[0]['metric']}", ""), figure]

    def _clicked(self, trace: Any, points: Any, _state: Any) -> None:
        if points.point_inds:
            self._go_to(int(trace.customdata[points.point_inds[0]]))


def _heading(title: str, below: str) -> ipywidgets.HTML:
    return ipywidgets.HTML(HEADING.format(title, below))


def _range(sizes: list[int]) -> list[float]:
    """The sizes with a margin, and never so narrow that the ticks repeat themselves."""
    low, high = min(sizes), max(sizes)
    margin = max((high - low) * 0.12, high * 0.04)
    return [low - margin, high + margin]


def _figure(clicked: Callable[[Any, Any, Any], None]) -> Any:
    import plotly.graph_objects as go

    figure = go.FigureWidget()
    figure.add_scatter(
        mode="markers",
        marker={"size": 9, "color": []},
        error_y={"type": "data", "array": [], "thickness": 1, "width": 3, "color": QUIET},
        hovertemplate="%{text}<br>%{x:,} parameters<br>%{y:.3f}<extra></extra>",
    )
    figure.update_layout(
        margin={"l": 40, "r": 14, "t": 4, "b": 36},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 11, "color": QUIET},
        showlegend=False,
        autosize=True,
        height=206,
    )
    grid = {"gridcolor": "rgba(128,128,140,0.18)", "zeroline": False, "linecolor": "rgba(128,128,140,0.4)"}
    small = {"font": {"size": 11}}
    figure.update_xaxes(
        title={"text": "parameters", "standoff": 6, **small}, tickformat=".3~s", nticks=5, **grid
    )
    figure.update_yaxes(nticks=5, **grid)
    figure._config = figure._config | {"displayModeBar": False, "responsive": True}
    figure.data[0].on_click(clicked)
    return figure
