"""Charts are plain values, drawn as SVG that loads nothing and shows names as text."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

import surgery
from surgery import SurgeryError
from surgery.charts import Bars, Chart, Curves, Heat
from surgery.charts.names import told_apart

BARS = Bars(title="Heads", labels=("0", "1", "2"), values=(1.0, 0.25, -0.5), unit="Σw²", marked=(1,))
CURVES = Curves(
    title="Error", lines={"a": ((0, 1), (4, 0.5)), "b": ((0, 0.9), (4, 0.0))}, x="rank", y="error", mark=2
)
HEAT = Heat(
    title="Alike", rows=("q", "k"), columns=("0", "1"), values=((1.0, 0.0), (0.0, 1.0)), unit="cosine"
)
SVG = "{http://www.w3.org/2000/svg}"


def parts(chart: Chart, name: str, width: float = 640) -> list[ElementTree.Element]:
    """Elements of this name in the drawing."""
    return list(ElementTree.fromstring(chart.svg(width)).iter(f"{SVG}{name}"))


def test_bars_stand_on_zero_and_the_marked_ones_have_another_colour() -> None:
    """Heights are to scale; what is below zero hangs from it."""
    first, second, third = parts(BARS, "rect")[1:]
    heights = [float(bar.get("height", 0)) for bar in (first, second, third)]
    assert heights[0] / heights[1] == pytest.approx(4, rel=0.02)
    assert heights[0] / heights[2] == pytest.approx(2, rel=0.02)
    foot = float(first.get("y", 0)) + heights[0]
    assert float(third.get("y", 0)) == pytest.approx(foot, abs=0.2)
    assert first.get("fill") == third.get("fill") != second.get("fill")


def test_curves_have_a_line_each_a_key_and_a_mark() -> None:
    """The mark stands half-way where its value does; a single line needs no key."""
    dots = [float(dot.get("cx", 0)) for dot in parts(CURVES, "circle")]
    mark = next(path for path in parts(CURVES, "path") if path.get("stroke-dasharray"))
    assert float(mark.get("d", "").split(" ")[0][1:]) == pytest.approx((dots[0] + dots[1]) / 2, abs=0.2)
    assert {"a", "b"} <= {text.text for text in parts(CURVES, "text")}
    alone = Curves(title="Error", lines={"a": ((0, 1), (4, 0.5))}, x="rank", y="error")
    assert "a" not in {text.text for text in parts(alone, "text")}


def test_names_in_a_key_leave_out_what_all_share() -> None:
    """The segments that all begin or end with; one name stays as it is."""
    names = [f"model.layers.3.{name}.weight" for name in ("mlp.up", "mlp.down")]
    assert told_apart(names) == ["up", "down"]
    assert told_apart(names[:1]) == names[:1]
    assert told_apart(["a.w", "a.w.x"]) == ["w", "w.x"] and told_apart(["a", "b"]) == ["a", "b"]


def test_cells_say_their_number_where_there_is_room() -> None:
    """On a page, not in forty columns of a form."""
    assert [text.text for text in parts(HEAT, "text")].count("1") >= 2
    wide = Heat(title="Alike", rows=("q",), columns=tuple("x" * 40), values=(tuple(range(40)),))
    assert "39" not in {text.text for text in parts(wide, "text", 320)}


@pytest.mark.parametrize("chart", [BARS, CURVES, HEAT])
def test_names_are_text(chart: Chart, tmp_path: Path) -> None:
    """Markup in a name stays a name, and the file is well-formed in every theme."""
    title = '<script>alert("x")</script>&'
    drawn = type(chart)(**{**vars(chart), "title": title})
    for theme in ("light", "dark", "auto"):
        place = drawn.write(tmp_path / "chart.svg", theme=theme)  # type: ignore[arg-type]
        root = ElementTree.parse(place).getroot()
        assert root.findtext(f"{SVG}title") == title and not list(root.iter(f"{SVG}script"))
    assert (
        "prefers-color-scheme" in place.read_text()
        and "http" not in drawn.svg().replace("www.w3.org", "").split(">", 1)[1]
    )


def test_what_cannot_be_drawn_is_refused() -> None:
    """Numbers that are none, labels that do not fit, and nothing at all."""
    with pytest.raises(SurgeryError, match="finite"):
        Bars(title="x", labels=("a",), values=(math.nan,))
    with pytest.raises(SurgeryError, match="2 labels, 1 values"):
        Bars(title="x", labels=("a", "b"), values=(1.0,))
    with pytest.raises(SurgeryError, match="needs points"):
        Curves(title="x", lines={"a": ()}, x="", y="")
    with pytest.raises(SurgeryError, match="expected 1 of 2"):
        Heat(title="x", rows=("a",), columns=("b", "c"), values=((1.0,),))


def test_a_session_shows_the_chart_of_an_edit_and_makes_none() -> None:
    """Of values as the operation's own method takes them; None where an operation has no chart."""
    session = surgery.open("demo-cnn")
    chart = session.chart("sparsify", "stem", ratio=0.25)
    assert isinstance(chart, Curves) and chart.mark == 0.25
    (line,) = chart.lines.values()
    weight = session.model.get_submodule("stem")
    flat = next(p for p in weight.parameters() if p.dim() > 1).detach().abs().flatten().sort().values
    ends = line[0][1], line[-1][1]
    assert ends == pytest.approx((float(flat[0]), float(flat[-1])))
    assert session.chart("remove", "stage1[1]") is None and not session.steps


def test_without_weights_there_is_no_chart() -> None:
    """It is refused, and the way out is in the sentence."""
    session = surgery.open("demo", skeleton=True)
    assert session.chart("remove", "model.layers[1]") is None
    with pytest.raises(SurgeryError, match="without them"):
        session.chart("sparsify", "model.layers[1]")


def test_a_heading_without_room_takes_rows() -> None:
    """In a form nothing of it is cut off: not the title, nor what is told of the values."""
    long = Bars(title="Largest scale of a norm over its mean", labels=("a",), values=(1.0,), unit="1 to 1.12")
    for width, rows in (
        (600, ["Largest scale of a norm over its mean", "1 to 1.12"]),
        (302, ["Largest scale of a norm over its", "mean", "1 to 1.12"]),
    ):
        root = ElementTree.fromstring(long.svg(width))
        drawn = [text.text for text in root.iter(f"{SVG}text")]
        assert drawn[: len(rows)] == rows
