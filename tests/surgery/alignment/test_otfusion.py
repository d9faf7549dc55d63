"""OTFusion: doubled units come back exactly, plans are those of POT, what cannot be carried is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import ot
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import surgery
from surgery import SurgeryError
from surgery.quiet import quiet
from tests.surgery.alignment.test_activations import more
from tests.surgery.alignment.test_rebasin import BOTH, ZOO, permuted
from tests.surgery.states import run
from tests.zoo.convolutions import whole_resnet18

Blocks = Callable[[str, int], int]


def doubled(small: nn.Module, large: nn.Module, blocks: Blocks) -> nn.Module:
    """`large`, in which each unit of `small` is there twice and what reads it is shared out, as in Net2Wider.

    `blocks` says how many entries of a tensor are one unit along a dimension.
    """
    wanted, found = large.state_dict(), {}
    for name, own in small.state_dict().items():
        tensor = own
        for dim in range(own.dim()):
            if wanted[name].shape[dim] == 2 * own.shape[dim]:
                units = tensor.unflatten(dim, (-1, blocks(name, dim)))
                tensor = units.repeat_interleave(2, dim).flatten(dim, dim + 1)
                if dim == 1 and own.dim() in (2, 4) and "embed_tokens" not in name:
                    tensor = tensor / 2
        found[name] = tensor
    large.load_state_dict(found)
    return large.eval()


def of_config(model: Any, **changes: Any) -> Any:
    """A model of the same class and another config."""
    return type(model)(type(model.config).from_dict(model.config.to_dict() | changes)).eval()


def resnet() -> tuple[nn.Module, nn.Module, Any]:
    """Channels through residual additions, norms with running statistics that were drawn."""
    small, inputs = ZOO["resnet18"]()
    for norm in small.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.weight, 1.0, 0.3)
            nn.init.normal_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
    return small, doubled(small, whole_resnet18(8, 10), lambda name, dim: 1), inputs


def vit() -> tuple[nn.Module, nn.Module, Any]:
    """Width, heads of 8 entries and neurons."""
    small, inputs = ZOO["vit"]()
    large = of_config(small, hidden_size=64, intermediate_size=96, num_attention_heads=8)

    def blocks(name: str, dim: int) -> int:
        leads_out = "attention.output" in name or "o_proj" in name
        return 8 if "attention" in name and leads_out == (dim == 1) else 1

    return small, doubled(small, large, blocks), inputs


def llama() -> tuple[nn.Module, nn.Module, Any]:
    """Width, neurons, and heads of which two share a key; embedding and head apart."""
    tied, inputs = ZOO["llama"]()
    small = of_config(tied, tie_word_embeddings=False)
    sizes = {"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 8}
    large = of_config(small, hidden_size=64, intermediate_size=96, **sizes)
    at = {("q_proj", 0): 16, ("k_proj", 0): 8, ("v_proj", 0): 8, ("o_proj", 1): 16}
    return small, doubled(small, large, lambda name, dim: at.get((name.split(".")[-2], dim), 1)), inputs


def saved(model: nn.Module, inputs: Any, folder: Path, seed: int | None = None) -> str:
    """The model in a folder, its units in a drawn order."""
    session = surgery.open(model, inputs)
    if seed is not None:
        session.permute("**", seed=seed)
    return str(session.save(folder / "parent"))


class Concatenating(nn.Module):
    """Two layers of channels behind one another in what the third reads, which is depthwise, and a head."""

    def __init__(self, width: int, other: int) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, other, 3, padding=1)
        both = width + other
        self.depthwise = nn.Conv2d(both, both, 3, padding=1, groups=both)
        self.norm, self.head = nn.BatchNorm2d(both), nn.Linear(both, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.one(x))
        x = self.norm(self.depthwise(torch.cat([x, torch.relu(self.two(x))], 1)))
        return self.head(x.mean((2, 3)))


def concatenating() -> tuple[nn.Module, nn.Module, Any]:
    """Groups that lie along one dimension."""
    torch.manual_seed(0)
    small = Concatenating(5, 6).eval()
    inputs = (torch.randn(2, 3, 8, 8),)
    return small, doubled(small, Concatenating(10, 12), lambda name, dim: 1), inputs


@pytest.mark.parametrize("pair", [resnet, vit, llama, concatenating])
def test_doubled_units_come_back_exactly(pair: Any, tmp_path: Path) -> None:
    """A parent twice as wide everywhere, its units in any order, is the narrow model again, bit for bit."""
    small, large, inputs = pair()
    assert torch.allclose(run(large, inputs), run(small, inputs), atol=1e-5)
    parent = saved(large, inputs, tmp_path, seed=2)
    session = surgery.open(small, inputs)
    before = session.fingerprint()
    session.otfusion("", parents=[parent], t=1.0, statistics="parents")
    assert session.fingerprint() == before


@pytest.mark.parametrize("pair", [vit, concatenating])
def test_by_activations_too(pair: Any, tmp_path: Path) -> None:
    """Both models run the data, the parent at its own widths: each unit is known by what it holds."""
    small, large, inputs = pair()
    parent = saved(large, inputs, tmp_path, seed=2)
    session = surgery.open(small, inputs)
    session.data = [more(inputs)]
    session.otfusion("", parents=[parent], t=1.0, ground="activations", statistics="parents")
    for name, tensor in session.model.state_dict().items():
        assert torch.allclose(tensor, small.state_dict()[name], atol=1e-6), name


def test_into_a_wider_model_and_back(tmp_path: Path) -> None:
    """A narrow parent gives each unit to two of a model twice as wide: the function is the parent's."""
    small, large, inputs = llama()
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.mul_(
                1.0 + 0.1 * torch.rand(parameter.shape, generator=torch.Generator().manual_seed(1))
            )
    parent = saved(small, inputs, tmp_path)
    session = surgery.open(large, inputs)
    session.otfusion("", parents=[parent], t=1.0)
    assert torch.allclose(run(session.model, inputs), run(small, inputs), atol=1e-5)
    assert session.model.get_parameter("model.layers.0.mlp.up_proj.weight").shape == (96, 64)


@pytest.mark.parametrize("name", ["gpt2", "encoder"])
def test_of_equal_widths_it_is_rebasin(name: str, tmp_path: Path) -> None:
    """A permuted copy fuses to the model, by the orders that rebasin finds."""
    parent = permuted(name, tmp_path)
    session = surgery.open(*ZOO[name]())
    before = session.fingerprint()
    session.otfusion(parents=[parent], **BOTH)
    assert session.fingerprint() == before
    plans = session.script.steps[0].measured.tensors
    session.undo()
    session.rebasin(parents=[parent], **BOTH)
    orders = session.script.steps[0].measured.tensors
    assert plans.keys() == orders.keys()
    assert all(torch.equal(plan, orders[group]) for group, plan in plans.items())


def mlps(folder: Path, theirs: int) -> tuple[nn.Module, dict[str, Tensor], dict[str, Tensor], Tensor]:
    """A network of 6 neurons, its tensors, those of one that has another number of them, and data."""
    torch.manual_seed(0)
    mine, other = (nn.Sequential(nn.Linear(3, n), nn.Tanh(), nn.Linear(n, 2)) for n in (6, theirs))
    save_file(other.state_dict(), folder / "model.safetensors")
    return mine, mine.state_dict(), other.state_dict(), torch.randn(40, 3)


@pytest.mark.parametrize("theirs", [4, 9, 12])
@pytest.mark.parametrize("regularization", [0.0, 0.3])
def test_a_small_network_against_numpy(theirs: int, regularization: float, tmp_path: Path) -> None:
    """Squared distances of all that a neuron has, POT's plan, means of rows, shares of columns, by hand."""
    mine, a, b, data = mlps(tmp_path, theirs)
    session = surgery.open(mine, (data,))
    session.otfusion("", parents=[str(tmp_path)], t=0.25, regularization=regularization)
    a, b = ({name: each.double().numpy() for name, each in state.items()} for state in (a, b))
    rows = np.hstack([a["0.weight"], a["0.bias"][:, None], a["2.weight"].T])
    others = np.hstack([b["0.weight"], b["0.bias"][:, None], b["2.weight"].T * theirs / 6])
    costs = ot.dist(rows, others)  # squared Euclidean
    ends = np.full(6, 1 / 6), np.full(theirs, 1 / theirs)
    if regularization:
        centred = costs - costs.mean(0) - costs.mean(1)[:, None] + costs.mean()
        plan = ot.sinkhorn(*ends, costs / 2, regularization * centred.std() / 2, stopThr=1e-12)
    else:
        plan = ot.emd(*ends, costs)
    means, shares = plan * 6, plan * theirs
    expected = {
        "0.weight": 0.75 * a["0.weight"] + 0.25 * means @ b["0.weight"],
        "0.bias": 0.75 * a["0.bias"] + 0.25 * means @ b["0.bias"],
        "2.weight": 0.75 * a["2.weight"] + 0.25 * b["2.weight"] @ shares.T,
        "2.bias": 0.75 * a["2.bias"] + 0.25 * b["2.bias"],
    }
    for name, tensor in session.model.state_dict().items():
        assert np.allclose(tensor, expected[name], atol=1e-4 if regularization else 1e-6), name


def test_by_activations_against_numpy(tmp_path: Path) -> None:
    """Squared distances of what neurons give on the data, each over its spread."""
    mine, a, b, data = mlps(tmp_path, 9)
    session = surgery.open(mine, (data,))
    session.data = [data[:25], data[25:]]
    session.otfusion("", parents=[str(tmp_path)], ground="activations")
    found = np.zeros((6, 9))
    for here, there, mass in session.script.steps[0].measured.tensors["0"].tolist():
        found[here, there] = mass / 18
    hidden = [np.tanh(data.numpy() @ each["0.weight"].numpy().T + each["0.bias"].numpy()) for each in (a, b)]
    hidden = [(each - each.mean(0)) / each.std(0) for each in hidden]
    plan = ot.emd(np.full(6, 1 / 6), np.full(9, 1 / 9), ot.dist(hidden[0].T, hidden[1].T))
    assert np.allclose(found, plan, atol=1e-9)


def test_a_replay_needs_no_pot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plans are in the script: a streamed replay gives the same bits."""
    small, large, inputs = llama()
    with torch.no_grad():
        for parameter in large.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(4))
    parent = saved(large, inputs, tmp_path)
    with quiet():
        small.save_pretrained(tmp_path / "base")
    session = surgery.open(tmp_path / "base")
    session.otfusion("", parents=[parent], t=0.3)
    script = session.script.write(tmp_path / "edits.surgery.json")
    monkeypatch.setitem(sys.modules, "ot", None)
    surgery.replay(script, tmp_path / "base", out=tmp_path / "out")
    assert surgery.open(tmp_path / "out").fingerprint() == session.fingerprint()


def test_without_pot_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package that finds plans is no part of every installation."""
    parent = permuted("tied_head", tmp_path)
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(SurgeryError, match=r"found with POT.* Try: `pip install POT`"):
        surgery.open(*ZOO["tied_head"]()).otfusion("", parents=[parent])


REFUSED = {
    "depth": ({"num_hidden_layers": 5}, r"^model\.layers\.4\..* a tensor that the model lacks"),
    "tokens": ({"vocab_size": 100}, r"^model\.embed_tokens\.weight: the shapes differ.*matched"),
    "heads": (
        {"head_dim": 16},
        r"^model\.layers\.0\.self_attn: heads of another width.* got 16 .*expected 8",
    ),
    "ties": ({"hidden_size": 64, "head_dim": 8}, r"^lm_head\.weight: is tied.* Try: `untie\(\"lm_head\"\)`"),
    "queries": ({"num_attention_heads": 8, "head_dim": 8}, r"self_attn\..*: the parent's shape is not that"),
}


def test_a_scale_that_goes_by_the_width_is_refused(tmp_path: Path) -> None:
    """Gemma multiplies its embeddings by the root of their width: the parent's would come out too small."""
    model, inputs = ZOO["gemma3"]()
    with quiet():
        of_config(model, hidden_size=64).save_pretrained(tmp_path)
    with pytest.raises(
        SurgeryError, match=r"^model\.embed_tokens: multiplies .* got 64 entries of the width"
    ):
        surgery.open(model, inputs).otfusion("", parents=[str(tmp_path)])


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tmp_path: Path) -> None:
    """What differs in more than what can be carried, with the path at which it does."""
    changes, said = REFUSED[case]
    model, inputs = ZOO["llama"]()
    with quiet():
        of_config(model, **changes).save_pretrained(tmp_path)
    session = surgery.open(model, inputs)
    with pytest.raises(SurgeryError, match=said):
        session.otfusion("", parents=[str(tmp_path)])
    with pytest.raises(SurgeryError, match="otfusion merges with one parent; got 2"):
        session.otfusion("", parents=[str(tmp_path)] * 2)
    assert not session.script.steps


def test_untied_it_is_carried(tmp_path: Path) -> None:
    """The way out that a refusal names is one."""
    model, inputs = ZOO["llama"]()
    with quiet():
        of_config(model, hidden_size=64, head_dim=8).save_pretrained(tmp_path)
    session = surgery.open(model, inputs)
    session.untie("lm_head")
    session.otfusion("", parents=[str(tmp_path)])
    assert run(session.model, inputs).isfinite().all()


class Raw(nn.Module):
    """Weights that no layer holds: that neurons lie in their columns and rows shows, and no more."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.into, self.out = nn.Parameter(torch.randn(3, width)), nn.Parameter(torch.randn(width, 2))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x @ self.into) @ self.out


def test_what_nobody_knows_how_to_share_is_refused(tmp_path: Path) -> None:
    """Whether a mean or a sum is meant does not show from a shape; of equal widths both are one."""
    inputs = (torch.randn(2, 3),)
    wide, alike = (saved(Raw(width).eval(), inputs, tmp_path / str(width)) for width in (8, 6))
    session = surgery.open(Raw(6).eval(), inputs)
    with pytest.raises(SurgeryError, match=r"^into: holds neurons .* not known; got 8 .* expected 6"):
        session.otfusion("", parents=[wide])
    session.otfusion("", parents=[alike])


def test_its_chart_shows_what_carrying_gains(tmp_path: Path) -> None:
    """Doubled units in another order are as like as can be once they are carried, and were not before."""
    small, large, inputs = concatenating()
    parent = saved(large, inputs, tmp_path, seed=2)
    chart: Any = surgery.open(small, inputs).chart("otfusion", "", parents=[parent])
    before, carried = chart.values
    assert carried == pytest.approx([1.0, 1.0])
    assert max(before) < 0.9
