"""Linear layers as two thin ones: what they compute, which ranks they get, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import surgery
from surgery import SurgeryError
from surgery.charts import Curves
from surgery.modules.low_rank import LowRankLinear
from surgery.recipes import FUNCTIONS, Function
from tests.surgery.states import generated, run
from tests.zoo import ATLAS, ZOO
from tests.zoo.families import TRANSLATORS

LAYERS = "model.layers[*].**:Linear"


def ranks(session: surgery.Session) -> dict[str, int]:
    """The rank of every factorised layer, by path."""
    found = session.model.named_modules()
    return {path: module.rank for path, module in found if isinstance(module, LowRankLinear)}


def weights(session: surgery.Session) -> dict[str, torch.Tensor]:
    """The linear layers' weights of a model, by path, in float64."""
    found = session.model.named_modules()
    return {path: module.weight.detach().double() for path, module in found if isinstance(module, nn.Linear)}


def test_the_model_computes_what_truncated_weights_would() -> None:
    """In float64, beside the same model with weights that torch's own decomposition cut down."""
    model, inputs = ZOO["llama"]()
    session = surgery.open(model.double(), inputs)
    plain = ZOO["llama"]()[0].double()
    for path, module in plain.named_modules():
        if path.endswith("_proj"):
            assert isinstance(module, nn.Linear)
            left, sizes, right = torch.linalg.svd(module.weight.detach(), full_matrices=False)
            module.weight = nn.Parameter((left[:, :5] * sizes[:5]) @ right[:5])
    session.low_rank(LAYERS, rank=5)
    assert set(ranks(session).values()) == {5}
    assert torch.allclose(run(session.model, inputs), run(plain, inputs), atol=1e-11, rtol=0)


def test_conv1d_lies_the_other_way_round() -> None:
    """GPT-2 stores inputs × outputs: a rank one below the shorter side is near, far from it is not."""
    model, inputs = ZOO["gpt2"]()
    session = surgery.open(model, inputs)
    before = session.model.get_parameter("transformer.h.0.mlp.c_fc.weight").detach()
    bias = session.model.get_parameter("transformer.h.0.mlp.c_fc.bias")
    session.low_rank("transformer.h[0].mlp.c_fc", rank=8)
    thin: Any = session.model.get_submodule("transformer.h.0.mlp.c_fc")
    assert thin.bias is bias and (thin.in_features, thin.out_features) == tuple(before.shape)
    left, sizes, right = torch.linalg.svd(before, full_matrices=False)
    nearest = (left[:, :8] * sizes[:8]) @ right[:8]
    assert torch.allclose((thin.up.weight @ thin.down.weight).T, nearest, atol=1e-5)


def test_a_size_is_kept_and_used_up() -> None:
    """What is left of the weights is at most that, and one more rank anywhere would be more."""
    session = surgery.open(*ZOO["llama"]())
    before = {path: weight for path, weight in weights(session).items() if path.endswith("_proj")}
    total = sum(weight.numel() for weight in before.values())
    session.low_rank(LAYERS, size=0.4)
    found = ranks(session)
    left = sum(
        found[path] * sum(weight.shape) if path in found else weight.numel()
        for path, weight in before.items()
    )
    assert left <= 0.4 * total < left + min(sum(before[path].shape) for path in found)
    assert len(set(found.values())) > 3  # spread, not one for all


def test_a_size_goes_by_relative_energies_unless_they_are_absolute() -> None:
    """A layer whose weights are a hundredth counts as much as another, or next to nothing."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(20, 20), nn.Linear(20, 20))
    module[1].weight = nn.Parameter(module[0].weight.detach() / 100)
    session = surgery.open(module, (torch.randn(2, 20),))
    session.low_rank("[*]:Linear", size=0.6)
    assert ranks(session) == {"0": 6, "1": 6}
    session.undo()
    session.low_rank("[*]:Linear", size=0.6, spread="absolute")
    assert ranks(session) == {"1": 2}  # what the other, which is whole, leaves


def test_each_layer_keeps_its_energy_with_no_rank_too_many() -> None:
    """By torch's own singular values; a layer that is whole would need a rank that saves nothing."""
    session = surgery.open(*ZOO["llama"]())
    before = {path: weight for path, weight in weights(session).items() if path.endswith("_proj")}
    session.low_rank(LAYERS, energy=0.7)
    found = ranks(session)
    assert found
    for path, weight in before.items():
        kept = torch.linalg.svdvals(weight).square().cumsum(0)
        rank = int((kept < 0.7 * kept[-1]).sum()) + 1
        outputs, inputs = weight.shape
        assert found.get(path) == (rank if rank * (outputs + inputs) < outputs * inputs else None)


def test_a_layer_that_would_not_shrink_stays_whole() -> None:
    """Of 20 × 20 and 4 × 20 rank 5 saves something in the first alone."""
    module = nn.Sequential(nn.Linear(20, 20), nn.Linear(20, 4))
    session = surgery.open(module, (torch.randn(2, 20),))
    session.low_rank("[*]:Linear", rank=5)
    assert ranks(session) == {"0": 5}


def test_tied_weights_get_tied_factors() -> None:
    """They are counted once, and stay one parameter each."""
    session = surgery.open(*ZOO["llama"]())
    session.tie("model.layers[1]", to="model.layers[0]")
    session.low_rank("model.layers[0:2].mlp.up_proj", rank=4)
    one, two = (session.model.get_submodule(f"model.layers.{place}.mlp.up_proj") for place in (0, 1))
    assert one is not two
    assert [id(item) for item in one.parameters()] == [id(item) for item in two.parameters()]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [0, 1])
def test_a_convolution_of_one_by_one_is_a_matrix(stride: int, padding: int) -> None:
    """At rank 3 it computes what torch's own decomposition of its matrix does, borders too."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(10, 8, 1, stride=stride, padding=padding)).double()
    image = torch.randn(2, 10, 5, 5, dtype=torch.float64)
    session = surgery.open(module, (image,))
    session.low_rank("0", rank=3)
    left, sizes, right = torch.linalg.svd(module[0].weight.detach().flatten(1), full_matrices=False)
    nearest = ((left[:, :3] * sizes[:3]) @ right[:3])[..., None, None]
    expected = F.conv2d(image, nearest, module[0].bias, stride=stride, padding=padding)
    assert torch.allclose(run(session.model, (image,)), expected, atol=1e-12)


def test_what_is_frozen_stays_frozen() -> None:
    """Both factors are trained where the weight was, and only there."""
    session = surgery.open(*ZOO["llama"]())
    session.freeze("model.layers[0]")
    session.low_rank("model.layers[0:2].mlp.up_proj", rank=4)
    for place, trained in ((0, False), (1, True)):
        thin = session.model.get_submodule(f"model.layers.{place}.mlp.up_proj")
        assert {item.requires_grad for item in thin.parameters()} == {trained}


def test_a_decomposition_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second factor is made of the first, which a slot has by then."""
    known, calls = FUNCTIONS["narrow_factor"], []

    def counted(*inputs: torch.Tensor, **arguments: Any) -> torch.Tensor:
        calls.append(arguments)
        return known.call(*inputs, **arguments)

    monkeypatch.setitem(FUNCTIONS, "narrow_factor", Function("narrow_factor", counted, "whole"))
    surgery.open(*ZOO["llama"]()).low_rank("model.layers[0].mlp.{up,down}_proj", rank=4)
    assert len(calls) == 2


def test_a_preview_says_at_most_until_it_is_measured() -> None:
    """Of a size near what it comes to, of an energy no more than now; of a step that was measured exactly."""
    session = surgery.open(*ZOO["llama"]())
    bounded = session.preview("low_rank", LAYERS, size=0.4)
    assert str(bounded).count("≤") == 3 and bounded.bounds == {"parameters", "size_bytes", "macs"}
    assert "≤" in str(session.preview("low_rank", LAYERS, energy=0.7)).splitlines()[0]
    step = session.low_rank(LAYERS, size=0.4).step
    after = session.model.num_parameters()
    assert after <= bounded.after.parameters < 1.1 * after
    session.undo()
    exact = session.preview(step)
    assert exact.after.parameters == after and "≤" not in str(exact)
    assert "≤" not in str(session.preview("low_rank", LAYERS, rank=4))


class Unequal(nn.Module):
    """A layer that every position goes through, and one for their mean."""

    def __init__(self) -> None:
        super().__init__()
        self.each, self.once = nn.Linear(16, 16), nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.once(self.each(x).mean(1))


def test_a_preview_promises_no_macs_where_layers_are_not_called_equally_often() -> None:
    """The budget may go to the layer that runs more often; parameters are bounded all the same."""
    session = surgery.open(Unequal(), (torch.randn(2, 5, 16),))
    preview = session.preview("low_rank", "**:Linear", size=0.5)
    assert preview.bounds == {"parameters"}
    assert [row[0] for row in preview.rows()] == ["Parameters"]


def test_a_preview_promises_no_macs_where_some_of_the_layers_are_tied() -> None:
    """A tied weight is multiplied with at two places: a rank there costs twice what it costs elsewhere."""
    session = surgery.open(*ZOO["llama"]())
    session.tie("model.layers[1]", to="model.layers[0]")
    assert session.preview("low_rank", LAYERS, size=0.5).bounds == {"parameters"}


def test_many_ranks_are_in_the_script_and_the_folder_itself(tmp_path: Path) -> None:
    """More than what a sidecar is for otherwise: `surgery.load` has none at hand."""
    torch.manual_seed(0)
    module = nn.Sequential(*(nn.Linear(8, 8) for _ in range(70)))
    session = surgery.open(module, (torch.randn(2, 8),))
    session.low_rank("**:Linear", size=0.6)
    assert not session.script.sidecar()
    loaded = surgery.load(session.save(tmp_path / "out"), into=module)
    assert torch.equal(run(loaded, (torch.ones(1, 8),)), run(session.model, (torch.ones(1, 8),)))


def test_model_code_may_ask_the_weight_for_its_dtype() -> None:
    """T5 does so in every feed-forward layer."""
    model, inputs = TRANSLATORS["t5"]()
    session = surgery.open(model, inputs)
    session.low_rank("**.{wi,wo,q,v}", rank=4)
    assert any(path.endswith(".wo") for path in ranks(session))
    run(session.model, inputs)


class Functional(nn.Module):
    """A layer that is called, and whose weight a function reads too."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 12, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(self.layer(x), self.layer.weight)


class Own(nn.Linear):
    """Not x Wᵀ + b alone."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).relu()


def tied_pair() -> nn.Module:
    """An embedding and a head that share one matrix."""
    module = nn.Sequential(nn.Embedding(9, 12), nn.Linear(12, 9, bias=False))
    module[1].weight = module[0].weight
    return module


def hooked() -> nn.Module:
    """A layer with a hook."""
    module = nn.Sequential(nn.Linear(12, 12))
    module[0].register_forward_hook(lambda *_: None)
    return module


def stacked() -> nn.Module:
    """The experts of a mixture, in one tensor."""
    return ATLAS["qwen_moe"]()[0]


REFUSED: dict[str, tuple[Any, str, dict[str, Any], str, str]] = {
    "an embedding": (tied_pair, "0", {"rank": 2}, "0: is no linear module", "`**:Linear`"),
    "a tie": (tied_pair, "1", {"rank": 2}, "1: its weight is tied .*0.weight", "untie"),
    "a function that reads": (lambda: nn.Sequential(Functional()), "0.layer", {"rank": 2}, "would fail", ""),
    "a forward of its own": (lambda: nn.Sequential(Own(12, 12)), "0", {"rank": 2}, "in a way of its own", ""),
    "a hook": (hooked, "0", {"rank": 2}, "0: has hooks", ""),
    "the whole model": (lambda: nn.Linear(12, 12), "", {"rank": 2}, "model is one Linear", "Sequential"),
    "a kernel": (
        lambda: nn.Sequential(nn.Conv2d(8, 8, 3)),
        "0",
        {"rank": 2},
        r"of kernel \(3, 3\)",
        "tucker",
    ),
    "groups": (lambda: nn.Sequential(nn.Conv2d(8, 8, 1, groups=2)), "0", {"rank": 2}, "in 2 groups", ""),
    "no rank": (lambda: nn.Sequential(nn.Linear(12, 12)), "0", {}, "0 of them", "size=0.5"),
    "two ways": (lambda: nn.Sequential(nn.Linear(12, 12)), "0", {"rank": 2, "size": 0.5}, "2 of them", ""),
    "a spread of no size": (
        lambda: nn.Sequential(nn.Linear(12, 12)),
        "0",
        {"rank": 2, "spread": "distortion"},
        "no size",
        "size=0.5",
    ),
    "a large rank": (lambda: nn.Sequential(nn.Linear(12, 12)), "0", {"rank": 6}, "no smaller", "at most 5"),
    "a tiny size": (lambda: nn.Sequential(nn.Linear(12, 12)), "0", {"size": 0.1}, "rank 1 each", "0.167"),
    "no numbers": (
        lambda: nn.Sequential(nn.Linear(12, 12).requires_grad_(False)),
        "0",
        {"size": 0.5},
        "no numbers",
        "",
    ),
    "experts": (stacked, "model.layers[1].mlp.experts", {"rank": 2}, "several matrices", "Linear"),
    "a fast path": (
        lambda: ZOO["encoder"]()[0],
        "layers[0].linear1",
        {"rank": 2},
        "reads this weight on its fast path",
        "",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    """Each by a sentence that names the path and the way out."""
    make, target, fields, sentence, hint = REFUSED[name]
    model = make()
    if name == "no numbers":
        model[0].weight.fill_(torch.nan)
    inputs = (torch.randn(2, 12),) if name == "a function that reads" else None
    session = surgery.open(model, inputs)
    with pytest.raises(SurgeryError, match=sentence) as caught:
        session.low_rank(target, **fields)
    assert hint in str(caught.value)


def test_refused_on_what_other_steps_made() -> None:
    """Under an adapter, and twice."""
    session = surgery.open(*ZOO["llama"]())
    session.attach("**.q_proj", rank=2)
    for path in ("model.layers[0].self_attn.q_proj", "model.layers[0].self_attn.q_proj.base"):
        with pytest.raises(SurgeryError, match="under an adapter"):
            session.low_rank(path, rank=2)
    session.low_rank("**.v_proj", rank=2)
    with pytest.raises(SurgeryError, match="low rank already"):
        session.low_rank("**.v_proj", rank=2)


def test_a_head_tied_by_its_config_is_refused_until_it_is_untied() -> None:
    """The config knows one matrix by that name."""
    session = surgery.open(*ZOO["gpt2"]())
    with pytest.raises(SurgeryError, match="tied by the model's config"):
        session.low_rank("lm_head", rank=2)
    session.untie("lm_head")
    session.low_rank("lm_head", rank=2)


def test_ranks_measured_elsewhere_are_refused() -> None:
    """On another selection of layers the step has to be made anew."""
    session = surgery.open(*ZOO["llama"]())
    step: Any = session.low_rank("model.layers[0].mlp.*:Linear", size=0.5).step
    session.undo()
    with pytest.raises(SurgeryError, match="measured on other modules"):
        session.apply(type(step).of("model.layers[1].mlp.*:Linear", size=0.5, measured=step.measured))


def test_the_chart_shows_what_the_first_ranks_keep() -> None:
    """By torch's own singular values, four layers at most, and a mark where all have one rank."""
    session = surgery.open(*ZOO["llama"]())
    chart = session.chart("low_rank", LAYERS, rank=4)
    assert isinstance(chart, Curves)
    assert len(chart.lines) == 4 and chart.mark == 4 and "4 of 28" in chart.title
    path, line = next(iter(chart.lines.items()))
    sizes = torch.linalg.svdvals(weights(session)[path]).square()
    assert line[0] == (0, 0) and line[-1][1] == pytest.approx(1)
    assert dict(line)[4] == pytest.approx(float(sizes[:4].sum() / sizes.sum()))
    one: Any = session.chart("low_rank", "model.layers[0].mlp.up_proj", energy=0.7)
    session.low_rank("model.layers[0].mlp.up_proj", energy=0.7)
    assert list(ranks(session).values()) == [one.mark]


@pytest.mark.parametrize(("name", "units"), [("llama", "neurons"), ("llama", "heads"), ("gpt2", "neurons")])
def test_what_is_of_low_rank_is_narrowed_as_its_product_would_be(name: str, units: str) -> None:
    """The units of the two thin ones are those of the layer: the same are left out of the product."""
    model, inputs = ZOO[name]()
    session = surgery.open(model.double(), inputs)
    session.low_rank("model.layers[*].**:Linear" if name == "llama" else "**.mlp.*:Conv1D", rank=4)
    dense = surgery.open(ZOO[name]()[0].double(), inputs)
    for path, thin in session.model.named_modules():
        if isinstance(thin, LowRankLinear):
            product = thin.up.weight @ thin.down.weight
            weight = dense.model.get_parameter(f"{path}.weight")
            weight.data = (product if name == "llama" else product.T).detach().contiguous()
    kept = [0, 2, 3] if units == "neurons" else [1]
    for edited in (session, dense):
        edited.narrow("**", units, kept=kept)
    assert torch.allclose(run(session.model, inputs), run(dense.model, inputs), atol=1e-10)
    tokens = [generated(session.model.float(), None, use_cache=cached) for cached in (True, False)]
    assert torch.equal(*tokens)
