"""The plotly chart: size against the metric, a point per measured state."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

# plotly's import of nbformat would build a URI grammar for two seconds that nothing here needs.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

ACCENT, QUIET = "#4f46e5", "#8a8a94"


def size_chart(go_to: Callable[[int], None]) -> Any:
    """An empty FigureWidget; a click on a point calls `go_to` with its state's id."""
    import plotly.graph_objects as go

    figure = go.FigureWidget()
    figure.add_scatter(
        mode="markers",
        marker={"size": 9, "color": []},
        error_y={"type": "data", "array": [], "thickness": 1, "width": 3, "color": QUIET},
        hovertemplate="%{text}<br>%{x:,} parameters<br>%{y:.3f}<extra></extra>",
    )
    figure.update_layout(
        margin={"l": 46, "r": 12, "t": 8, "b": 34},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 11, "color": QUIET},
        showlegend=False,
        autosize=True,
        height=188,
        hoverlabel={"namelength": -1},
    )
    grid = {"gridcolor": "rgba(128,128,140,0.18)", "zeroline": False, "linecolor": "rgba(128,128,140,0.4)"}
    figure.update_xaxes(title={"text": "parameters", "standoff": 6}, tickformat="~s", nticks=5, **grid)
    figure.update_yaxes(title={"text": "", "standoff": 4}, nticks=5, **grid)
    figure._config = figure._config | {"displayModeBar": False, "responsive": True}

    def clicked(trace: Any, points: Any, _state: Any) -> None:
        if points.point_inds:
            go_to(int(trace.customdata[points.point_inds[0]]))

    figure.data[0].on_click(clicked)
    return figure


def draw(figure: Any, points: list[dict[str, Any]]) -> None:
    """Puts the measured states into the chart; the current one stands out."""
    with figure.batch_update():
        trace = figure.data[0]
        trace.x = [point["parameters"] for point in points]
        trace.y = [point["value"] for point in points]
        trace.text = [point["label"] for point in points]
        trace.customdata = [point["id"] for point in points]
        trace.marker.color = [ACCENT if point["current"] else QUIET for point in points]
        trace.marker.size = [12 if point["current"] else 8 for point in points]
        trace.error_y.array = [point["half_width"] for point in points]
        figure.layout.yaxis.title.text = points[0]["metric"] if points else ""
