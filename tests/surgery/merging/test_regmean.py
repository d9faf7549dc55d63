"""RegMean: linear layers merged by regression on what each model gives them, all else averaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import surgery
from surgery import SurgeryError
from surgery.charts import Curves
from surgery.checkpoint.manifest import read_manifest
from tests.surgery.calibration.models import given_to, text
from tests.surgery.merging.parents import family, saved


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The small Llama, and two tuned from it."""
    return family(tmp_path_factory.mktemp("family"), 2)


def opened(base: Path, **fields: Any) -> surgery.Session:
    """A session on the base, with data."""
    session = surgery.open(base)
    session.data = text(6, 8, 16)
    return session


def models_of(base: Path, parents: list[str]) -> list[Any]:
    """The base and its parents, each by itself."""
    return [surgery.open(folder).model for folder in (base, *parents)]


@pytest.mark.parametrize("beside", [1.0, 0.7])
def test_the_gradient_of_the_squares_is_zero(folders: tuple[Path, list[str]], beside: float) -> None:
    """Of Σ ‖(Ŵ − Wᵢ) xᵢ‖², x being what each model itself gives to the layer; so no other is better."""
    base, parents = folders
    session = opened(base)
    session.regmean("", parents=parents, beside=beside)
    for path in ("model.layers.0.mlp.down_proj", "model.layers.2.self_attn.v_proj"):
        merged = session.model.get_parameter(f"{path}.weight").detach().double()
        slope, scale = torch.zeros_like(merged), 0.0
        for model in models_of(base, parents):
            given, weight = (
                given_to(model, path, session.data),
                model.get_parameter(f"{path}.weight").detach(),
            )
            gram = given.T @ given
            gram = beside * gram + (1 - beside) * torch.diag(gram.diagonal())
            slope += (merged - weight.double()) @ gram
            scale += float((weight.double() @ gram).abs().max())
        assert float(slope.abs().max()) < 1e-5 * scale


def test_equal_inputs_give_the_mean(folders: tuple[Path, list[str]]) -> None:
    """Models that differ behind a layer give it the same: what it is merged to is the mean of the weights."""
    base, _ = folders
    other = surgery.open(base).model
    with torch.no_grad():
        for parameter in other.model.layers[0].self_attn.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
    session = opened(base)
    folder = saved(other, base.parent / "behind")
    session.regmean("", parents=[str(folder)], beside=1.0)
    for part in ("q_proj", "k_proj", "v_proj"):
        path = f"model.layers.0.self_attn.{part}.weight"
        mean = (session.opened.model.get_parameter(path) + other.get_parameter(path)) / 2
        torch.testing.assert_close(session.model.get_parameter(path), mean, rtol=1e-4, atol=1e-5)


def test_what_is_no_layer_is_the_mean(folders: tuple[Path, list[str]]) -> None:
    """Norms, and a head that the embedding is tied to; integers and shapes stay."""
    base, parents = folders
    session = opened(base)
    session.regmean("", parents=parents)
    models = models_of(base, parents)
    for path in ("model.norm.weight", "model.embed_tokens.weight", "model.layers.1.input_layernorm.weight"):
        mean = sum(model.get_parameter(path).detach() for model in models) / 3
        torch.testing.assert_close(session.model.get_parameter(path).detach(), mean)


def test_nothing_beside_the_diagonals_weighs_each_input_by_its_energy(
    folders: tuple[Path, list[str]],
) -> None:
    """With `beside` 0 each column is a mean weighted with Σ x²."""
    base, parents = folders
    session, path = opened(base), "model.layers.1.mlp.up_proj"
    session.regmean("", parents=parents, beside=0.0)
    top, bottom = torch.zeros(1), torch.zeros(1)
    for model in models_of(base, parents):
        energy = given_to(model, path, session.data).square().sum(0)
        top, bottom = top + model.get_parameter(f"{path}.weight").detach() * energy, bottom + energy
    torch.testing.assert_close(
        session.model.get_parameter(f"{path}.weight").detach().double(), top / bottom, rtol=1e-4, atol=1e-6
    )


def test_it_is_nearer_to_the_models_than_the_mean(folders: tuple[Path, list[str]]) -> None:
    """In every layer: the chart's lines say by how much."""
    base, parents = folders
    chart = opened(base).chart("regmean", "model.layers", parents=parents, beside=1.0)
    assert isinstance(chart, Curves) and set(chart.lines) == {"mean", "RegMean"}
    pairs = list(zip(chart.lines["mean"], chart.lines["RegMean"], strict=True))
    assert len(pairs) == 28 and all(0 < ours[1] <= mean[1] * (1 + 1e-9) for mean, ours in pairs)


def test_a_streamed_replay_needs_no_data(folders: tuple[Path, list[str]], tmp_path: Path) -> None:
    """The same bits from script, sidecar, and the parents' folders."""
    base, parents = folders
    session = opened(base)
    session.regmean("model.layers", parents=parents)
    script = session.script.write(tmp_path / "edits.surgery.json")
    surgery.replay(script, base, tmp_path / "out", memory="1GB")
    assert read_manifest(tmp_path / "out")["fingerprint"] == session.fingerprint()


def test_what_cannot_be_solved_is_refused(folders: tuple[Path, list[str]], tmp_path: Path) -> None:
    """Fewer tokens than inputs where nothing is taken from beside the diagonal, and no data."""
    base, parents = folders
    session = opened(base)
    session.data = text(1, 1, 8, padded=False)
    with pytest.raises(
        SurgeryError, match=r"^model\.layers\.\S+: .*no inverse; got beside 1\. Try: `beside=0\.9`"
    ):
        session.regmean("model.layers", parents=parents, beside=1.0)
    session.regmean("model.layers", parents=parents, beside=0.9)
    session.data = []
    with pytest.raises(SurgeryError, match="regmean needs data"):
        session.regmean("model.layers", parents=parents)
    assert len(session.steps) == 1
