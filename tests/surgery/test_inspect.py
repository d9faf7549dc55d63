"""`surgery inspect`: a tree for people, the whole graph for programs, one at a time."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import networkx as nx
import pytest

import surgery
from graph import from_json, to_dot
from surgery.cli import main

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def inspect(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """`inspect("--depth", "2")` of the demonstration decoder: exit status, output, errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["surgery", "inspect", "demo", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return (int(ended.value.code or 0), *capfd.readouterr())

    return run


def test_tree_depth_select_and_unfold(inspect: Command) -> None:
    """Three levels by default with the blocks folded; fewer, some, or all of them on request."""
    status, printed, _ = inspect()
    assert status == 0 and "0–9  LlamaDecoderLayer × 10" in printed and "self_attn" not in printed
    assert "layers" not in inspect("--depth", "1")[1]
    assert inspect("--unfold")[1].count("  LlamaDecoderLayer ") == 10
    status, printed, _ = inspect("--select", "model.layers[2:4].mlp")
    assert [line.split()[0] for line in printed.splitlines()[1:]] == [
        "model.layers.2.mlp",
        "model.layers.3.mlp",
    ]


def test_formats_are_the_whole_graph(inspect: Command) -> None:
    """JSON reads back equal, GraphML into networkx with every call, DOT is that of the API."""
    graph = surgery.open("demo").graph
    assert from_json(json.loads(inspect("--json")[1])) == graph
    assert inspect("--dot")[1] == to_dot(graph)
    assert len(nx.parse_graphml(inspect("--graphml")[1])) == len(graph.calls) + 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--json", "--dot"), "one format can be written at a time; got --json and --dot."),
        (("--graphml", "--select", "**"), "--graphml writes the whole graph; got --select. Try: "),
        (("--json", "--depth", "2", "--unfold"), "--json writes the whole graph; got --depth and --unfold."),
        (("--select", "nothing.here"), "nothing.here: matches nothing in this state"),
    ],
)
def test_what_does_not_go_together_is_refused(
    inspect: Command, arguments: tuple[str, ...], said: str
) -> None:
    """One sentence and exit status 2; nothing on standard output."""
    status, printed, errors = inspect(*arguments)
    assert (status, printed) == (2, "") and errors.startswith(f"surgery: {said}") and errors.count("\n") == 1


def test_a_depth_below_nothing_is_refused(inspect: Command) -> None:
    """Zero is the root alone; less means nothing."""
    assert inspect("--depth", "0")[1].splitlines()[1].startswith("LlamaForCausalLM")
    assert inspect("--depth", "-1")[0] == 2
