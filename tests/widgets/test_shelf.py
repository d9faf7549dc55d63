"""Parents on the shelf: added, read beside the kernel's thread, aligned with the model, compared."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from surgery.merging import kinship as kinships
from tests.surgery.merging.parents import base_model, family, saved
from tests.surgery.merging.test_adapters import adapter
from tests.widgets.shelves import Bench, shorter
from tests.zoo import ATLAS
from widgets.shelf import comparing, heat
from widgets.shelf import shelf as shelves


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """An empty shelf; beside the base lie parent1 and parent2."""
    base, _ = family(tmp_path, 2)
    return Bench.on(base)


def test_the_cells_are_the_parts_of_the_model(bench: Bench) -> None:
    """Cards and strips as the canvas draws them, each tensor in one cell, with its depth."""
    columns = bench.panel.state["columns"]
    assert [(item["path"], item["labels"]) for item in columns] == [
        ("model.embed_tokens", ["embed_tokens"]),
        ("model.layers", ["0", "1", "2", "3"]),
        ("model.norm", ["norm"]),
    ]
    assert [depth for item in columns for depth in item["depths"]] == [0.0, 0.0, 0.3333, 0.6667, 1.0, 1.0]
    assert bench.panel.state["rows"] == [] and not bench.panel.state["can_step"]


def test_a_parent_is_added_read_and_compared(bench: Bench, tmp_path: Path) -> None:
    """A row with a figure per cell: those that `session.kinship` gives."""
    state = bench.add(tmp_path / "parent1", "one")
    (row,) = state["rows"]
    assert (row["alias"], row["status"], row["text"], row["gaps"]) == ("one", "ready", "fits everywhere", [])
    found = bench.session.kinship(str(tmp_path / "parent1"))
    block = found.under("model.layers.2")
    assert block is not None and row["values"][3] == pytest.approx(block.moved[0], rel=1e-2)
    assert state["heat"]["legend"]["high"].endswith(" %") and state["heat"]["running"] is None
    assert [option["off"] for option in state["heat"]["options"]] == [False, True, True]


def test_two_parents_have_cosines_and_conflicts(bench: Bench, tmp_path: Path) -> None:
    """Of each cell, between the parents; asked for by the name of the figure."""
    bench.add(tmp_path / "parent1", "one")
    bench.add(tmp_path / "parent2", "two")
    found = bench.session.kinship([str(tmp_path / "parent1"), str(tmp_path / "parent2")])
    block = found.under("model.layers.0")
    assert block is not None
    rows = bench.send("figure", name="cosine")["rows"]
    assert rows[0]["values"][1] == pytest.approx(block.cosine, rel=1e-2) == rows[1]["values"][1]
    rows = bench.send("figure", name="conflicts")["rows"]
    assert rows[0]["values"][1] == pytest.approx(block.conflicts, rel=1e-2)


def test_reading_blocks_nothing_and_is_said(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row says that it is being read; taken off meanwhile, it stays off."""
    go, opened = threading.Event(), shelves.parent_at

    def slow(source: str) -> Any:
        assert go.wait(60)
        return opened(source)

    monkeypatch.setattr(shelves, "parent_at", slow)
    for alias in ("one", "two"):
        bench.panel._handle_custom_msg(
            {"type": "add", "source": str(tmp_path / "parent1"), "alias": alias}, []
        )
    assert [row["status"] for row in bench.panel.state["rows"]] == ["reading", "reading"]
    assert bench.panel.state["rows"][0]["text"].startswith("reading ")
    assert not bench.panel.state["can_step"]
    bench.panel._handle_custom_msg({"type": "remove", "alias": "one"}, [])
    go.set()
    assert [(row["alias"], row["status"]) for row in bench.settled()["rows"]] == [("two", "ready")]


@pytest.mark.parametrize(
    "source, alias, said",
    [
        ("", "", "a parent needs a place"),
        ("nowhere", "no name", "no name: is no name for a parent"),
        ("nowhere", "known", "known: there is a parent of this name already."),
    ],
)
def test_a_form_that_cannot_be_is_refused(
    bench: Bench, tmp_path: Path, source: str, alias: str, said: str
) -> None:
    """A sentence beneath it; the shelf stays as it was."""
    before = bench.add(tmp_path / "parent1", "known")["form"]["added"]
    state = bench.send("add", source=source, alias=alias)
    assert state["form"]["error"]["text"].startswith(said) and state["form"]["added"] == before
    assert len(state["rows"]) == 1


def test_what_cannot_be_read_says_so_on_its_row(bench: Bench, tmp_path: Path) -> None:
    """A sentence with the way out; the step is made of the others."""
    (tmp_path / "pickle").mkdir()
    (tmp_path / "pickle" / "pytorch_model.bin").write_bytes(b"")
    row = bench.add(tmp_path / "pickle", "bad")["rows"][0]
    assert row["status"] == "refused" and "holds a pickle" in row["text"] and "save_pretrained" in row["hint"]
    assert bench.panel.state["problem"] is None
    state = bench.add(tmp_path / "parent1", "good")
    assert state["can_step"] and "good=" in state["python"] and "bad=" not in state["python"]
    assert [row["alias"] for row in bench.send("remove", alias="bad")["rows"]] == ["good"]


def test_a_name_is_made_from_the_place(bench: Bench, tmp_path: Path) -> None:
    """One that a script can say, and that is free."""
    bench.add(tmp_path / "parent1", "")
    state = bench.add(tmp_path / "parent1", "")
    assert [row["alias"] for row in state["rows"]] == ["parent1", "parent1_2"]


def test_owner_and_name_are_a_place_on_the_hub(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no such folder is; a folder that is not there stays a folder."""
    asked = list[str]()
    monkeypatch.setattr(shelves, "parent_at", lambda source: asked.append(source) or 1 / 0)
    bench.add("owner/some-name", "hub")
    bench.add("./not/there", "folder")
    assert asked == ["hf://owner/some-name", "./not/there"]


def test_blocks_that_a_parent_lacks_are_gaps(tmp_path: Path) -> None:
    """Said with the reason; the step goes where all fit, and is compared there."""
    base = saved(base_model(), tmp_path / "base")
    bench = Bench.on(base)
    state = bench.add(shorter(tmp_path / "short"), "short")
    (row,) = state["rows"]
    assert row["gaps"] == [[4, 0]] and row["reasons"][0].startswith("this parent lacks the tensor")
    assert row["text"].startswith("5 of 6 parts fit; model.layers.3: ")
    assert row["values"][4] is None and row["values"][3] is not None
    assert state["where"]["name"] == "fit" and "model.layers[0:3]" in state["python"]
    assert bench.session.preview(bench.shelf.step()).steps[0] is not None
    longer = Bench.on(tmp_path / "short").add(base, "long")
    assert "tensors more than this model: model.layers.3." in longer["rows"][0]["text"]
    assert longer["where"]["name"] == "fit" and longer["can_step"]


def test_another_width_fits_nowhere(bench: Bench, tmp_path: Path) -> None:
    """The shapes are said, and that no step is left."""
    model, _ = ATLAS["llama"]()
    wide = type(model)(type(model.config)(**{**model.config.to_dict(), "hidden_size": 64}))
    state = bench.add(saved(wide, tmp_path / "wide"), "wide")
    row = state["rows"][0]
    assert len(row["gaps"]) == 6 and "the shapes differ" in row["reasons"][0]
    assert not state["can_step"] and state["problem"]["text"].startswith("no part of the model fits")


def test_another_vocabulary_is_a_gap_of_its_own(bench: Bench, tmp_path: Path) -> None:
    """Said with the way out; the rest is merged without it."""
    model, _ = ATLAS["llama"]()
    config = type(model.config)(**{**model.config.to_dict(), "vocab_size": model.config.vocab_size + 8})
    state = bench.add(saved(type(model)(config), tmp_path / "more"), "more")
    row = state["rows"][0]
    assert row["gaps"] == [[0, 0]] and 'vocabulary="matched"' in row["reasons"][0]
    assert state["where"]["name"] == "fit" and "embed" not in state["python"]
    bench.session.preview(bench.shelf.step())
    row = bench.send("field", name="vocabulary", value="matched")["rows"][0]
    assert "without a tokenizer" in row["reasons"][0]


def test_an_adapter_shows_what_it_touches(bench: Bench, tmp_path: Path) -> None:
    """A dot per block, and how many modules; alone on the shelf it is adopted."""
    adapter(tmp_path / "adapter", 1)
    state = bench.add(tmp_path / "adapter", "style")
    (row,) = state["rows"]
    assert row["kind"] == "adapter" and row["dots"] == [[1, 2], [2, 2], [3, 2], [4, 2]]
    assert row["text"] == "8 modules adapted" and row["weight"] == [1.0]
    assert state["method"]["name"] == "adopt" and not state["over_depth"]
    assert bench.send("remove", alias="style")["method"]["name"] == "task_arithmetic"


def test_a_comparison_says_how_far_it_is_and_stops(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, and it is not begun again by itself; asked for, it is."""
    told, began, compared = list[Any](), threading.Event(), heat.kinship

    def slow(*given: Any, progress: Any, **options: Any) -> Any:
        def tell(fraction: float, label: str) -> None:
            progress(fraction, label)
            told.append(bench.panel.state["heat"]["running"])
            began.set()
            bench.shelf.comparing._stop.wait(60)

        return compared(*given, progress=tell, **options)

    monkeypatch.setattr(heat, "kinship", slow)
    bench.panel._handle_custom_msg({"type": "add", "source": str(tmp_path / "parent1"), "alias": "a"}, [])
    assert began.wait(60)
    assert bench.panel.state["heat"]["running"]["label"].startswith("model.")
    state = bench.send("stop")
    assert 0 < told[0]["fraction"] < 1
    assert state["heat"]["running"] is None and state["heat"]["due"] and state["heat"]["problem"] is None
    monkeypatch.setattr(heat, "kinship", kinships.kinship)
    assert bench.send("counts", alias="a", on=True)["heat"]["legend"] is None
    assert bench.send("compare")["heat"]["legend"] is not None


def test_much_is_compared_only_when_asked(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading all weights of a large model takes a while."""
    monkeypatch.setattr(heat, "UNASKED_BYTES", 1000)
    state = bench.add(tmp_path / "parent1", "a")
    assert state["heat"]["due"] and state["rows"][0]["values"] == []
    assert bench.send("compare")["rows"][0]["values"][1] > 0


def test_a_failure_of_a_comparison_is_said(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no bar stays."""
    monkeypatch.setattr(heat, "kinship", lambda *_, **__: 1 / 0)
    state = bench.add(tmp_path / "parent1", "a")
    assert "ZeroDivisionError" in state["heat"]["problem"]["text"] and state["heat"]["running"] is None


def test_after_an_edit_the_parents_are_looked_at_anew(bench: Bench, tmp_path: Path) -> None:
    """Cells, gaps and figures are those of the state that is there now."""
    bench.add(tmp_path / "parent1", "a")
    bench.session.remove("model.layers[3]")
    bench.shelf.shown()
    state = bench.settled()
    assert state["columns"][1]["labels"] == ["0", "1", "2"]
    assert len(state["rows"][0]["values"]) == 5 and "tensors more" in state["rows"][0]["text"]
    bench.session.undo()
    bench.session.soup("", parents=[str(tmp_path / "parent1")], t=1.0)
    bench.shelf.shown()
    assert bench.settled()["rows"][0]["values"] == [0.0] * 6


def test_two_parents_of_many_blocks_stay_small(bench: Bench, tmp_path: Path) -> None:
    """What a change of a weight sends for 80 blocks, in bytes."""
    from widgets.shelf.columns import Section
    from widgets.shelf.row import Row
    from widgets.shelf.state import columns_state, row_state

    paths = tuple(f"model.layers.{number}" for number in range(80))
    depths = tuple(number / 79 for number in range(80))
    columns = (Section("model.layers", "layers", True, paths, depths),)
    bench.add(tmp_path / "parent1", "a")
    row = Row("a", "/somewhere", tuple(depths), status="ready", fit=bench.shelf.rows[0].fit)
    rows = [row_state(row, columns, {path: 0.0123456 + place for place, path in enumerate(paths)})] * 2
    empty = len(json.dumps({**bench.panel.state, "rows": [], "columns": []}))
    assert empty + len(json.dumps([columns_state(columns), rows])) < 12_000


def test_a_skeleton_has_parents_too(tmp_path: Path) -> None:
    """Opened without weights, it is compared with them as they are read."""
    base, _ = family(tmp_path, 1)
    bench = Bench.on(base, skeleton=True)
    state = bench.add(tmp_path / "parent1", "a")
    assert state["rows"][0]["text"] == "fits everywhere" and state["rows"][0]["values"][1] > 0


def test_a_tied_embedding_has_its_figure_where_it_is_drawn(tmp_path: Path) -> None:
    """Of an encoder-decoder, whose embedding counts at a path that no card shows."""
    model, _ = ATLAS["t5"]()
    base = saved(model, tmp_path / "base")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    bench = Bench.on(base)
    state = bench.add(saved(model, tmp_path / "parent"), "p")
    assert state["columns"][0]["path"] == "encoder.embed_tokens"
    assert state["rows"][0]["values"] == [0.5] * len(state["rows"][0]["values"])


def test_the_figures_are_named_once() -> None:
    """Every figure that can be chosen has a unit."""
    assert set(heat.FIGURES) == set(heat.UNITS) and comparing.FIGURES is heat.FIGURES
