"""The report: all that was found out, in one file that loads nothing and runs nothing."""

from __future__ import annotations

import os
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

import surgery
from surgery import Session, SurgeryError
from surgery.evaluate.wording import figure_line
from surgery.report import report_html
from tests.surgery.picture.test_picture import HOSTILE, Hostile
from tests.zoo import llama, mixtral_eager, resnet18, t5

VOID = {"meta", "rect", "circle", "path", "br"}
LOADING = {"script", "link", "img", "iframe", "object", "embed", "base", "form", "use", "image"}
ADDRESSES = {"src", "href", "xlink:href", "action"}


class Page(HTMLParser):
    """Tags, attributes and text of a page; fails on one that is not nested."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += f"{data}\n"


@pytest.fixture(scope="module")
def session() -> Session:
    """The demonstration decoder, swept, edited, and measured twice."""
    session = surgery.open("demo")
    session.sweep("remove", "model.layers[6:]", budget_s=0)
    session.remove("model.layers[3]")
    session.evaluate(0)
    session.attach("model.layers[2].self_attn.q_proj", "lora", rank=2)
    session.evaluate(0)
    return session


@pytest.fixture(scope="module")
def page(session: Session) -> Page:
    """Its report."""
    return Page(report_html(session))


def test_it_loads_nothing_and_runs_nothing(page: Page) -> None:
    """No element or attribute that could, and a policy that forbids it."""
    assert not page.tags & LOADING
    names = {name for name, _ in page.attributes}
    assert not names & ADDRESSES and not any(name.startswith("on") for name in names)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes
    addresses = {value for _, value in page.attributes if "//" in value}
    assert addresses == {"http://www.w3.org/2000/svg"}


def test_the_style_sheet_loads_nothing(session: Session) -> None:
    """It has light, dark and paper."""
    html = report_html(session)
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style and "@import" not in style and "@font-face" not in style
    assert "@media screen and (prefers-color-scheme: dark)" in style and "@media print" in style


def test_figures_are_worded_as_in_the_studio(session: Session, page: Page) -> None:
    """Before, after, change and interval of each, and what they were measured on."""
    report = session.history.current.report
    assert report is not None
    for figure in report.results:
        line = figure_line(figure, report)
        for text in (line.label, line.before, line.after, line.change, line.interval):
            assert text in page.text
    assert report.data in page.text and report.amount in page.text


def test_edits_are_there_in_words_as_python_and_as_data(session: Session, page: Page) -> None:
    """The data is the script: it reads back."""
    assert "remove layers[3]" in page.text and session.script.to_python() in page.text.replace("\n\n", "\n")
    start, end = page.text.index('{\n  "format"'), page.text.index("}\n}") + 3
    assert surgery.Script.from_json(page.text[start:end]).steps == session.steps


def test_the_model_is_drawn_before_and_after(session: Session, page: Page) -> None:
    """What is gone is marked before; after, the first block that changed is open."""
    assert "Before" in page.text and "taken out" in page.text
    assert "and model.layers.2 from inside" in page.text
    assert "and model.layers.5 from inside" in Page(report_html(session, "model.layers[5]")).text


def test_measured_states_and_the_sweep_are_there(page: Page) -> None:
    """With where the sweep was made, and all its rows."""
    assert "Size against perplexity" in page.text and "0  Original" in page.text
    assert "perplexity: how much worse after remove" in page.text
    assert "on the model as it was opened, with 95 % intervals" in page.text
    assert 's.remove("model.layers.9")' in page.text


def test_states_measured_on_more_or_less_are_said_to_be(session: Session, page: Page) -> None:
    """Their figures differ by that too."""
    assert "different numbers of examples" not in page.text
    state = session.history.current
    report = state.report
    assert report is not None
    state.report = replace(report, examples=report.examples + 7)
    try:
        assert f"{report.examples} to {report.examples + 7}" in Page(report_html(session)).text
    finally:
        state.report = report


def test_it_says_on_what_all_hangs(session: Session, page: Page) -> None:
    """Fingerprints, build, seeds."""
    for said in (session.base.fingerprint, session.script.result, torch.__version__, "bootstrap 0"):
        assert said and said in page.text


def test_names_are_text() -> None:
    """A module, a model and a class that are markup stand there as they are called."""
    kind = type(HOSTILE, (Hostile,), {})
    session = surgery.open(kind(), inputs=(torch.randn(2, 4),))
    session.remove("blocks[1]")
    session.opened = replace(session.opened, name=HOSTILE, source=HOSTILE, note=HOSTILE)
    html = report_html(session, HOSTILE)
    assert "<img" not in html and "img" not in Page(html).tags
    assert unescape(html).count(HOSTILE) > 4


@pytest.mark.parametrize("maker", [llama, t5, resnet18, mixtral_eager])
def test_what_was_not_measured_is_not_there(maker) -> None:  # type: ignore[no-untyped-def]
    """Of a model that was only opened: one picture, its figures, and how to measure."""
    model, inputs = maker()
    page = Page(report_html(surgery.open(model, inputs=inputs)))
    assert "not edited" in page.text and "was not measured" in page.text
    assert not any(title in page.text for title in ("Edits", "Size against", "would cost", "Before"))


def test_a_skeleton_has_a_report() -> None:
    """Without fingerprints, which are of weights."""
    session = surgery.open("demo", skeleton=True)
    session.remove("model.layers[3]")
    page = Page(report_html(session))
    assert "opened without weights" in page.text and "taken out" in page.text


def test_what_advisers_said_is_drawn_and_told() -> None:
    """Bars, a heat map of pairs, sources, and of which state; without advice there is no such part."""
    session = surgery.open(*llama())
    assert "What advisers said" not in report_html(session)
    influence = session.advise("block_influence", budget_s=0)
    alike = session.advise("weight_similarity")
    session.remove("model.layers[1]")
    page = Page(report_html(session))
    for text in ("What advisers said", "of the model as it was opened", influence.source, alike.promise):
        assert text in page.text
    for line in influence.ranking:
        assert influence.text(line.value) in page.text
    assert page.tags & LOADING == set()


def test_a_sweep_of_a_state_between_is_drawn_with_that_state() -> None:
    """Neither before nor after has its blocks."""
    session = surgery.open("demo-vit")
    session.remove("vit.layers[5]")
    session.sweep("remove", "vit.layers[3:]", budget_s=0)
    session.remove("vit.layers[0]")
    page = Page(report_html(session))
    assert "The model that was swept" in page.text and "after remove vit.layers[5]" in page.text


def test_it_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """What is there stays where a new one cannot be written."""
    session = surgery.open(*llama())
    place = session.write_report(tmp_path / "report.html")
    assert place.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert os.listdir(tmp_path) == ["report.html"]
    with pytest.raises(SurgeryError, match="cannot write the report: Is a directory"):
        session.write_report(tmp_path)
    with pytest.raises(SurgeryError, match="matches nothing"):
        session.write_report(place, open="nowhere")
    assert place.read_text(encoding="utf-8").startswith("<!doctype html>")
