import json
from dataclasses import replace

import pytest

from surgery.errors import SurgeryError
from surgery.evaluate import Figure, Interval, Report

PERPLEXITY = Figure("perplexity", "perplexity", "", "lower", 2, 3.4412, 3.7098, Interval(0.24, 0.30))
AGREEMENT = Figure("fidelity", "agreement", "%", "higher", 1, None, 91.23, Interval(90.8, 91.6), 100.0)
KL = Figure("fidelity", "KL", "nats", "lower", 3, None, 0.0714, Interval(0.067, 0.075), 0.0)
ACCURACY = Figure("accuracy", "accuracy", "%", "higher", 1, 98.9, 80.4, Interval(-24.6, -12.4))
REPORT = Report(
    results=(PERPLEXITY, AGREEMENT, KL),
    examples=96,
    noun="window",
    tokens=24576,
    seconds=2.08,
    device="cpu",
    data="Python's manual, held out: not your data",
)


def layer(number: int, cosine: float) -> Figure:
    """The figure of one block."""
    return Figure("layers", f"model.layers.{number}", "", "higher", 3, None, cosine, None, 1.0)


def test_sentence() -> None:
    """The report reads as one sentence with as many decimals as the intervals bear."""
    assert str(REPORT) == (
        "perplexity 3.44 → 3.71, +0.27 ± 0.03 (95 % half-width of the paired change), "
        "agreement 91.2 % ± 0.4, KL 0.071 ± 0.004 nats "
        "(Python's manual, held out: not your data; 96 windows, 2.1 s, cpu)"
    )


def test_what_is_meant_by_the_width_is_said_once() -> None:
    """Of two changes the first says what ± is."""
    text = str(replace(REPORT, results=(ACCURACY, PERPLEXITY), examples=1, noun="image"))
    assert text.startswith(
        "accuracy 98.9 → 80.4 %, −18.5 ± 6.1 (95 % half-width of the paired change), "
        "perplexity 3.44 → 3.71, +0.27 ± 0.03 ("
    )
    assert "; 1 image, " in text


def test_no_measurable_change() -> None:
    """A difference whose interval contains zero is said to be none that can be measured, figure by figure."""
    small = replace(PERPLEXITY, before=3.44, after=3.43, interval=Interval(-0.04, 0.02))
    close = replace(AGREEMENT, after=99.7, interval=Interval(99.0, 100.0))
    assert str(replace(REPORT, results=(small, close, KL))).startswith(
        "perplexity 3.44 → 3.43, no measurable change: −0.01 ± 0.03 (95 % half-width of the paired change), "
        "agreement 99.7 % ± 0.5 (no measurable change), KL 0.071 ± 0.004 nats ("
    )
    assert [figure.no_change for figure in (small, close, KL, PERPLEXITY)] == [True, True, False, False]


def test_no_change() -> None:
    """Equal predictions are reported as no change, without figures that are all zero."""
    results = (
        replace(PERPLEXITY, after=3.4412, interval=Interval(0.0, 0.0)),
        replace(AGREEMENT, after=100.0, interval=Interval(100.0, 100.0)),
        replace(KL, after=0.0, interval=Interval(0.0, 0.0)),
    )
    report = replace(REPORT, results=results, examples=1)
    assert report.unchanged
    assert str(report) == (
        "no change, perplexity 3.44 (Python's manual, held out: not your data; 1 window, 2.1 s, cpu)"
    )


def test_of_many_figures_the_worst_is_named() -> None:
    """A figure per block would be no sentence."""
    report = replace(REPORT, results=tuple(layer(i, 0.9 - i / 100) for i in range(12)))
    assert str(report).startswith("layers: of 12 the worst is model.layers.11 with 0.790 (")
    assert report["model.layers.3"].value == 0.87


def test_notes_follow() -> None:
    """What a reader must know comes after the figures."""
    report = replace(REPORT, results=(AGREEMENT, KL), notes=("First.", "Second."))
    assert str(report).startswith("agreement 91.2 % ± 0.4, KL ")
    assert str(report).endswith("cpu). First. Second.")


@pytest.mark.parametrize(
    ("before", "after", "low", "high", "expected"),
    [
        (25011.7, 31990.2, 6000, 8000, "25,012 → 31,990, +6,978 ± 1,000"),
        (3.44, 3.4412, 0.0010, 0.0014, "3.4400 → 3.4412, +0.0012 ± 0.0002"),
        (12.0, 40.0, 20.0, 36.0, "12.00 → 40.00, +28.00 ± 8.00"),
        (12.0, 2e98, 1e98, 3e98, "12 → 2e+98, +2e+98 ± 1e+98"),
    ],
)
def test_decimals(before: float, after: float, low: float, high: float, expected: str) -> None:
    """Figures have the decimals that the half-width of the change supports."""
    change = replace(PERPLEXITY, before=before, after=after, interval=Interval(low, high))
    assert f"{expected} (95 % half-width of the paired change)" == change.text()


def test_figures_without_interval() -> None:
    """A single window's figures come without ±."""
    results = (replace(PERPLEXITY, before=3.0, after=3.5, interval=None), replace(KL, interval=None))
    assert str(replace(REPORT, results=results)).startswith("perplexity 3.00 → 3.50, +0.50, KL 0.071 nats (")


def test_figures_are_found_by_name() -> None:
    """By their own or their task's; one that was not measured is refused with what was."""
    assert REPORT["perplexity"] is PERPLEXITY and REPORT["fidelity"] is AGREEMENT and REPORT["KL"] is KL
    assert REPORT.get("accuracy") is None
    assert "perplexity" in REPORT and "accuracy" not in REPORT and REPORT.main is PERPLEXITY
    with pytest.raises(
        SurgeryError, match=r"accuracy: no such figure was measured.* perplexity, agreement, KL"
    ):
        REPORT["accuracy"]


@pytest.mark.parametrize("report", [REPORT, replace(REPORT, results=(layer(0, 0.5),), notes=("A note.",))])
def test_json_round_trip(report: Report) -> None:
    """A report is the same after it was written as JSON and read back."""
    assert report == Report.from_dict(json.loads(json.dumps(report.to_dict(), allow_nan=False)))


def test_unknown_keys_are_refused() -> None:
    """A key that this version does not know, or one that is missing, is refused."""
    data = REPORT.to_dict()
    with pytest.raises(SurgeryError, match=r"^report: its fields are not those that this version writes"):
        Report.from_dict(data | {"latency": 3})
    broken = data["results"][0] | {"interval": {"low": 0.0}}
    with pytest.raises(SurgeryError, match=r"^interval: its fields are not those"):
        Report.from_dict(data | {"results": [broken]})
