"""Graphs in the terminal: figures, folding, marks, and names that stay text."""

from __future__ import annotations

import io
import sys
import time
from dataclasses import replace

import pytest
import torch
from torch import nn

import surgery
from graph import ModuleGraph, Problem, Tie, extract
from surgery.show.formats import graph_json
from surgery.show.outline import Outline
from surgery.show.tree import print_tree
from tests.odd import ODD_NAMES, chain, layers, odd_graph
from tests.zoo import ZOO


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]):
    """`lines(graph, depth=2)`: what print_tree prints, line by line."""

    def run(graph: ModuleGraph, **options) -> list[str]:
        capsys.readouterr()
        print_tree(graph, **options)
        return capsys.readouterr().out.splitlines()

    return run


def labels(printed: list[str]) -> list[str]:
    """The name and class of each line, without strokes, figures and marks."""
    return ["  ".join(line.strip("├└│─… ").split("  ")[:2]).strip() for line in printed]


def test_figures_stand_in_columns(lines) -> None:
    """Parameters, bytes and MACs under their titles; what a model hasn't leaves no column."""
    model, inputs = ZOO["siamese"]()
    printed = lines(extract(model, inputs))
    titles, root, *_ = printed
    for title, figure in (("parameters", "360"), ("bytes", "1.44 kB"), ("MACs per example", "656")):
        assert root[: titles.index(title) + len(title)].endswith(f"  {figure}")
    assert not any("MACs" in line for line in lines(extract(model))[:1])
    assert lines(extract(nn.Identity()))[0] == "Identity"


def test_alike_blocks_are_one_line_opened_once(lines) -> None:
    """Eighty blocks say once what each holds; --unfold shows them all."""
    folded = lines(layers(80), depth=3)
    assert labels(folded)[1:5] == ["Net", "layers  ModuleList", "0–79  Block × 80", "proj  Linear"]
    assert "80 × 16  80 × 64 B" in folded[3]
    unfolded = lines(layers(80), depth=3, unfold=True)
    assert len([line for line in unfolded if "  Block" in line]) == 80
    assert len([line for line in unfolded if "  Linear" in line]) == 80


def test_interrupted_runs_fold_over_the_gaps(lines) -> None:
    """Every fourth block different: two lines; of many stretches only the first and the last are named."""
    assert labels(lines(layers(8, 4), depth=2))[3:5] == ["0–2, 4–6  Block × 6", "3, 7  Other × 2"]
    many = lines(layers(80, 4), depth=2)
    assert labels(many)[3] == "0–2, 4–6, 8–10, 12–14, …, 76–78  Block × 60"


def test_plain_modules_fold_only_side_by_side(lines) -> None:
    """In a sequence of linear layers and activations the order is what there is to see."""
    mixed = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.ReLU())
    assert labels(lines(extract(mixed)))[2:6] == ["0  Linear", "1  ReLU", "2  Linear", "3  ReLU"]
    alike = nn.Sequential(*(nn.Linear(2, 2) for _ in range(5)), nn.ReLU())
    assert labels(lines(extract(alike)))[2:4] == ["0–4  Linear × 5", "5  ReLU"]


def test_ties_are_badges_and_sentences(lines) -> None:
    """Each place of a tie carries its number; a closed module says that there are some inside."""
    graph = extract(*ZOO["llama"]())
    printed = lines(graph, depth=2)
    tied = [label for label, line in zip(labels(printed), printed, strict=True) if line.endswith("  tie 1")]
    assert tied == ["embed_tokens  Embedding", "lm_head  Linear"]
    assert "tie 1 (parameter): model.embed_tokens.weight = lm_head.weight" in printed
    assert lines(graph, depth=1)[2].endswith("  tie 1 inside")


def test_ties_keep_blocks_apart_only_where_they_differ(lines) -> None:
    """Blocks 2 and 3 tied to each other are a line of their own; ties inside every block are not."""
    graph = layers(6)
    across = Tie(0, "parameter", ("layers.2.proj.weight", "layers.3.proj.weight"))
    printed = lines(replace(graph, ties=(across,)), depth=2)
    assert labels(printed)[3:5] == ["0–1, 4–5  Block × 4", "2–3  Block × 2"]
    assert printed[4].endswith("  tie 1 inside")
    inside = tuple(Tie(i, "storage", (f"layers.{i}.proj.weight", f"layers.{i}.proj")) for i in range(6))
    assert labels(lines(replace(graph, ties=inside), depth=2))[3] == "0–5  Block × 6"


def test_one_module_at_many_places_is_counted_once(lines) -> None:
    """Its parameters don't multiply; its work does."""
    block = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    printed = lines(extract(nn.Sequential(*[block] * 3), torch.zeros(1, 4)), depth=1)
    assert printed[2].split() == [
        "└──",
        "0–2",
        "Sequential",
        "×",
        "3",
        "20",
        "80",
        "B",
        "3",
        "×",
        "16",
        "tie",
        "1",
    ]


def test_long_lists_of_ties_are_cut(lines) -> None:
    """Twenty ties of twenty paths; all of them with unfold."""
    paths = tuple(f"layers.{i}.proj.weight" for i in range(30))
    graph = replace(layers(30), ties=tuple(Tie(i, "parameter", paths) for i in range(25)))
    printed = lines(graph)
    assert sum(line.startswith("tie ") for line in printed) == 20 and "… 5 more ties" in printed
    assert all(line.endswith(" = … 10 more") for line in printed if line.startswith("tie "))
    assert sum(line.startswith("tie ") and "29" in line for line in lines(graph, unfold=True)) == 25


def test_where_the_forward_failed_is_marked(lines) -> None:
    """At its line with the message, apart from blocks that are alike; at a closed one with the path."""
    graph = replace(layers(6), problem=Problem("layers.4.proj", "ValueError: no\nshape \x1b[31m"))
    printed = lines(graph, depth=3)
    assert labels(printed)[3:7] == ["0–3, 5  Block × 5", "proj  Linear", "4  Block", "proj  Linear"]
    assert printed[6].endswith("  fails here: ValueError: no\\nshape \\x1b[31m")
    assert printed[-1] == "layers.4.proj: the forward fails: ValueError: no\\nshape \\x1b[31m"
    assert lines(graph, depth=1)[2].endswith(
        "  fails inside, at layers.4.proj: ValueError: no\\nshape \\x1b[31m"
    )
    assert "fails here" in lines(replace(graph, problem=Problem("", "x")), depth=0)[1]


def test_opaque_modules_say_why(lines) -> None:
    """The reason stands at the module; blocks that differ only in it are told apart."""
    graph = layers(4)
    modules = [
        replace(node, opaque="values") if node.path == "layers.1.proj" else node for node in graph.modules
    ]
    printed = lines(replace(graph, modules=tuple(modules)), depth=3)
    assert labels(printed)[3:7] == ["0, 2–3  Block × 3", "proj  Linear", "1  Block", "proj  Linear"]
    assert printed[6].endswith("  opaque: values") and "opaque" not in printed[4]
    assert lines(replace(graph, modules=tuple(modules)), depth=0)[1].endswith("  1 opaque inside")


def test_without_inputs_the_way_to_pass_them_is_said(lines) -> None:
    """A sentence in place of the figures; the session's own where it has one."""
    graph = extract(nn.Linear(2, 2))
    assert "surgery.open(model, inputs=...)" in lines(graph)[-1]
    assert lines(graph, note="Say so.")[-1] == "Say so."
    assert "inputs" not in lines(extract(nn.Linear(2, 2), torch.zeros(1, 2)))[-1]


@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=list(ODD_NAMES))
@pytest.mark.parametrize("terminal", [False, True])
def test_odd_names_reach_the_terminal_as_text(
    name: str, terminal: bool, lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No control, line break or change of direction gets out, no markup is read, and long names are cut."""
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delenv("NO_COLOR", raising=False)
    for options in ({}, {"select": "**"}):
        printed = lines(odd_graph(name), **options)
        plain = "\n".join(printed)
        if terminal:
            assert "\x1b[1m" in plain
            for code in ("0", "1", "2", "36", "33", "1;31"):
                plain = plain.replace(f"\x1b[{code}m", "")
        assert plain.replace("\n", "").isprintable()
        assert len(printed) == (4 if options else 7)
        spelled = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
        if len(spelled) <= 80:
            assert f"{spelled}  {spelled}" in plain
        else:
            assert spelled[:40] + "…" + spelled[-39:] in plain and spelled[:500] not in plain


def test_a_terminal_of_few_characters_gets_those(monkeypatch: pytest.MonkeyPatch) -> None:
    """In ASCII the strokes are ASCII and names are escapes; nothing fails."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    print_tree(odd_graph("שלום"))
    sys.stdout.flush()
    text = raw.getvalue().decode("ascii")
    assert "|-- \\u05e9" in text and "`-- other  Linear" in text


@pytest.mark.parametrize(
    ("graph", "options"),
    [
        (layers(5000), {}),
        (layers(5000, 4), {}),
        (chain(1000), {}),
        (chain(1000), {"depth": 2000}),
        (layers(5000), {"depth": 2000, "unfold": True}),
    ],
    ids=["5,000 layers", "interrupted", "1,000 deep", "1,000 deep, all of it", "5,000 layers, each"],
)
def test_large_models_print_soon(graph: ModuleGraph, options, lines) -> None:
    """5,000 layers and 1,000 nested modules are no limit; ten seconds are for a busy machine."""
    started = time.monotonic()
    printed = lines(graph, **options)
    assert time.monotonic() - started < 10
    if options.get("depth"):
        assert len(printed) == len(graph.modules) + 2
        assert max(map(len, printed)) < 250
    else:
        assert len(printed) < 10


def test_a_module_that_holds_its_ancestor_has_no_line_for_it(lines) -> None:
    """The tree ends where it would begin again."""
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].add_module("back", model)
    assert labels(lines(extract(model), depth=9))[1:3] == ["Sequential", "0  Linear"]


def test_closed_lines_add_up() -> None:
    """What a fold says it holds is what its blocks hold."""
    outline = Outline(layers(7))
    (listed,) = outline.children(outline.root())
    (block,) = outline.children(listed)
    assert outline.figures(listed)[0] == "112" and outline.figures(block)[0] == "7 × 16"
    assert outline.modules_inside(outline.root()) == 15 and outline.modules_inside(block) == 1


def test_graph_json_reads_back() -> None:
    """What `--json` prints is the whole graph."""
    import json

    from graph import from_json

    graph = surgery.open(nn.Linear(2, 2), torch.zeros(1, 2)).graph
    assert from_json(json.loads(graph_json(graph))) == graph
