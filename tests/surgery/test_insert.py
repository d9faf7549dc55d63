"""Insert: a registered module in a list; outputs as by hand, and the cache counts right."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.modules import Start, module, modules
from surgery.modules.passing import Layer, PassThrough
from tests.surgery.by_hand import CACHED, SMALL, block_lists, heard, small
from tests.surgery.states import cached_equals_uncached, loads_again, run, snapshot
from tests.zoo import ATLAS, ZOO


def normalised(module: nn.Module, args: Any, kwargs: Any = None) -> Any:
    """A pre-hook after which a block is given its hidden states over their root mean square."""
    hidden = args[0]
    return (hidden * torch.rsqrt(hidden.pow(2).mean(-1, keepdim=True) + 1e-6), *args[1:])


@pytest.mark.parametrize("name", ["llama", "qwen2", "gemma3_text", "gpt2", "falcon", "bert", "vit"])
def test_a_norm_before_the_first_block(name: str) -> None:
    """Outputs are those of a pre-hook that computes the formula; the cache asks the first attention."""
    model, inputs = SMALL[name]()
    session = surgery.open(model, inputs)
    blocks = block_lists(model)[0]
    session.insert(f"{blocks}[0]", "rmsnorm")
    hook = model.get_submodule(f"{blocks}.0").register_forward_pre_hook(normalised)
    wanted = run(model, inputs)
    hook.remove()
    assert torch.allclose(run(session.model, inputs), wanted, atol=1e-5)
    assert not torch.allclose(wanted, run(model, inputs), atol=1e-3)
    assert session.model.config.num_hidden_layers == 5
    assert model.config.num_hidden_layers == 4
    if name in CACHED:
        cached_equals_uncached(session.model)


@pytest.mark.parametrize("name", ["qwen2", "gpt2", "falcon"])
def test_several_places(name: str, tmp_path: Path) -> None:
    """Modules that start as the identity change no bit wherever they are; the folder has them."""
    model, inputs = SMALL[name]()
    session = surgery.open(model, inputs)
    original, blocks = run(model, inputs), block_lists(model)[0]
    session.insert(f"{blocks}[-1]", "linear", "after")
    session.insert(f"{blocks}[2]", "identity")
    session.insert(f"{blocks}[2]", "dropout(p=0.5)", "after")
    kinds = [type(block) for block in session.model.get_submodule(blocks).children()]
    assert [kinds.index(PassThrough), kinds.index(Layer), len(kinds)] == [2, 3, 7]
    assert torch.equal(run(session.model, inputs), original)
    cached_equals_uncached(session.model)
    loads_again(session, tmp_path / "out")
    session.remove(f"{blocks}[2:4]")
    assert torch.equal(run(session.model, inputs), original)
    cached_equals_uncached(session.model)


def test_what_was_inserted_is_trained_and_edited() -> None:
    """Its weight is the identity matrix, it gets a gradient, and it may carry an adapter."""
    session = surgery.open(*SMALL["llama"]())
    session.insert("model.layers[1]", "linear(bias=False)", "after")
    weight = session.model.get_parameter("model.layers.2.base.weight")
    assert torch.equal(weight, torch.eye(32))
    session.model(**session.opened.inputs).logits.sum().backward()
    assert weight.grad is not None
    session.attach("model.layers[2].base", rank=2)
    session.undo()
    session.undo()
    assert len(session.model.model.layers) == 4


@pytest.mark.parametrize(
    ("to", "place", "shape"),
    [
        ("0", "before", [4]),
        ("0", "after", [8]),
        ("2", "before", [8]),
        ("2", "after", [2]),
        ("1", "after", [3]),
    ],
)
def test_the_width_is_that_of_the_place(to: str, place: str, shape: list[int]) -> None:
    """What flows into or out of a linear map; a module without parameters does not tell."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
    session = surgery.open(model, (torch.randn(2, 4),))
    if to == "1":
        with pytest.raises(SurgeryError, match="1: the width of layernorm does not follow"):
            session.insert(to, "layernorm", place)
        with pytest.raises(SurgeryError, match="after insert the forward would fail here"):
            session.insert(to, "layernorm", place, width=3)
        return
    session.insert(to, "layernorm", place)
    at = int(to) + (place == "after")
    assert list(session.model.get_parameter(f"{at}.weight").shape) == shape
    assert type(session.model[at]) is nn.LayerNorm
    assert torch.equal(session.model[at].weight, torch.ones(shape))


REFUSED = [
    ({"to": "model.norm", "module": "identity"}, "model.norm: insert needs a block"),
    ({"to": "model.layers", "module": "identity"}, "model.layers: insert needs a block"),
    ({"to": "model.layers[7]", "module": "identity"}, "model.layers[7]: matches nothing"),
    ({"to": "model.layers[0:2]", "module": "identity"}, "insert.to needs one module; got 2 matches"),
    ({"to": "model.layers[0]", "module": "layernrm"}, "no module is registered as 'layernrm'"),
    ({"to": "model.layers[0]", "module": "scale"}, "no module is registered as 'scale'"),
    ({"to": "model.layers[0]", "module": "layernorm(epsilon=1)"}, "layernorm has no argument 'epsilon'"),
    ({"to": "model.layers[0]", "module": "layernorm(eps='x')"}, "layernorm: eps does not fit; got 'x'"),
    ({"to": "model.layers[0]", "module": "layernorm(bias=1)"}, "layernorm: bias does not fit"),
    ({"to": "model.layers[0]", "module": "layernorm(__import__('os'))"}, "is no name of a module"),
    ({"to": "model.layers[0]", "module": "layernorm(eps=open('x'))"}, "is no name of a module"),
    ({"to": "model.layers[0]", "module": "layernorm(**{})"}, "is no name of a module"),
    ({"to": "model.layers[0]", "module": "dropout(p=2.0)"}, "dropout cannot be built"),
    ({"to": "model.layers[0]", "module": "linear", "width": 7}, "the forward would fail here"),
    ({"to": "model.layers[0]", "module": "linear", "width": 0}, "insert.width is out of bounds"),
    ({"to": "model.layers[0]", "module": "linear", "place": "beside"}, "insert.place does not fit"),
]


@pytest.mark.parametrize(("fields", "sentence"), REFUSED, ids=lambda value: str(value)[:50])
def test_refused_changes_nothing(fields: dict[str, Any], sentence: str) -> None:
    """The sentence names what is wrong, and the nearest name where there is one."""
    session = surgery.open(*ZOO["llama"]())
    before = snapshot(session.model)
    with pytest.raises(SurgeryError) as refusal:
        session.insert(**fields)
    assert sentence in str(refusal.value)
    if "layernrm" in sentence:
        assert refusal.value.hint == "`layernorm`"
    assert snapshot(session.model) == before


def test_other_lists_of_a_transformers_model_are_refused() -> None:
    """Only the blocks of a proved family are known to take what a block takes."""
    session = surgery.open(*ATLAS["deepseek"]())
    with pytest.raises(SurgeryError, match="not proved on the family 'deepseek"):
        session.insert("model.layers[0]", "identity")
    t5 = surgery.open(*SMALL["t5"]())
    with pytest.raises(SurgeryError, match=r"insert is not possible here: .* hand on"):
        t5.insert("decoder.block[1]", "identity")


@pytest.mark.parametrize("name", ["bart", "whisper", "clip", "swin"])
def test_in_one_of_several_lists(name: str, tmp_path: Path) -> None:
    """Outputs stay bit-equal in either list, the cache counts right, and the folder has both modules."""
    model, inputs = small(name)
    session = surgery.open(model, inputs)
    original = run(model, inputs)
    for blocks in block_lists(model):
        session.insert(f"{blocks}[0]", "linear")
        session.insert(f"{blocks}[-1]", "identity")
    assert torch.equal(run(session.model, inputs), original)
    if name in CACHED:
        cached_equals_uncached(session.model, heard(name, inputs))
    loads_again(session, tmp_path / "out")


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Installs a package `third_party` that registers what it is given; undone afterwards."""
    third = ModuleType("third_party")
    monkeypatch.setitem(sys.modules, "third_party", third)

    def install(registered: object) -> None:
        third.made = registered  # type: ignore[attr-defined]
        points = EntryPoints([EntryPoint("made", "third_party:made", "surgery.modules")])
        monkeypatch.setattr(
            "surgery.modules.register.entry_points", lambda *, group: points.select(group=group)
        )
        modules.cache_clear()

    yield install
    modules.cache_clear()


class Shift(nn.Module):
    """x + shift."""

    def __init__(self, width: int, by: float) -> None:
        super().__init__()
        self.by, self.shift = by, nn.Parameter(torch.zeros(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.shift


def test_a_package_brings_a_module(package: Any, tmp_path: Path) -> None:
    """By its entry point, with its own arguments and start; saved, replayed and loaded like ours."""

    @module("shift", start={"shift": Start("uniform", {"low": -1.0, "high": 1.0})})
    def shift(width: int, *, by: float) -> nn.Module:
        """X + shift."""
        return Shift(width, by)

    package(shift)
    model, inputs = SMALL["llama"]()
    session = surgery.open(model, inputs)
    with pytest.raises(SurgeryError, match="shift needs a value for by"):
        session.insert("model.layers[1]", "shift")
    session.insert("model.layers[1]", "shift(by=2)")
    added = session.model.get_parameter("model.layers.1.base.shift")
    assert added.abs().max() <= 1 and added.abs().min() > 0
    again = surgery.replay(session.script, model, inputs=inputs)
    assert again.fingerprint() == session.fingerprint()
    loads_again(session, tmp_path / "out")


def test_packages_that_do_not_fit_are_refused(package: Any) -> None:
    """A taken name, what is no registered module, buffers, and parameters without a start."""
    package(module("linear")(lambda width: nn.Linear(width, width)))
    with pytest.raises(SurgeryError, match="'linear' of third_party:made has a name that is taken"):
        modules()
    package(nn.Linear)
    with pytest.raises(SurgeryError, match="is no registered module"):
        modules()
    session = surgery.open(nn.Sequential(nn.Linear(4, 4)).eval(), (torch.randn(2, 4),))
    package(module("batchnorm")(lambda width: nn.BatchNorm1d(width)))
    with pytest.raises(SurgeryError, match="holds buffers"):
        session.insert("0", "batchnorm")
    package(module("plain")(lambda width: nn.Linear(width, width)))
    with pytest.raises(SurgeryError, match="does not say what 'weight' starts from"):
        session.insert("0", "plain")
