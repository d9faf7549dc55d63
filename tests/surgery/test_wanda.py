"""Wanda: of each output's weights those of smallest |w| · ‖x‖ go, exactly as many as asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.charts import Curves
from surgery.checkpoint.manifest import read_manifest
from tests.surgery.calibration.models import given_to, session_of, text
from tests.surgery.calibration.references import wanda_mask

FORMS: list[tuple[dict[str, Any], tuple[int, int] | None]] = [
    ({"ratio": 0.5}, None),
    ({"ratio": 0.3}, None),
    ({"pattern": "2:4"}, (2, 4)),
    ({"pattern": "4:8"}, (4, 8)),
]


@pytest.mark.parametrize("fields, runs", FORMS, ids=str)
@pytest.mark.parametrize("name, blocks, part", [
    ("llama", "model.layers", "mlp.down_proj"),
    ("gpt2", "transformer.h", "mlp.c_fc"),
])  # fmt: skip
def test_masks_are_those_of_the_paper(
    name: str, blocks: str, part: str, fields: dict[str, Any], runs: tuple[int, int] | None
) -> None:
    """In every block, given what the pruned blocks before it make; what stays keeps its bits."""
    session = session_of(name)
    model, transposed = session.opened.model, name == "gpt2"
    session.wanda(blocks, **fields)
    for block in range(2):
        path = f"{blocks}.{block}.{part}"
        before, after = (
            item.get_submodule(path).get_parameter("weight").detach() for item in (model, session.model)
        )
        rows, made = (before.t(), after.t()) if transposed else (before, after)
        mask = wanda_mask(rows, given_to(model, path, text()), fields.get("ratio", 0.5), runs)
        assert torch.equal(made, rows.masked_fill(mask, 0.0))
        for place, module in session.model.named_modules():  # the next is given what these make
            if place.startswith(f"{blocks}.{block}.") and "weight" in module._parameters:
                model.get_parameter(f"{place}.weight").data = module.get_parameter("weight").detach().clone()


def test_without_turns_all_inputs_are_those_of_the_model_as_it_is() -> None:
    """The last block's mask is that of its unpruned inputs."""
    session = session_of("llama")
    model, path = session.opened.model, "model.layers.3.self_attn.q_proj"
    session.wanda("model.layers", sequential=False)
    mask = wanda_mask(
        model.get_parameter(f"{path}.weight").detach(), given_to(model, path, text()), 0.5, None
    )
    assert torch.equal(session.model.get_parameter(f"{path}.weight") == 0, mask)


def test_equal_norms_prune_by_magnitude_alone_and_equal_scores_in_order() -> None:
    """Orthonormal inputs weigh all alike; of equal weights the first go."""
    layer = nn.Linear(8, 3, bias=False)
    layer.weight.data = torch.tensor([[1.0] * 8, [8, 7, 6, 5, 4, 3, 2, 1], [-1, 2, -3, 4, -5, 6, -7, 8]])
    session = surgery.open(nn.Sequential(layer), (torch.eye(8),))
    session.data = [torch.eye(8)]
    session.wanda("**", ratio=0.25)
    expected = torch.tensor([[0, 0, 1, 1, 1, 1, 1, 1], [8, 7, 6, 5, 4, 3, 0, 0], [0, 0, -3, 4, -5, 6, -7, 8]])
    assert torch.equal(session.model[0].weight.detach(), expected.float())


def test_inputs_outweigh_magnitudes() -> None:
    """A large weight of an input that is hardly there goes before a small one of a loud input."""
    layer = nn.Linear(2, 1, bias=False)
    layer.weight.data = torch.tensor([[5.0, 1.0]])
    session = surgery.open(nn.Sequential(layer), (torch.ones(1, 2),))
    session.data = [torch.tensor([[0.1, 3.0]])]
    session.wanda("**")
    assert session.model[0].weight.tolist() == [[0.0, 1.0]]


def test_convolutions_are_rows_of_what_they_slide_over() -> None:
    """Half of each output's weights goes."""
    torch.manual_seed(0)
    images = torch.randn(4, 3, 6, 6)
    session = surgery.open(nn.Sequential(nn.Conv2d(3, 5, 3)), (images,))
    session.data = [images]
    session.wanda("**")
    weight = session.model[0].weight.detach()
    norms = nn.functional.unfold(images, 3).double().square().sum((0, 2)).sqrt()
    before = session.opened.model[0].weight.detach().flatten(1)
    kept = (before.abs() * norms).argsort(1)[:, 13:]
    assert torch.equal(torch.zeros(5, 27).scatter_(1, kept, 1.0), (weight.flatten(1) != 0).float())


def test_a_preview_says_how_many_are_left_before_anything_is_measured() -> None:
    """Exactly those that are there after."""
    session = session_of("llama")
    preview = session.preview("wanda", "model.layers", pattern="2:4")
    session.wanda("model.layers", pattern="2:4")
    left = sum(int(torch.count_nonzero(item)) for item in session.model.parameters())
    assert preview.nonzero is not None and preview.nonzero[1] == left
    assert preview.after == preview.before


def test_a_streamed_replay_has_the_same_bits_and_needs_no_data(tmp_path: Path) -> None:
    """From the script and its sidecar, on weights that are read piece by piece."""
    session = session_of("gpt2")
    session.wanda("transformer.h", pattern="2:4")
    session.script.write(tmp_path / "edits.json")
    weights, model = tmp_path / "model.safetensors", session.opened.model
    save_file({name: item.clone().contiguous() for name, item in model.state_dict().items()}, weights)
    skeleton = surgery.open(weights, session.opened.inputs, into=model, skeleton=True)
    for step in surgery.Script.read(tmp_path / "edits.json").steps:
        skeleton.apply(step)
    assert read_manifest(skeleton.save(tmp_path / "out"))["fingerprint"] == session.fingerprint()


def test_the_numbers_of_tokens_are_in_what_was_measured() -> None:
    """By layer, padding left out; the seed says which batches."""
    session = session_of("llama")
    step = session.wanda("model.layers[0]", samples=4, seed=1).step
    measured = step.measured.tensors
    counts = {int(value) for name, value in measured.items() if name.endswith(".tokens")}
    rows = [int(batch["attention_mask"].sum()) for batch in text()]
    assert len(counts) == 1 and counts <= {a + b for a in rows for b in rows}
    assert measured["model.layers.0.mlp.up_proj.norms"].shape == (32,)


def test_the_chart_is_of_the_targets_with_a_mark_at_the_ratio() -> None:
    """Ascending, by the output's mean; it measures on few examples and keeps what it found."""
    session = session_of("llama")
    chart = session.chart("wanda", "model.layers[0:2]", ratio=0.3)
    assert isinstance(chart, Curves) and chart.mark == 0.3 and len(chart.lines) == 4
    for line in chart.lines.values():
        assert [y for _, y in line] == sorted(y for _, y in line)
    assert session.calibrations.size_bytes > 0


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("llama", {"targets": "model.layers", "pattern": "2:4", "ratio": 0.3}, "zeroes half.*0.3, expected 0.5"),
    ("llama", {"targets": "model.layers", "ratio": 0.01}, "^model.layers: no weight is large enough"),
    ("cnn", {"targets": "stem", "pattern": "2:4"}, r"^stem\.0: .*runs of 4; got 27 inputs, expected a"),
    ("llama", {"targets": "model.norm"}, r"^model\.norm: wanda finds no linear layer"),
]  # fmt: skip


@pytest.mark.parametrize("name, fields, sentence", BAD, ids=lambda item: str(item)[:30])
def test_what_does_not_fit_is_refused_in_the_preview(
    name: str, fields: dict[str, Any], sentence: str
) -> None:
    """With the path, before anything is run."""
    session = session_of(name, [])
    with pytest.raises(SurgeryError, match=sentence):
        session.preview("wanda", **fields)


@pytest.mark.parametrize(
    "name, path", [("llama", "model.layers.0.mlp.up_proj"), ("gpt2", "transformer.h.0.mlp.c_fc")]
)
def test_magnitude_pruning_has_the_same_patterns(name: str, path: str) -> None:
    """As if all inputs weighed the same, runs lying along the inputs of a Conv1D too; others are refused."""
    session = session_of(name)
    session.sparsify(path, pattern="2:4")
    before, after = (
        model.get_parameter(f"{path}.weight").detach() for model in (session.opened.model, session.model)
    )
    rows, made = (before.t(), after.t()) if name == "gpt2" else (before, after)
    mask = wanda_mask(rows, torch.ones(1, rows.shape[1], dtype=torch.float64), 0.5, (2, 4))
    assert torch.equal(made, rows.masked_fill(mask, 0.0))
    with pytest.raises(SurgeryError, match=r"^sparsify\.scope: a pattern is kept in each tensor"):
        session.sparsify(path, pattern="2:4", scope="global")
    odd = surgery.open(nn.Linear(6, 4), (torch.zeros(1, 6),))
    with pytest.raises(SurgeryError, match=r"^weight: its inputs do not fill runs of 4; got 6 inputs"):
        odd.sparsify("", pattern="2:4")


def test_no_data_and_another_width_are_refused() -> None:
    """The first with what to set; the second when a script meets a model that is wider."""
    session = session_of("llama", [])
    with pytest.raises(SurgeryError, match=r"wanda needs data.*Try: `s\.data = "):
        session.wanda("model.layers")
    other = session_of("llama")
    step = other.wanda("model.layers[0].mlp.down_proj").step
    other.undo()
    other.narrow("model.layers[0]", units="neurons", ratio=0.5)
    with pytest.raises(
        SurgeryError, match=r"^model\.layers\.0\.mlp\.down_proj: .*at another width; got \[48\]"
    ):
        other.apply(step)
