"""Where one module or weight stands at several paths, and PEFT's other traps: ours are right, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.session import Session
from tests.surgery.adapters.trained import adapters_of, train
from tests.surgery.contract import MODELS
from tests.surgery.states import loads_again, run


class Twice(nn.Module):
    """One linear module at two paths, called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.between = nn.Tanh()
        self.second = self.first

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.between(self.first(x)))


class OneWeight(nn.Module):
    """Two linear modules with biases of their own and one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
        self.second.weight = self.first.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.tanh(self.first(x)))


def made(cls: type[nn.Module]) -> Session:
    """A session on one of these, or on a list that holds a block twice."""
    torch.manual_seed(0)
    if cls is nn.ModuleList:
        return surgery.open(*MODELS["repeated"]())
    return surgery.open(cls().eval(), (torch.randn(3, 6),))


def out(session: Session) -> torch.Tensor:
    """The output on the example inputs."""
    return run(session.model, session.opened.inputs)


@pytest.mark.parametrize("target", ["first", "second"])
def test_one_module_at_two_paths_shared(target: str, tmp_path: Path) -> None:
    """Whichever path is named, one wrapper is at both; folded, the tie is kept and the output agrees."""
    session = made(Twice)
    session.attach(target, rank=2, ties="shared")
    model = session.model
    assert model.first is model.second and len(set(map(id, adapters_of(model).values()))) == 1
    train(model)
    loads_again(session, tmp_path / "out", into=session.opened.model)
    before = out(session)
    session.fold()
    assert session.model.first is session.model.second and not adapters_of(session.model)
    assert torch.allclose(out(session), before, atol=1e-6)
    session.undo()
    session.detach()
    assert session.model.first is session.model.second


def test_one_module_at_two_paths_each(tmp_path: Path) -> None:
    """Two wrappers of their own are around one base; folding is refused until that is untied, then right."""
    session = made(Twice)
    session.attach("first, second", rank=2, ties="each")
    model = session.model
    assert model.first is not model.second and model.first.base is model.second.base
    train(model)
    loads_again(session, tmp_path / "out", into=session.opened.model)
    before = out(session)
    with pytest.raises(SurgeryError, match="tied") as refusal:
        session.fold()
    assert refusal.value.hint == '`untie("first.base")` first, or detach'
    session.untie("first.base")
    session.fold()
    assert torch.allclose(out(session), before, atol=1e-6)


def test_one_module_at_two_paths_asks() -> None:
    """Unless it is said how, a reused module is refused, with all three ways."""
    with pytest.raises(SurgeryError, match="used at several paths") as refusal:
        made(Twice).attach("first")
    hint = str(refusal.value.hint)
    assert all(way in hint for way in ('ties="shared"', 'ties="each"', 'untie("second")'))


def test_a_second_adapter_beside_a_shared_one() -> None:
    """It is shared as well; both are combined and folded once, not once for each path."""
    session = made(Twice)
    session.attach("first", rank=2, ties="shared")
    session.attach("first", rank=2, called="style", ties="shared")
    train(session.model)
    before = out(session)
    session.combine("default, style")
    assert session.model.first is session.model.second
    assert torch.allclose(out(session), before, atol=1e-6)
    session.undo()
    session.fold(called="default")
    assert torch.allclose(out(session), before, atol=1e-6)
    assert session.model.first is session.model.second
    session.fold()
    assert torch.allclose(out(session), before, atol=1e-6)
    session.goto(2)
    session.detach(called="default")
    assert session.model.second.name == "style" and type(session.model.second.base) is nn.Linear


def test_two_modules_one_weight_shared(tmp_path: Path) -> None:
    """Both get one A and one B, though one is named; folded the weight is tied still."""
    session = made(OneWeight)
    session.attach("second", rank=2, ties="shared")
    model = session.model
    assert model.first.lora_A is model.second.lora_A and model.first.lora_B is model.second.lora_B
    train(model)
    loads_again(session, tmp_path / "out", into=session.opened.model)
    before = out(session)
    session.fold()
    assert session.model.first.weight is session.model.second.weight
    assert torch.allclose(out(session), before, atol=1e-6)


@pytest.mark.parametrize("ties", ["ask", "each"])
def test_two_modules_one_weight_each(ties: str) -> None:
    """Each has an adapter of its own; W + ΔA + ΔB at both is refused, and after untying each gets its own."""
    session = made(OneWeight)
    session.attach("first, second", rank=2, ties=ties)
    train(session.model)
    before = out(session)
    with pytest.raises(SurgeryError, match="folding would change every path of the tie"):
        session.fold()
    session.untie("second.base")
    session.fold()
    assert torch.allclose(out(session), before, atol=1e-6)


def test_folding_one_path_of_a_shared_adapter_is_refused() -> None:
    """The weight would change at the other path too, where the adapter would still add it."""
    session = made(Twice)
    session.attach("first", rank=2, ties="shared")
    with pytest.raises(SurgeryError, match="folding would change every path"):
        session.fold("first")


def test_shared_adapters_weighed_apart_are_not_folded_as_one() -> None:
    """Two modules with one weight and one adapter, of which one has another strength, are two weights."""
    session = made(OneWeight)
    session.attach("second", rank=2, ties="shared")
    session.activate("default", strengths=[0.5], targets="second")
    with pytest.raises(SurgeryError, match="folding would change every path"):
        session.fold()


def test_a_repeated_block() -> None:
    """A block that stands twice in a list has one slot: shared is right, each has no room and says so."""
    session = made(nn.ModuleList)
    with pytest.raises(SurgeryError, match="which has room for one adapter") as refusal:
        session.attach("blocks[0][1]", ties="each")
    assert 'ties="shared"' in str(refusal.value.hint)
    session.attach("blocks[0][1]", rank=2, ties="shared")
    model = session.model
    assert model.blocks[0] is model.blocks[1]
    assert model.blocks[0][0].lora_A is model.blocks[0][1].lora_A  # the tie inside the block
    train(model)
    before = out(session)
    session.fold()
    assert session.model.blocks[0][0].weight is session.model.blocks[1][1].weight
    assert torch.allclose(out(session), before, atol=1e-5)


def test_tied_embeddings_are_refused() -> None:
    """A head tied to its embedding by the config: an adapter on either is refused, untied it is right."""
    session = surgery.open(*MODELS["gpt2"]())
    for target in ("lm_head", "transformer.wte"):
        with pytest.raises(SurgeryError, match="tied by the model's config") as refusal:
            session.attach(target, ties="shared")
        assert refusal.value.hint == f'`untie("{target}")` first'
    session.untie("lm_head")
    session.attach("lm_head, transformer.wte", rank=2)
    train(session.model)
    before = out(session)
    session.fold()
    assert torch.allclose(out(session), before, atol=1e-5)


def test_a_plain_tie_of_head_and_embedding_is_no_shared_adapter() -> None:
    """Rows that are looked up and outputs that are multiplied read one weight differently."""

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Embedding(9, 4), nn.Linear(4, 9, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.head(self.embed(ids))

    session = surgery.open(Tied().eval(), (torch.tensor([[1, 2]]),))
    with pytest.raises(SurgeryError, match="tied to a module of another class"):
        session.attach("head", ties="shared")
    session.attach("head", rank=2)
    with pytest.raises(SurgeryError, match="folding would change every path"):
        session.fold()


@pytest.mark.parametrize("target", ["layers[0].linear1", "layers[1].self_attn.out_proj"])
def test_fast_paths_are_refused_and_the_block_is_not(target: str) -> None:
    """What torch's encoder layer reads past its children has no adapter; around the layer one has effect."""
    session = surgery.open(*MODELS["encoder"]())
    with pytest.raises(SurgeryError, match="fast path") as refusal:
        session.attach(target)
    assert str(refusal.value.hint) == f'`attach("layers.{target[7]}", "bottleneck")`'
    before = out(session)
    session.attach("layers[1]", "bottleneck", rank=2)
    assert torch.equal(out(session), before)
    train(session.model)
    assert not torch.allclose(out(session), before, atol=1e-3)


def test_grouped_convolutions_are_refused() -> None:
    """One low-rank addition would mix groups that the convolution keeps apart."""
    session = surgery.open(*MODELS["cnn"]())
    with pytest.raises(SurgeryError, match="keeps its groups apart"):
        session.attach("stage1[0].conv1")
    session.attach("**.conv2, stem[0]", rank=2)
    train(session.model)
    before = out(session)
    session.fold()
    assert torch.allclose(out(session), before, atol=1e-5)


def test_a_name_is_a_path() -> None:
    """`fc` is the module of that path, not every one whose path ends so; `**.fc` is those."""
    model = nn.ModuleDict({"fc": nn.Linear(2, 2), "blk": nn.ModuleDict({"fc": nn.Linear(2, 2)})})
    session = surgery.open(model)
    session.attach("fc", rank=1)
    assert list(adapters_of(session.model)) == ["fc"]
    session.attach("**.fc", rank=1)
    assert list(adapters_of(session.model)) == ["fc", "blk.fc"]


def test_ways_out_are_said_by_path() -> None:
    """A tie's refusal names the very paths."""
    session: Any = made(OneWeight)
    session.attach("first, second", rank=2)
    with pytest.raises(SurgeryError) as refusal:
        session.fold("first")
    assert refusal.value.path == "first"
    assert refusal.value.got == "first.base.weight and second.base.weight"
