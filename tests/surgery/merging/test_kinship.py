"""What models learned, compared before a merge: figures, table, heat map, command."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
import torch

import surgery
from surgery import SurgeryError
from surgery.cli import main
from surgery.show.kinship import page
from tests.surgery.merging.parents import family, tensors


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A base and three models tuned from it."""
    return family(tmp_path_factory.mktemp("kin"), 3)


@pytest.mark.parametrize("skeleton", [False, True])
def test_the_figures_are_those_of_the_tensors(models: tuple[Path, list[str]], skeleton: bool) -> None:
    """Of each tensor and of all, in memory and read piece by piece."""
    base, parents = models
    found = surgery.open(base, skeleton=skeleton).kinship([f"one={parents[0]}", *parents[1:]])
    start, others = tensors(base), [tensors(parent) for parent in parents]
    assert found.parents == ("one", "parent2", "parent3")
    assert [kin.path for kin in found.tensors] == [
        name for name, _ in surgery.open(base).model.named_parameters()
    ]
    for kin in (*found.tensors, found.all):
        names = [kin.path] if kin.path else list(start)
        whole = torch.cat([start[name].flatten().double() for name in names])
        vectors = [torch.cat([(o[name] - start[name]).flatten().double() for name in names]) for o in others]
        assert kin.count == whole.numel()
        assert kin.moved == pytest.approx([float(v.norm() / whole.norm()) for v in vectors], rel=1e-6)
        pairs = [(0, 1), (0, 2), (1, 2)]
        cosines = [
            float(torch.nn.functional.cosine_similarity(vectors[i], vectors[j], dim=0)) for i, j in pairs
        ]
        assert kin.cosines == pytest.approx(cosines, abs=1e-6)
        signs = torch.stack(vectors).sign()
        shared = (signs != 0).sum(0) > 1
        conflicts = (signs.amax(0) > 0) & (signs.amin(0) < 0)
        assert kin.conflicts == pytest.approx(int(conflicts.sum()) / int(shared.sum()), abs=1e-9)


def test_an_edited_skeleton_is_compared_as_it_is(models: tuple[Path, list[str]]) -> None:
    """After steps, its tensors are what the steps make of them."""
    session = surgery.open(models[0], skeleton=True)
    session.soup("", parents=models[1][:1], t=1.0)
    assert session.kinship(models[1][:1]).all.moved == (0.0,)


def test_it_is_shown_as_a_table_and_a_heat_map(models: tuple[Path, list[str]]) -> None:
    """A line per tensor; a cell per block; names are text."""
    found = surgery.open(models[0]).kinship(["<b>=" + models[1][0], models[1][1]][1:] + models[1][2:])
    lines = str(found).splitlines()
    assert len(lines) == 3 + len(found.tensors) and lines[-1].startswith("all ")
    assert lines[1].startswith("model.embed_tokens.weight")
    html = found._repr_html_()
    assert html.count("<h4>") == 4 and "self_attn.q_proj.weight" in html and "<script" not in html
    whole = page(found, "<i>title")
    assert "&lt;i&gt;title" in whole and "http" not in whole
    one = surgery.open(models[0]).kinship(models[1][0])
    assert one._repr_html_().count("<h4>") == 1 and "cosine" not in one._repr_html_()


def test_the_command_prints_and_writes(
    models: tuple[Path, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The table, a page, the figures."""
    files = [tmp_path / "kin.html", tmp_path / "kin.json"]
    words = ["--only", "mlp", "--html", str(files[0]), "--json", str(files[1])]
    monkeypatch.setattr("sys.argv", ["surgery", "kinship", str(models[0]), *models[1], *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "mlp.up_proj" in shown and "self_attn" not in shown
    assert files[0].read_text().startswith("<!doctype html>")
    assert json.loads(files[1].read_text())["parents"] == ["parent1", "parent2", "parent3"]


def test_parents_that_do_not_fit_are_refused(models: tuple[Path, list[str]], tmp_path: Path) -> None:
    """As in a merge."""
    session = surgery.open(models[0])
    with pytest.raises(SurgeryError, match=r"there is no such folder|holds no safetensors"):
        session.kinship(str(tmp_path))
    for none in ([], "", [" "]):  # blank is no folder, not the one that one is in
        with pytest.raises(SurgeryError, match="names no models"):
            session.kinship(none)
    with pytest.raises(SurgeryError, match="one parent or more"):
        session.preview("soup", "**", parents="")
    with pytest.raises(SurgeryError, match="matches nothing"):
        session.kinship(models[1], "nowhere")


def test_a_part_is_said_as_a_whole(models: tuple[Path, list[str]]) -> None:
    """The tensors of a block together, as if they were one."""
    base, parents = models
    found = surgery.open(base).kinship(parents[:2])
    start, others = tensors(base), [tensors(parent) for parent in parents[:2]]
    block = found.under("model.layers.1")
    assert block is not None and found.under("model.layers.9") is None
    names = [name for name in start if name.startswith("model.layers.1.")]
    whole = torch.cat([start[name].flatten().double() for name in names])
    vectors = [torch.cat([(o[name] - start[name]).flatten().double() for name in names]) for o in others]
    assert block.count == whole.numel()
    assert block.moved == pytest.approx([float(v.norm() / whole.norm()) for v in vectors], rel=1e-6)
    cosine = torch.nn.functional.cosine_similarity(vectors[0], vectors[1], dim=0)
    assert block.cosine == pytest.approx(float(cosine), abs=1e-6)
    assert found.under("") == found.all


def test_a_comparison_ends_with_what_its_progress_raises(
    models: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not begun is not read any more."""
    from surgery.stream.tiles import Maker

    made, reduced = list[object](), Maker.reduced

    def counted(self: Maker, reduction: object) -> torch.Tensor:
        made.append(reduction)
        if len(made) > 4:
            halted.wait(10)
        return reduced(self, reduction)  # type: ignore[arg-type]

    class Enough(Exception):
        """Somebody pressed Stop."""

    halted = threading.Event()

    def stop(fraction: float, label: str) -> None:
        threading.Timer(0.1, halted.set).start()
        raise Enough

    monkeypatch.setattr(Maker, "reduced", counted)
    with pytest.raises(Enough):
        surgery.open(models[0]).kinship(models[1], progress=stop)
    assert len(made) < 30 < len(tensors(models[0]))
