import json
from dataclasses import replace

import pytest

from surgery.errors import SurgeryError
from surgery.evaluate import Change, Interval, Measured, Report

REPORT = Report(
    perplexity=Change(3.4412, 3.7098, 0.2686, Interval(0.24, 0.30)),
    agreement=Measured(91.23, Interval(90.8, 91.6)),
    kl=Measured(0.0714, Interval(0.067, 0.075)),
    examples=96,
    tokens=24576,
    seconds=2.08,
    device="cpu",
    data="Python's manual, held out: not your data",
)


def test_sentence() -> None:
    """The report reads as one sentence with as many decimals as the intervals bear."""
    assert str(REPORT) == (
        "perplexity 3.44 → 3.71, +0.27 ± 0.03 (95 % half-width of the paired change), "
        "agreement 91.2 % ± 0.4, KL 0.071 ± 0.004 nats "
        "(Python's manual, held out: not your data; 96 windows, 2.1 s, cpu)"
    )


def test_no_measurable_change() -> None:
    """A difference whose interval contains zero is said to be none that can be measured."""
    report = replace(REPORT, perplexity=Change(3.44, 3.43, -0.01, Interval(-0.04, 0.02)))
    assert str(report).startswith(
        "perplexity 3.44 → 3.43, no measurable change: −0.01 ± 0.03 (95 % half-width of the paired change), "
    )


def test_no_change() -> None:
    """Equal predictions are reported as no change, without figures that are all zero."""
    report = replace(
        REPORT,
        perplexity=Change(3.4412, 3.4412, 0.0, Interval(0.0, 0.0)),
        agreement=Measured(100.0, Interval(100.0, 100.0)),
        kl=Measured(0.0, Interval(0.0, 0.0)),
        examples=1,
    )
    assert str(report) == (
        "no change, perplexity 3.44 (Python's manual, held out: not your data; 1 window, 2.1 s, cpu)"
    )


def test_notes_follow() -> None:
    """What a reader must know comes after the figures."""
    report = replace(REPORT, perplexity=None, notes=("First.", "Second."))
    assert str(report).startswith("agreement 91.2 % ± 0.4, KL ")
    assert str(report).endswith("cpu). First. Second.")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (Change(25011.7, 31990.2, 6978.5, Interval(6000, 8000)), "25,012 → 31,990, +6,978 ± 1,000"),
        (Change(3.44, 3.4412, 0.0012, Interval(0.0010, 0.0014)), "3.4400 → 3.4412, +0.0012 ± 0.0002"),
        (Change(12.0, 40.0, 28.0, Interval(20.0, 36.0)), "12.00 → 40.00, +28.00 ± 8.00"),
    ],
)
def test_decimals(change: Change, expected: str) -> None:
    """Figures have the decimals that the half-width of the change supports."""
    assert f"{expected} (95 % half-width of the paired change)" == change.text()


def test_figures_without_interval() -> None:
    """A single window's figures come without ±."""
    report = replace(REPORT, perplexity=Change(3.0, 3.5, 0.5, None), kl=Measured(0.1, None))
    assert str(report).startswith("perplexity 3.00 → 3.50, +0.50, agreement 91.2 % ± 0.4, KL 0.100 nats (")


@pytest.mark.parametrize("report", [REPORT, replace(REPORT, perplexity=None, notes=("A note.",))])
def test_json_round_trip(report: Report) -> None:
    """A report is the same after it was written as JSON and read back."""
    assert report == Report.from_dict(json.loads(json.dumps(report.to_dict(), allow_nan=False)))


def test_unknown_keys_are_refused() -> None:
    """A key that this version does not know, or one that is missing, is refused."""
    data = REPORT.to_dict()
    with pytest.raises(SurgeryError, match=r"^report: its fields are not those that this version writes"):
        Report.from_dict(data | {"latency": 3})
    with pytest.raises(SurgeryError, match=r"^interval: its fields are not those"):
        Report.from_dict(data | {"kl": {"value": 0.0, "interval": {"low": 0.0}}})
