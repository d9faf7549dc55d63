"""Reports as the top bar, the report panel and the chart show them."""

from __future__ import annotations

from dataclasses import replace

import pytest

import surgery
from graph.costs import costs
from surgery.evaluate import Figure, Interval, Report
from surgery.show.states import metric
from tests.zoo import llama
from widgets.figures import figures, preview_rows, report_state
from widgets.timeline import points

PERPLEXITY = Figure("perplexity", "perplexity", "", "lower", 2, 3.4412, 3.7098, Interval(0.24, 0.30))
AGREEMENT = Figure("fidelity", "agreement", "%", "higher", 1, None, 91.23, Interval(90.8, 91.6), 100.0)
KL = Figure("fidelity", "KL", "nats", "lower", 3, None, 0.0714, Interval(0.067, 0.075), 0.0)
ACCURACY = Figure("accuracy", "accuracy", "%", "higher", 1, 98.9, 80.4, Interval(-24.6, -12.4))
TEXT = Report((PERPLEXITY, AGREEMENT, KL), 96, "window", 24576, 2.08, "cpu", "a text", ("A note.",))
IMAGES = replace(TEXT, results=(ACCURACY, AGREEMENT, KL), noun="image", tokens=0, notes=())


def rows(report: Report) -> list[list[str]]:
    """The rows of the report panel as their texts."""
    state = report_state(report, (2_900_000, 2_600_000))
    keys = ("label", "before", "after", "change", "interval", "tone")
    return [[row[key] for key in keys] for row in state["rows"]]


def test_the_report_of_a_decoder() -> None:
    """Perplexity before and after with the interval of the change, then what compares the two."""
    assert rows(TEXT) == [
        ["Perplexity", "3.441", "3.710", "+0.269", "+0.240 to +0.300", "worse"],
        ["Agreement", "", "91.2 %", "", "90.8 % to 91.6 %", "none"],
        ["KL, nats per token", "", "0.0714", "", "0.0670 to 0.0750", "none"],
        ["Parameters", "2.90 M", "2.60 M", "−10.3 %", "", "better"],
    ]
    state = report_state(TEXT, (2_900_000, 2_600_000))
    assert state["note"] == "a text; 96 windows, 24,576 tokens, 2.1 s, cpu. A note."
    assert state["sentence"] == (
        "perplexity 3.44 → 3.71, +0.27 ± 0.03 (95 % half-width of the paired change), agreement 91 %, "
        "2.90 M → 2.60 M parameters"
    )


def test_the_report_of_a_classifier() -> None:
    """Accuracy in per cent, for which less is worse; KL per image, and no tokens."""
    assert rows(IMAGES)[0] == ["Accuracy", "98.9 %", "80.4 %", "−18.5", "−24.6 to −12.4", "worse"]
    assert rows(IMAGES)[2][0] == "KL, nats per image"
    assert report_state(IMAGES, (1, 1))["note"] == "a text; 96 images, 2.1 s, cpu."


def test_the_top_bar() -> None:
    """What both models have, and one figure of the two side by side."""
    graph = surgery.open(*llama()).graph
    shown = figures(costs(graph), costs(graph), TEXT)[2:4]  # MACs come last
    assert [
        (item["label"], item["before"], item["after"], item["change"], item["tone"]) for item in shown
    ] == [
        ("Perplexity", "3.44", "3.71", "+0.27 ± 0.03", "worse"),
        ("Agreement", "", "91.2 %", "± 0.4", "none"),
    ]
    assert (
        len(figures(costs(graph), costs(graph), None)) == len(figures(costs(graph), costs(graph), TEXT)) - 2
    )


@pytest.mark.parametrize(
    ("figure", "change", "tone"),
    [
        (replace(PERPLEXITY, interval=Interval(-0.1, 0.6)), "+0.27 ± 0.35, not measurable", "none"),
        (replace(PERPLEXITY, after=3.1, interval=Interval(-0.4, -0.3)), "−0.34 ± 0.05", "better"),
        (replace(ACCURACY, after=99.9, interval=Interval(0.5, 1.5)), "+1.00 ± 0.50", "better"),
        (replace(PERPLEXITY, after=3.4412, interval=Interval(0, 0)), "no change", "none"),
    ],
)
def test_tones(figure: Figure, change: str, tone: str) -> None:
    """Better or worse only where the interval excludes zero, whichever way is better."""
    graph = surgery.open(*llama()).graph
    shown = figures(costs(graph), costs(graph), replace(TEXT, results=(figure,)))[2]
    assert (shown["change"], shown["tone"]) == (change, tone)


@pytest.mark.parametrize(
    ("report", "shown", "before", "name"),
    [
        (TEXT, "3.71", 3.4412, "perplexity"),
        (IMAGES, "80.4 %", 98.9, "accuracy, %"),
        (replace(TEXT, results=(AGREEMENT,)), "91.2 %", 100.0, "agreement, %"),
    ],
)
def test_history_and_chart(report: Report, shown: str, before: float, name: str) -> None:
    """The main figure stands for a state, and the chart has the original's beside it."""
    session = surgery.open(*llama())
    assert session.graph and points(session) == []
    session.remove("model.layers[1]")
    session.history.current.report = report
    assert metric(session.history.current) == shown and metric(session.history.base) is None
    first, second = points(session)
    assert (first["value"], first["metric"], second["metric"]) == (before, name, name)
    assert second["half_width"] == pytest.approx(report.results[0].half_width)


def test_states_with_another_figure_are_not_in_the_chart() -> None:
    """Perplexity and accuracy are no points of one axis."""
    session = surgery.open(*llama())
    session.history.base.report = TEXT
    session.remove("model.layers[1]")
    session.history.current.report = IMAGES
    assert session.graph and [point["value"] for point in points(session)] == [98.9, 80.4]


def dry_run(**fields: float) -> dict[str, str]:
    """Label and value of each row of a dry run, for layers of low rank."""
    preview = surgery.open(*llama()).preview("low_rank", "model.layers[*].**:Linear", **fields)
    return {row["label"]: row["value"] for row in preview_rows(preview)}


def test_what_is_yet_to_be_measured_is_at_most_so_much() -> None:
    """Of a size a number; of an energy, which may leave all as it is, no more than now."""
    of_size, of_energy, exact = dry_run(size=0.4), dry_run(energy=0.7), dry_run(rank=4)
    assert of_size["Parameters"].startswith("≤ −") and of_size["MACs per token"].startswith("≤ −")
    assert of_energy["Parameters"] == of_energy["Size"] == "at most as now"
    assert exact["Parameters"].startswith("−")
    assert {found["KV cache per token"] for found in (of_size, of_energy, exact)} == {"unchanged"}
