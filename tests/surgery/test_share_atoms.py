"""Share atoms: weights of a role are combinations of a few matrices, the nearest there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.charts import Curves
from tests.surgery.by_hand import CACHED, TWO_LISTS, block_lists, heard, small
from tests.surgery.states import cached_equals_uncached, loads_again, run
from tests.zoo import ZOO
from tests.zoo.families import DECODERS

LINEARS = {"gpt2": "transformer.h[*].attn.c_attn, transformer.h[*].mlp.c_fc"}


def doubled(name: str) -> tuple[nn.Module, Any]:
    """A model of the zoo in float64."""
    model, inputs = DECODERS[name]()
    return model.double(), inputs


def weights_of(model: nn.Module, path: str) -> torch.Tensor:
    """The weights of a role over four blocks, as rows of one matrix."""
    found = [model.get_submodule(path.replace("*", str(place))).weight for place in range(4)]
    return torch.stack([weight.detach().reshape(-1) for weight in found])


@pytest.mark.parametrize(
    ("name", "role"), [("llama", "model.layers.*.mlp.up_proj"), ("gpt2", "transformer.h.*.mlp.c_fc")]
)
def test_the_error_is_the_tail_of_the_spectrum(name: str, role: str) -> None:
    """‖W − Σ c D‖² over a role is the sum of the squares of the singular values that are left out."""
    model, inputs = doubled(name)
    own = weights_of(model, role)
    values = torch.linalg.svdvals(own)
    for atoms in (1, 2, 3):
        session = surgery.open(model, inputs)
        session.share_atoms(role, atoms)
        far = (weights_of(session.model, role) - own).square().sum()
        assert torch.allclose(far, values[atoms:].square().sum(), rtol=1e-10)
        own_values = torch.linalg.svdvals(weights_of(session.model, role))
        assert (own_values > 1e-8).sum() == atoms


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen2"])
def test_as_many_atoms_as_weights_lose_nothing(name: str) -> None:
    """Each weight is what it was within 1e-14, and so are the outputs within 1e-12."""
    model, inputs = doubled(name)
    session = surgery.open(model, inputs)
    session.share_atoms(LINEARS.get(name, "**.self_attn.{q,k,v,o}_proj, **.mlp.up_proj"), 4)
    found = [path for path, item in session.model.named_modules() if hasattr(item, "coefficients")]
    assert len(found) == (8 if name == "gpt2" else 20)
    for path in found:
        made: Any = session.model.get_submodule(path)
        assert (made.weight - model.get_submodule(path).weight).abs().max() < 1e-14
    assert (run(session.model, inputs) - run(model, inputs)).abs().max() < 1e-12


def test_atoms_are_shared_and_factors_are_not() -> None:
    """One parameter for an atom over all places of a role, none over two roles; counted once."""
    model, inputs = DECODERS["llama"]()
    session = surgery.open(model, inputs)
    session.share_atoms("**.self_attn.{q,o}_proj", 2)
    layers: Any = session.model.get_submodule("model.layers")
    for number in range(2):
        one = getattr(layers[0].self_attn.q_proj, f"atom_{number}")
        assert all(getattr(block.self_attn.q_proj, f"atom_{number}") is one for block in layers)
        assert getattr(layers[0].self_attn.o_proj, f"atom_{number}") is not one
    assert len({id(block.self_attn.q_proj.coefficients) for block in layers}) == 4
    count = sum(parameter.numel() for parameter in model.parameters())
    fewer = 2 * (4 - 2) * 32 * 32 - 2 * 4 * 2
    assert sum(parameter.numel() for parameter in session.model.parameters()) == count - fewer


def test_an_atom_is_trained_by_all_of_its_places() -> None:
    """Its gradient is the sum over the weights of their gradients times their factors."""
    model, inputs = doubled("llama")
    session = surgery.open(model, inputs)
    session.share_atoms("**.mlp.up_proj", 2)
    made: Any = session.model
    weights = {}
    for block in made.model.layers:
        weight = block.mlp.up_proj.weight.detach().requires_grad_()
        weights[block.mlp.up_proj] = weight
    made(**inputs).logits.square().sum().backward()
    plain = surgery.open(model, inputs).model
    for place, weight in enumerate(weights.values()):
        plain.model.layers[place].mlp.up_proj.weight = nn.Parameter(weight.detach())
    plain(**inputs).logits.square().sum().backward()
    expected = sum(
        module.coefficients[1] * plain.model.layers[place].mlp.up_proj.weight.grad
        for place, module in enumerate(weights)
    )
    assert torch.allclose(made.model.layers[0].mlp.up_proj.atom_1.grad, expected)


@pytest.mark.parametrize("name", ["gpt_neox", "bert", "t5"])
def test_on_families(name: str, tmp_path: Path) -> None:
    """It runs, generates with its cache what it does without, and saves."""
    which = -1 if name in TWO_LISTS else 0
    model, inputs = small(name, which)
    session = surgery.open(model, inputs)
    blocks = block_lists(model)[which]
    expected = session.preview("share_atoms", targets=f"{blocks}.**:Linear", atoms=2).after
    session.share_atoms(f"{blocks}.**:Linear", atoms=2)
    assert expected.parameters == sum(parameter.numel() for parameter in session.model.parameters())
    assert torch.isfinite(run(session.model, inputs)).all()
    if name in CACHED:
        cached_equals_uncached(session.model, heard(name, inputs))
    loads_again(session, tmp_path / "out")


def test_one_place_gets_matrices_of_its_own_again() -> None:
    """Untied, it computes what it did, and what is shared by the others is left alone."""
    session = surgery.open(*DECODERS["llama"]())
    session.share_atoms("**.self_attn.v_proj", 2)
    before = run(session.model, session.opened.inputs)
    session.untie("model.layers[3]")
    layers: Any = session.model.get_submodule("model.layers")
    assert layers[3].self_attn.v_proj.atom_0 is not layers[2].self_attn.v_proj.atom_0
    assert layers[1].self_attn.v_proj.atom_0 is layers[2].self_attn.v_proj.atom_0
    assert torch.equal(run(session.model, session.opened.inputs), before)


REFUSED = [
    (
        "**.q_proj",
        5,
        r"model\.layers\.\*\.self_attn\.q_proj: there cannot be more atoms.*got 5, expected at most 4",
    ),
    ("model.layers[0].mlp.up_proj", 1, r"only one of its role.*`model\.layers\.\*\.mlp\.up_proj`"),
    ("**.self_attn", 2, "no linear module.*got LlamaAttention"),
]


@pytest.mark.parametrize(("targets", "atoms", "sentence"), REFUSED)
def test_refused(targets: str, atoms: int, sentence: str) -> None:
    """With the path and the way out."""
    with pytest.raises(SurgeryError, match=sentence):
        surgery.open(*DECODERS["llama"]()).share_atoms(targets, atoms)


def test_adapters_ties_and_fast_paths_are_refused() -> None:
    """What an adapter holds, what is tied to elsewhere, what torch reads by itself, what is no number."""
    session = surgery.open(*DECODERS["llama"]())
    session.attach("model.layers[1].**.q_proj")
    with pytest.raises(SurgeryError, match=r"layers\.1\.self_attn\.q_proj: carries an adapter.*fold"):
        session.share_atoms("model.layers[*].self_attn.q_proj", 2)
    session.undo()
    session.tie("model.layers[1].mlp", to="model.layers[0].mlp")
    with pytest.raises(SurgeryError, match=r"left behind; got model\.layers\.0\.mlp.*untie"):
        session.share_atoms("model.layers[1:3].mlp.up_proj", 1)
    session.share_atoms("model.layers[0:3].mlp.up_proj", 2)
    with pytest.raises(SurgeryError, match="no linear module"):
        session.share_atoms("**.mlp.up_proj", 2)
    with pytest.raises(SurgeryError, match="fast path"):
        surgery.open(*ZOO["encoder"]()).share_atoms("layers[*].linear1", 1)
    model, inputs = DECODERS["llama"]()
    model.get_parameter("model.layers.1.mlp.up_proj.weight").data[0, 0] = float("inf")
    with pytest.raises(SurgeryError, match="not finite"):
        surgery.open(model, inputs).share_atoms("**.mlp.up_proj", 2)


def test_what_reads_weights_of_linear_modules_says_so() -> None:
    """Neurons are not narrowed and adapters not attached past the combination."""
    session = surgery.open(*DECODERS["llama"]())
    session.share_atoms("**.mlp.up_proj", 2)
    with pytest.raises(SurgeryError):
        session.narrow("model.layers[0]", "neurons", ratio=0.5)
    with pytest.raises(SurgeryError, match="no linear module"):
        session.attach("**.mlp.up_proj")


def test_the_chart_says_what_applying_loses() -> None:
    """The curve of a role at a number of atoms is the relative error with so many; the mark is there."""
    model, inputs = doubled("llama")
    role = "model.layers.*.mlp.up_proj"
    chart = surgery.open(model, inputs).chart("share_atoms", role, atoms=2)
    assert isinstance(chart, Curves) and chart.mark == 2
    own = weights_of(model, role)
    for atoms in (1, 2, 4):
        session = surgery.open(model, inputs)
        session.share_atoms(role, atoms)
        lost = (weights_of(session.model, role) - own).norm() / own.norm()
        assert dict(chart.lines[role])[atoms] == pytest.approx(float(lost), abs=1e-6)
