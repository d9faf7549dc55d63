"""Fisher merging: element by element, each model counts by how much its answers hang on the weight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import surgery
from surgery import SurgeryError
from surgery.calibration.information import information
from surgery.checkpoint.manifest import read_manifest
from surgery.functions.precision import fisher_mean
from tests.surgery.calibration.models import text
from tests.surgery.merging.parents import family


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The small Llama, and two tuned from it."""
    return family(tmp_path_factory.mktemp("family"), 2)


def opened(base: Path) -> surgery.Session:
    """A session on the base, with data."""
    session = surgery.open(base)
    session.data = text()
    return session


def test_information_is_the_mean_square_of_gradients_of_drawn_answers() -> None:
    """Of a linear classifier E[(p − 1ᵧ)²x²], which is p(1 − p)x² on average over what is drawn."""
    torch.manual_seed(0)
    layer, x = nn.Linear(5, 3), torch.randn(1, 5).repeat(2000, 1)
    session = surgery.open(layer, (x[:1],))
    found = information(session.patient, ["weight", "bias"], [x], samples=2000, seed=0, verb="this")
    p = F.softmax(layer(x[:1]), -1)[0].detach()
    expected = (p * (1 - p)).unsqueeze(1) * x[0].square()
    torch.testing.assert_close(found["weight"], expected, rtol=0.15, atol=1e-3)
    torch.testing.assert_close(found["bias"], p * (1 - p), rtol=0.15, atol=1e-3)


def test_examples_are_differentiated_by_themselves_and_padding_is_left_out(
    folders: tuple[Path, list[str]],
) -> None:
    """What stands where a window is padded changes nothing; the seed gives the same bits."""
    session, path = opened(folders[0]), ["model.layers.0.mlp.up_proj.weight"]

    def found(data: Any, seed: int = 0) -> torch.Tensor:
        return information(session.patient, path, data, samples=100, seed=seed, verb="this")[path[0]]

    plain, other = text(), text()
    for batch in other:
        batch["input_ids"] = torch.where(batch["attention_mask"].bool(), batch["input_ids"], 9)
    assert torch.equal(found(plain), found(plain))
    torch.testing.assert_close(found(plain), found(other))
    assert not torch.allclose(found(plain), found(plain, seed=1))


def test_the_merge_is_the_formula_of_what_was_measured(folders: tuple[Path, list[str]]) -> None:
    """Σ λFθ / Σ λF of each tensor; within the hull; rows of the embedding that no text has are the mean."""
    base, parents = folders
    session = opened(base)
    step = session.fisher("", parents=parents, weights=[1.0, 0.5, 0.5]).step
    models = [surgery.open(folder).model for folder in (base, *parents)]
    for path in ("model.layers.1.self_attn.q_proj.weight", "model.norm.weight", "model.embed_tokens.weight"):
        values = torch.stack([model.get_parameter(path).detach().double() for model in models])
        sure = torch.stack([step.measured.tensors[f"{path}.fisher{number}"].double() for number in range(3)])
        shares = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64).view(-1, *[1] * (values.dim() - 1))
        total = (sure * shares).sum(0)
        expected = torch.where(total > 0, (sure * shares * values).sum(0) / total, (shares * values).sum(0))
        made = session.model.get_parameter(path).detach()
        torch.testing.assert_close(made.double(), expected, rtol=1e-4, atol=1e-6)
        slack = 1e-6 * values.abs().amax(0)
        assert bool(((made >= values.amin(0) - slack) & (made <= values.amax(0) + slack)).all())


def test_equal_information_gives_the_weighted_mean_and_a_factor_nothing() -> None:
    """Only what models differ in counts."""
    torch.manual_seed(0)
    one, two, sure, other = torch.randn(4, 6), torch.randn(4, 6), torch.rand(4, 6) + 0.1, torch.rand(4, 6)
    equal = fisher_mean(one, two, sure, sure, weights=(0.25, 0.75))
    torch.testing.assert_close(equal, 0.25 * one + 0.75 * two)
    plain = fisher_mean(one, two, sure, other, weights=(0.5, 0.5))
    torch.testing.assert_close(fisher_mean(one, two, 8 * sure, 8 * other, weights=(0.5, 0.5)), plain)


def test_a_streamed_replay_needs_no_data(folders: tuple[Path, list[str]], tmp_path: Path) -> None:
    """The same bits from script, sidecar, and the parents' folders."""
    base, parents = folders
    session = opened(base)
    session.fisher("model.layers", parents=parents)
    script = session.script.write(tmp_path / "edits.surgery.json")
    surgery.replay(script, base, tmp_path / "out", memory="1GB")
    assert read_manifest(tmp_path / "out")["fingerprint"] == session.fingerprint()


def test_what_cannot_be_measured_is_refused(folders: tuple[Path, list[str]]) -> None:
    """No data, weights below zero, and a model without logits."""
    base, parents = folders
    session = opened(base)
    with pytest.raises(SurgeryError, match=r"^model\.\S+: a model cannot be less .*expected 0 or more"):
        session.fisher("", parents=parents, weights=[1.0, -0.5, 0.5])
    session.data = []
    with pytest.raises(SurgeryError, match="fisher needs data"):
        session.fisher("", parents=parents)
    plain = surgery.open(nn.Sequential(nn.Linear(3, 1), nn.Flatten(0)), (torch.zeros(2, 3),))
    with pytest.raises(SurgeryError, match="this needs a model that gives logits"):
        information(plain.patient, ["0.weight"], [torch.randn(2, 3)], samples=2, seed=0, verb="this")
    assert not session.steps
