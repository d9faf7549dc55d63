"""Linear layers as two thin ones that give nearly what they gave on the data's inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

import surgery
from surgery import SurgeryError
from surgery.calibration import collecting
from surgery.charts import Curves
from surgery.checkpoint.manifest import read_manifest
from surgery.factors.distortion import distortions, tried_ranks
from surgery.factors.layers import layers
from surgery.factors.whitening import inputs_of
from surgery.operations.low_rank import LowRank
from tests.surgery.calibration.models import given_to, session_of, text
from tests.surgery.states import cached_equals_uncached, run
from tests.surgery.test_low_rank import ranks
from tests.zoo import ATLAS

LAYERS = "model.layers[*].**:Linear"
DOWN, CONV1D = "model.layers.1.mlp.down_proj", "transformer.h.1.attn.c_attn"


def whitened(weight: Tensor, gram: Tensor, ridge: float = 0.01) -> tuple[Tensor, Tensor, Tensor]:
    """U, σ, and Vᵀ S⁻¹ of W S, S being the Cholesky factor of the Gram with its ridge."""
    gram = gram.double() + ridge * gram.double().diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    root = torch.linalg.cholesky(gram)
    left, sizes, right = torch.linalg.svd(weight.double() @ root, full_matrices=False)
    return left, sizes, right @ torch.linalg.inv(root)


def truncated(weight: Tensor, gram: Tensor, rank: int, ridge: float = 0.01) -> Tensor:
    """What is left of W at a rank."""
    left, sizes, right = whitened(weight, gram, ridge)
    return (left[:, :rank] * sizes[:rank]) @ right[:rank]


def gram_at(session: surgery.Session, path: str) -> Tensor:
    """Σ x xᵀ of a layer of the opened model, padding left out."""
    given = given_to(session.opened.model, path, session.data)
    return given.T @ given


@pytest.mark.parametrize("name, path, rank", [("llama", DOWN, 6), ("gpt2", CONV1D, 7)])
def test_the_layer_is_the_truncated_whitened_one(name: str, path: str, rank: int) -> None:
    """Of the inputs without padding; its outputs there lose less than those of the plain factors."""
    session = session_of(name)
    gram, lost = gram_at(session, path), {}
    weight = session.opened.model.get_parameter(f"{path}.weight").detach()
    weight = weight.T if name == "gpt2" else weight
    for by in ("inputs", "weights"):
        session.low_rank(path, rank=rank, by=by, ridge=0.001)
        thin: Any = session.model.get_submodule(path)
        made = (thin.up.weight.double() @ thin.down.weight.double()).detach()
        lost[by] = float((((weight - made) @ gram) * (weight - made)).sum())
        if by == "inputs":
            torch.testing.assert_close(made, truncated(weight, gram, rank, 0.001), rtol=1e-4, atol=1e-5)
        session.undo()
    assert lost["inputs"] < 0.9 * lost["weights"]


def test_ranks_come_from_the_outputs_spectra() -> None:
    """An energy is a part of Σσ² of W S; a size is spread by it, relative or absolute, and is kept."""
    session = session_of("llama")
    session.low_rank("model.layers[0].mlp.*:Linear", energy=0.8, by="inputs")
    found = ranks(session)
    session.undo()
    squares = {}
    for name in ("gate_proj", "up_proj", "down_proj"):
        path = f"model.layers.0.mlp.{name}"
        weight = session.opened.model.get_parameter(f"{path}.weight").detach()
        squares[path] = whitened(weight, gram_at(session, path))[1].square()
        kept = squares[path].cumsum(0)
        rank, (outputs, inputs) = int((kept < 0.8 * kept[-1]).sum()) + 1, weight.shape
        assert found.get(path) == (rank if rank * (outputs + inputs) < outputs * inputs else None)
    assert found
    for spread in ("relative", "absolute"):
        session.low_rank("model.layers[0].mlp.*:Linear", size=0.5, spread=spread, by="inputs")
        chosen = ranks(session)
        session.undo()
        worth = {
            path: square / (square.sum() if spread == "relative" else 1.0) for path, square in squares.items()
        }  # all have the same outputs + inputs, so what is kept, but for a first rank, is worth most
        least = min(float(worth[path][rank - 1]) for path, rank in chosen.items() if rank > 1)
        most = max(float(worth[path][rank]) for path, rank in chosen.items())
        assert len(chosen) == 3 and least >= most
        assert sum(chosen.values()) == int(0.5 * 3 * weight.numel()) // sum(weight.shape)


def test_a_size_is_spread_by_distortions_of_whitened_layers() -> None:
    """‖f(x) − f′(x)‖² / ‖f(x)‖² with the reference's weight in place."""
    session = session_of("llama", text(1, rows=4))
    step = LowRank.of(DOWN, rank=1).resolved(session.patient)
    mine = layers(session.patient, step.targets)
    seen = inputs_of(session.patient, mine, session.data, samples=9, seed=0, ridge=0.01)
    row = distortions(session.patient, mine, session.data, samples=9, seen=seen, ridge=0.01)[0]
    model, batch = ATLAS["llama"]()[0], session.data[0]
    weight, gram = model.get_parameter(f"{DOWN}.weight").detach(), gram_at(session, DOWN)
    real = batch["attention_mask"].bool()
    whole = run(model, batch)[real]
    for rank, value in zip(tried_ranks(mine[0]), row, strict=True):
        model.get_submodule(DOWN).weight = nn.Parameter(truncated(weight, gram, rank).float())
        moved = run(model, batch)[real] - whole
        assert value == pytest.approx(float(moved.square().sum() / whole.square().sum()), rel=1e-3)
    session.low_rank("model.layers[1].mlp.*:Linear", size=0.5, spread="distortion", by="inputs", samples=2)
    assert ranks(session)


@pytest.mark.parametrize("stride, padding", [(1, 0), (2, 1)])
def test_a_convolution_of_one_by_one_is_given_places(stride: int, padding: int) -> None:
    """Those it looks at, with the border's zeros."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(10, 8, 1, stride=stride, padding=padding)).double()
    images = torch.randn(6, 10, 5, 5, dtype=torch.float64) * torch.logspace(-1, 1, 10)[:, None, None]
    session = surgery.open(module, (images[:1],))
    session.data = [images]
    session.low_rank("0", rank=3, by="inputs")
    seen = F.pad(images, [padding] * 4)[:, :, ::stride, ::stride].transpose(0, 1).flatten(1)
    made = truncated(module[0].weight.detach().flatten(1), seen @ seen.T, 3)[..., None, None]
    expected = F.conv2d(images, made, module[0].bias, stride=stride, padding=padding)
    assert torch.allclose(run(session.model, (images,)), expected, atol=1e-6)


def test_a_tied_weight_is_factorised_by_what_all_its_places_are_given() -> None:
    """The Gram is their sum, and the factors are tied."""
    session = session_of("llama")
    session.tie("model.layers[1]", to="model.layers[0]")
    places = [f"model.layers.{number}.mlp.up_proj" for number in (0, 1)]
    grams = [given_to(session.model, path, session.data) for path in places]
    weight = session.model.get_parameter(f"{places[0]}.weight").detach()
    session.low_rank("model.layers[0:2].mlp.up_proj", rank=4, by="inputs")
    one, two = (session.model.get_submodule(path) for path in places)
    assert [id(item) for item in one.parameters()] == [id(item) for item in two.parameters()]
    made = one.up.weight.detach() @ one.down.weight.detach()  # type: ignore[union-attr, operator]
    expected = truncated(weight, sum((x.T @ x for x in grams), torch.zeros(())), 4)
    torch.testing.assert_close(made.double(), expected, rtol=1e-4, atol=1e-5)


def test_grams_are_kept_of_what_becomes_thin() -> None:
    """Once for layers that are given the same; none of a layer that stays whole."""
    session = session_of("llama")
    names = set(session.low_rank("model.layers[0].mlp.*:Linear", rank=4, by="inputs").step.measured.tensors)
    kinds = {name.split(".", 4)[-1] for name in names}
    assert {"gate_proj.gram", "up_proj.same", "down_proj.gram", "down_proj.tokens"} <= kinds
    assert not any(kind.endswith(".rank") for kind in kinds)
    module = nn.Sequential(nn.Linear(20, 20), nn.Linear(20, 4))
    session = surgery.open(module, (torch.randn(2, 20),))
    session.data = [torch.randn(64, 20)]
    assert {*session.low_rank("[*]", rank=5, by="inputs").step.measured.tensors} == {"0.gram", "0.tokens"}
    assert ranks(session) == {"0": 5}


def test_what_was_collected_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """By another rank, and by SparseGPT on the same layers: the data are run once."""
    session, calls = session_of("llama"), []

    def counted(*arguments: Any) -> Any:
        calls.append(arguments)
        return run_data(*arguments)

    run_data = collecting._collected
    monkeypatch.setattr(collecting, "_collected", counted)
    session.low_rank("model.layers[0].mlp.*:Linear", rank=4, by="inputs", samples=6)
    session.undo()
    session.low_rank("model.layers[0].mlp.*:Linear", size=0.4, by="inputs", samples=6)
    session.undo()
    session.chart("sparse_gpt", "model.layers[0].mlp", samples=6)
    assert len(calls) == 1


@pytest.mark.parametrize("fields", [{"rank": 5}, {"size": 0.4}, {"energy": 0.6}], ids=str)
def test_a_replay_needs_no_data_and_a_folder_no_sidecar(fields: dict[str, Any], tmp_path: Path) -> None:
    """From the script, streamed to the same bits; the saved folder is loaded and generates."""
    session = session_of("gpt2")
    session.low_rank("transformer.h[*].**:Conv1D", by="inputs", **fields)
    session.script.write(tmp_path / "edits.json")
    weights, model = tmp_path / "model.safetensors", session.opened.model
    save_file({name: item.clone().contiguous() for name, item in model.state_dict().items()}, weights)
    skeleton = surgery.open(weights, session.opened.inputs, into=model, skeleton=True)
    for step in surgery.Script.read(tmp_path / "edits.json").steps:
        skeleton.apply(step)
    assert read_manifest(skeleton.save(tmp_path / "out"))["fingerprint"] == session.fingerprint()
    loaded = surgery.load(session.save(tmp_path / "live"))
    assert torch.equal(run(loaded, session.opened.inputs), run(session.model, session.opened.inputs))
    cached_equals_uncached(loaded)


def test_a_preview_needs_no_data() -> None:
    """Of one rank it is exact, of a size a bound until it is measured."""
    session = session_of("llama", [])
    exact = session.preview("low_rank", LAYERS, rank=4, by="inputs")
    assert exact.bounds is None and "≤" not in str(exact)
    assert session.preview("low_rank", LAYERS, size=0.4, by="inputs").bounds
    session.data = text()
    session.low_rank(LAYERS, rank=4, by="inputs")
    assert session.model.num_parameters() == exact.after.parameters


def test_the_chart_shows_the_outputs_energy() -> None:
    """Another curve than that of the weights, beside the reference; the mark stays."""
    session = session_of("llama")
    plain, seen = (session.chart("low_rank", DOWN, rank=4, by=by) for by in ("weights", "inputs"))
    assert isinstance(plain, Curves) and isinstance(seen, Curves)
    assert seen.title.startswith("Output energy") and plain.mark == seen.mark == 4
    weight = session.opened.model.get_parameter(f"{DOWN}.weight").detach()
    squares = whitened(weight, gram_at(session, DOWN))[1].square()
    assert dict(seen.lines[DOWN])[4] == pytest.approx(float(squares[:4].sum() / squares.sum()), rel=1e-5)
    assert dict(plain.lines[DOWN])[4] != pytest.approx(dict(seen.lines[DOWN])[4], rel=1e-3)


class Unreached(nn.Module):
    """A layer that these data do not get to."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.other = nn.Linear(12, 12), nn.Linear(12, 12)

    def forward(self, x: Tensor) -> Tensor:
        return self.first(x) if x.shape[1] == 12 else self.other(x)


class Own(nn.Conv2d):
    """A class of its own, which computes what the other does."""


REFUSED: dict[str, tuple[Any, list[Tensor], dict[str, Any], str]] = {
    "no data": (Unreached, [], {"rank": 2}, r"needs data.*`s\.data"),
    "not reached": (Unreached, [torch.ones(20, 12)], {"rank": 2}, r"^other: the data never reach"),
    "few tokens": (
        Unreached,
        [torch.ones(9, 12)],
        {"rank": 2, "ridge": 0.0, "targets": "first"},
        r"^first: without a ridge .*got 9 tokens, expected at least 12\. Try: more `samples`, or `ridge",
    ),
    "a large rank": (Unreached, [], {"rank": 6}, "two thin ones are no smaller"),
    "what has no listener": (
        lambda: nn.Sequential(Own(12, 12, 1), nn.Conv2d(12, 12, 1)),
        [torch.ones(2, 12, 3, 3)],
        {"rank": 2, "targets": "0, 1"},
        r"^0: .*cannot be listened to.*`by=\"weights\"`",
    ),
    "no numbers": (Unreached, [torch.full((20, 12), torch.nan)], {"rank": 2, "targets": "first"}, "^first: "),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    """By a sentence that names the path and the way out; the model stays as it was."""
    make, data, fields, sentence = REFUSED[name]
    session = surgery.open(make())
    session.data = data
    with pytest.raises(SurgeryError, match=sentence):
        session.low_rank(**{"targets": "**:Linear, **:Conv2d", "by": "inputs"} | fields)
    assert not session.steps


def test_few_tokens_are_enough_with_a_ridge() -> None:
    """What they do not say the weights do."""
    session = surgery.open(Unreached())
    session.data = [torch.ones(9, 12)]
    session.low_rank("first", rank=2, by="inputs")
    assert torch.isfinite(run(session.model, (torch.ones(1, 12),))).all()


def test_grams_measured_elsewhere_are_refused() -> None:
    """On another selection of layers the step has to be made anew."""
    session = session_of("llama")
    for fields in ({"size": 0.5}, {"rank": 4}):
        step: Any = session.low_rank("model.layers[0].mlp.*:Linear", by="inputs", **fields).step
        session.undo()
        with pytest.raises(SurgeryError, match=r"measured on other modules|is not at hand"):
            session.apply(
                type(step).of("model.layers[1].mlp.*:Linear", by="inputs", measured=step.measured, **fields)
            )
