"""The tree in a notebook cell: well-formed, bounded, without scripts, and names that stay text."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest
import torch
from torch import nn

import surgery
from graph import ModuleGraph, Problem, Tie, extract
from surgery.show.html import DEEPEST, MOST_CHILDREN, MOST_LINES, OPEN_LINES, change_html, tree_html
from tests.odd import ODD_NAMES, chain, layers, odd_graph
from tests.zoo import ZOO

TAGS = {"div", "style", "span", "b", "bdi", "details", "summary", "ul", "li", "p"}
ATTRIBUTES = {"class", "title", "open", "style"}


class Reader(HTMLParser):
    """Reads HTML strictly: every tag closed in order. Gathers texts, titles and the figures by row."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.titles: list[str] = []
        self.bold: list[str] = []
        self.marks: list[str] = []
        self.said: list[str] = []
        self.stack: list[tuple[str, str]] = []
        self.details: list[bool] = []
        self.deepest = 0
        self.feed(html)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        given = dict(attrs)
        if tag == "b":
            self.titles.append(given["title"] or "")
            self.bold.append("")
        if tag == "details":
            self.details.append("open" in given)
        self.stack.append((tag, given.get("class") or ""))
        self.deepest = max(self.deepest, len(self.stack))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        tags = [tag for tag, _ in self.stack]
        classes = self.stack[-1][1] if self.stack else ""
        if "b" in tags:
            self.bold[-1] += data
        elif classes.startswith("surgery-mark"):
            self.marks.append(data)
        elif "style" not in tags:
            self.said.append(data)


def test_the_tree_folds_and_counts() -> None:
    """Alike blocks are one line with the figures of each; ties are badges and a list."""
    read = Reader(tree_html(extract(*ZOO["llama"]())))
    assert read.tags == TAGS and read.attributes == ATTRIBUTES
    assert read.bold[:4] == ["LlamaForCausalLM", "model", "embed_tokens", "layers"]
    assert read.titles[:4] == ["", "model", "model.embed_tokens", "model.layers"]
    assert read.bold[4] == "0–3"
    assert read.marks.count("tie 1") == 2
    assert "tie 1 (parameter): model.embed_tokens.weight = lm_head.weight" in read.said
    (summary,) = [line for line in read.said if line.startswith("over 16 tokens: ")]
    assert summary.endswith("KV cache 512 B per token")


def test_it_stands_alone() -> None:
    """No script, nothing loaded from elsewhere, colours for light and dark, JupyterLab's where they are."""
    html = tree_html(extract(*ZOO["siamese"]()))
    for word in ("<script", "url(", "@import", "http", "src=", "href=", "onclick"):
        assert word not in html
    assert "prefers-color-scheme: dark" in html and "var(--jp-layout-color0" in html


@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=list(ODD_NAMES))
def test_odd_names_are_text(name: str) -> None:
    """Whatever a name is made of, the page has the same elements, and shows it."""
    html = tree_html(odd_graph(name))
    read = Reader(html)
    assert read.tags == TAGS and read.attributes == ATTRIBUTES
    body = html[: html.index("<style>")] + html[html.index("</style>") :]
    assert body.isprintable()
    spelled = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
    if len(spelled) <= 80:
        assert read.bold[:2] == [spelled, spelled] and read.titles[1] == spelled
        assert f"fails here: {spelled}" in read.marks and f"opaque: {spelled}" in read.marks
    assert len(html) < 16_000


def test_problem_and_opacity_are_marked() -> None:
    """At the row, also in its look; closed rows say what is inside; the whole sentence stands below."""
    graph = replace(layers(6), problem=Problem("layers.4.proj", "no shape"))
    html = tree_html(graph)
    assert html.count('class="surgery-row surgery-problem"') == 1
    assert "fails here: no shape" in Reader(html).marks
    assert "fails inside, at layers.4.proj: no shape" in Reader(html).marks
    assert '<p class="surgery-failed">layers.4.proj: the forward fails: no shape</p>' in html
    opaque = [replace(node, opaque="why") if node.path == "layers.2" else node for node in graph.modules]
    html = tree_html(replace(graph, modules=tuple(opaque)))
    assert html.count('class="surgery-row surgery-opaque"') == 1 and "opaque: why" in Reader(html).marks


def test_what_is_open_fits_a_screen() -> None:
    """Lines are open from the top as long as there are few of them."""
    read = Reader(tree_html(extract(*ZOO["cnn"]())))
    assert read.details[0] and not all(read.details)
    wide = ModuleGraph("Net", layers(200, 0).modules)
    differ = [replace(node, structure=node.path) for node in wide.modules]
    read = Reader(tree_html(replace(wide, modules=tuple(differ))))
    assert read.details[:2] == [True, False] and len(read.details) > OPEN_LINES


@pytest.mark.parametrize(
    ("graph", "rest"),
    [
        (chain(1000), f"… {1000 - DEEPEST:,} modules inside"),
        (replace(layers(5000), modules=tuple(replace(n, structure=n.path) for n in layers(5000).modules)),
         f"… {5000 - MOST_CHILDREN:,} more"),
    ],
    ids=["1,000 deep", "5,000 wide"],
)  # fmt: skip
def test_huge_models_are_counted_where_they_are_cut(graph: ModuleGraph, rest: str) -> None:
    """The output of a cell stays small and no browser has to nest a thousand elements."""
    html = tree_html(graph)
    read = Reader(html)
    assert rest in read.said
    assert len(read.bold) <= MOST_LINES and len(html) < 400_000
    assert read.deepest < 3 * DEEPEST + 10


def test_many_ties_are_cut() -> None:
    """A badge names a few and counts the rest; so does the list."""
    paths = tuple(f"layers.{i}.proj.weight" for i in range(500))
    graph = replace(layers(500), ties=tuple(Tie(i, "parameter", paths) for i in range(300)))
    html = tree_html(graph)
    assert "300 ties" in Reader(html).said and "… 280 more ties" in Reader(html).said
    assert len(html) < 40_000


def test_a_session_shows_its_tree_and_a_preview_its_table() -> None:
    """The last line of a cell is enough."""
    session = surgery.open(nn.Sequential(*(nn.Linear(4, 4) for _ in range(6))), inputs=torch.zeros(1, 4))
    assert "0–5" in Reader(session._repr_html_()).bold
    said = Reader(session.preview("remove", "4")._repr_html_()).said
    cells = ["Parameters", "120", "100", "−20 (−16.7%)", "Bytes", "480", "400", "−80 (−16.7%)"]
    assert [text for text in said if text.strip()][: 3 + len(cells)] == ["before", "after", "change", *cells]


def test_the_table_says_bounds_and_what_stays() -> None:
    """`≤` before what is a bound, nothing where nothing changes, labels escaped."""
    said = Reader(
        change_html([("<b>", 10, 10, False), ("Non-zeros", 10, 4, True), ("New", 0, 5, False)])
    ).said
    assert said[3:] == ["<b>", "10", "10", "Non-zeros", "10", "≤ 4", "−6 (−60.0%)", "New", "0", "5", "+5"]


def test_the_sentence_of_the_session_stands_below() -> None:
    """How inputs are passed, or whatever there is to know of how the model was opened."""
    graph = extract(nn.Linear(2, 2))
    assert '<p class="surgery-note">There were no example inputs' in tree_html(graph)
    assert '<p class="surgery-note">Know &lt;this&gt;.</p>' in tree_html(graph, "Know <this>.")
