"""The plotly chart: size against the metric, a point per measured state."""

from __future__ import annotations

import sys
from collections.abc import Callable
from html import escape
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

AXES = {
    "parameters": "parameters",
    "size_bytes": "bytes in memory",
    "macs_per_token": "MACs per token",
    "kv_bytes_per_token": "KV cache per token, bytes",
    "latency_ms": "latency, ms (where timed)",
    "peak_bytes": "peak memory, bytes (where timed)",
}
"""What the states can be set against, by the name that a point has it under."""


class SizeChart(ipywidgets.VBox):
    """Size against the metric; plotly is loaded when the first state has been measured."""

    def __init__(self, go_to: Callable[[int], None]) -> None:
        self._go_to = go_to
        self.figure: Any = None
        self.points: list[dict[str, Any]] = []
        self._shown = ""
        self.axis = ipywidgets.Dropdown(
            options=[(label, name) for name, label in AXES.items()],
            value="parameters",
            description="Set the states against",
            layout={"width": "auto"},
            tooltip="what the states are set against",
        )
        self.axis.add_class("ms-axis")
        self.axis.observe(lambda _: self.draw(self.points), "value")
        super().__init__([_heading("Size against quality", EMPTY)])

    def draw(self, points: list[dict[str, Any]]) -> None:
        """Puts the measured states into the chart; the current one stands out, the best are joined."""
        self.points = points
        if not points:
            if self.figure is not None:
                self.clear()
            return
        if self.figure is None:
            self.figure = _figure(self._clicked)
        figure, name = self.figure, self.axis.value
        shown = [point for point in points if point.get(name) is not None]
        ahead = front([(point[name], point["value"]) for point in shown], points[0]["better"])
        with figure.batch_update():
            trace, line = figure.data
            trace.x = [point[name] for point in shown]
            trace.y = [point["value"] for point in shown]
            trace.text = [escape(point["label"]) for point in shown]  # plotly reads markup
            trace.customdata = [point["id"] for point in shown]
            trace.marker.color = [
                ACCENT if point["current"] or place in ahead else QUIET for place, point in enumerate(shown)
            ]
            trace.marker.size = [12 if point["current"] else 8 for point in shown]
            trace.error_y.array = [point["half_width"] for point in shown]
            line.x = [shown[place][name] for place in ahead]
            line.y = [shown[place]["value"] for place in ahead]
            figure.layout.xaxis.title.text = AXES[name]
            if shown:
                figure.layout.xaxis.range = _range([point[name] for point in shown])
        metric = points[0]["metric"]
        if self._shown != metric:
            self._shown = metric
            self.children = [_heading(f"Size against {metric}", ""), self.axis, figure]

    def clear(self) -> None:
        """Another model: nothing was measured of it yet."""
        self.points, self.figure, self._shown = [], None, ""
        self.children = [_heading("Size against quality", EMPTY)]

    def _clicked(self, trace: Any, points: Any, _state: Any) -> None:
        if points.point_inds:
            self._go_to(int(trace.customdata[points.point_inds[0]]))


def front(points: list[tuple[float, float]], better: str) -> list[int]:
    """The places of the points that no other beats in both, from the smallest to the largest.

    A point is (size, value); `better` says which values are: `higher` or `lower`.
    """
    sign = -1.0 if better == "higher" else 1.0
    found: list[int] = []
    best = float("inf")
    for place in sorted(range(len(points)), key=lambda place: (points[place][0], sign * points[place][1])):
        if sign * points[place][1] < best:
            best = sign * points[place][1]
            found.append(place)
    return found


def _heading(title: str, below: str) -> ipywidgets.HTML:
    return ipywidgets.HTML(HEADING.format(escape(title), below))


def _range(sizes: list[float]) -> list[float]:
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
        hovertemplate="%{text}<br>%{x:.4s}<br>%{y:.3f}<extra></extra>",
    )
    figure.add_scatter(mode="lines", line={"color": ACCENT, "width": 1.5}, hoverinfo="skip")
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
