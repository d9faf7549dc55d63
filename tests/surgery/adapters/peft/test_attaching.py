"""Options, seeds, ties and refusals of PEFT's types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.adapters.export import export
from surgery.adapters.peft import offered
from surgery.errors import SurgeryWarning
from surgery.operations import Attach
from surgery.script import Script
from tests.surgery.adapters.peft.models import LAYERS, Pair, attached
from tests.surgery.adapters.test_ties import OneWeight, Twice, made, out
from tests.surgery.adapters.trained import adapters_of, train
from tests.surgery.contract import MODELS
from tests.surgery.states import loads_again, run


def test_the_names_are_those_of_pefts_own_list() -> None:
    """What is read as text is the enumeration that PEFT has when it is imported."""
    from peft.utils import PeftType

    assert set(offered()) == {f"peft:{item.value.lower()}" for item in PeftType}


def test_a_step_is_data() -> None:
    """Options come back from a script, as JSON and as Python; by default a step says nothing of them."""
    step = Attach.of("a", "peft:lokr", rank=2, options={"decompose_both": True, "alpha": 3})
    session = surgery.open(nn.Sequential(nn.Linear(4, 4)))
    script = Script(session.base, (step,))
    assert Script.from_json(script.to_json()).steps == (step,)
    assert script.to_python() == (
        "s.attach(\"a\", adapter=\"peft:lokr\", rank=2, options={'decompose_both': True, 'alpha': 3})"
    )
    assert Attach.of("a", "peft:lokr", rank=2, options="decompose_both=true, alpha=3") == step
    assert '"options"' not in Script(session.base, (Attach.of("a"),)).to_json()


def test_options_and_rank_are_pefts() -> None:
    """The shapes are those of PEFT's configuration with these values; the preview counts them exactly."""
    session = surgery.open(nn.Sequential(nn.Linear(16, 24)), (torch.randn(2, 16),))
    before = session.preview(Attach.of("0", "peft:loha", rank=3))
    assert before.after.parameters - before.before.parameters == 2 * 3 * (16 + 24)
    session.attach("0", "peft:loha", rank=3)
    assert [tuple(item.shape) for item in session.model[0]._parameters.values()] == [
        *((24, 3), (3, 16)),
        *((24, 3), (3, 16)),
    ]
    session.undo()
    session.attach("0", "peft:c3a", options={"block_size": 8, "init_weights": True})
    assert tuple(session.model[0].c3a_kernel.shape) == (3, 2, 8)
    assert session.model[0].c3a_kernel.abs().max() == 0


REFUSED: list[tuple[str, dict[str, Any], str, str | None]] = [
    ("peft:loha", {"options": {"rankk": 2}}, "is no option of this type", None),
    ("peft:lokr", {"options": {"decompose_bot": True}}, "is no option of this type", "`decompose_both`"),
    ("peft:loha", {"options": {"alpha": "much"}}, "does not fit", None),
    ("peft:loha", {"options": {"target_modules": "x"}}, "says where", None),
    ("peft:loha", {"rank": 2, "options": {"r": 3}}, "is said twice", None),
    ("peft:c3a", {"rank": 2}, "has no rank", None),
    ("peft:loha", {"share": "b"}, "has no share", None),
    ("lora", {"options": {"r": 3}}, "has no options", None),
    ("peft:prefix_tuning", {}, "learns a prompt for the whole model", None),
    ("peft:vera", {}, "shares tensors between all its layers", None),
    ("peft:c3a", {"options": {"block_size": 7}}, "block size should be a factor", None),
]


@pytest.mark.parametrize("kind, fields, said, hint", REFUSED)
def test_refused(kind: str, fields: dict[str, Any], said: str, hint: str | None) -> None:
    """What a type does not have or cannot do is refused with a sentence, and nothing has changed."""
    session = surgery.open(nn.Sequential(nn.Linear(16, 24)), (torch.randn(2, 16),))
    with pytest.raises(SurgeryError, match=said) as refusal:
        session.attach("0", kind, **fields)
    assert hint is None or refusal.value.hint == hint
    assert not session.steps


def test_an_unknown_type_is_refused() -> None:
    """The names to choose from are those that there are."""
    with pytest.raises(SurgeryError, match="adapter does not fit"):
        Attach.of("0", "peft:nonesuch")


def test_the_seed_and_the_path_say_what_is_drawn() -> None:
    """Equal seeds give equal bits whatever was drawn before; paths and seeds differ."""
    found = []
    for seed, noise in ((3, 1), (3, 2), (4, 1)):
        torch.manual_seed(noise)
        session, _ = attached("Linear", "peft:loha", seed=seed)
        after = torch.random.get_rng_state()
        torch.manual_seed(noise)
        Pair(LAYERS["Linear"][0])
        found.append([item.hada_w1_a.detach() for item in adapters_of(session.model).values()])
        assert torch.equal(after, torch.random.get_rng_state())  # nobody else's draws have changed
    assert all(map(torch.equal, found[0], found[1]))
    assert not torch.equal(found[0][0], found[0][1])
    assert not torch.equal(found[0][0], found[2][0])


def test_what_is_not_the_identity_is_said() -> None:
    """C3A changes the output at once: it is attached so, with a warning; LoHa without one."""
    session = surgery.open(nn.Sequential(nn.Linear(16, 16)), (torch.randn(2, 16),))
    with pytest.warns(SurgeryWarning, match="peft:c3a is not the identity"):
        session.attach("0", "peft:c3a", options={"block_size": 8})
    session.undo()
    session.attach("0", "peft:loha")  # a warning would fail


def test_one_module_at_two_paths_shared() -> None:
    """PEFT would wrap the first path alone, and merge into both: here one adapter is at both, and folds."""
    session = made(Twice)
    with pytest.raises(SurgeryError, match="used at several paths"):
        session.attach("second", "peft:loha", rank=2)
    session.attach("second", "peft:loha", rank=2, ties="shared")
    assert session.model.first is session.model.second
    train(session.model)
    before = out(session)
    session.fold()
    assert session.model.first is session.model.second
    assert torch.allclose(out(session), before, atol=1e-6)


def test_two_modules_one_weight() -> None:
    """Shared, both have one set of tensors and fold into one weight; each, folding asks to untie."""
    session = made(OneWeight)
    session.attach("second", "peft:loha", rank=2, ties="shared")
    assert session.model.first.hada_w1_a is session.model.second.hada_w1_a
    train(session.model)
    before = out(session)
    session.fold()
    assert session.model.first.weight is session.model.second.weight
    assert torch.allclose(out(session), before, atol=1e-6)
    session = made(OneWeight)
    session.attach("first, second", "peft:loha", rank=2, ties="each")
    train(session.model)
    with pytest.raises(SurgeryError, match="folding would change every path of the tie"):
        session.fold()


def test_torchs_fast_path_is_refused() -> None:
    """It would read the weight past the adapter."""
    session = surgery.open(*MODELS["encoder"]())
    with pytest.raises(SurgeryError, match="fast path"):
        session.attach("layers[0].linear1", "peft:loha")


def test_grouped_convolutions_attach_and_do_not_fold() -> None:
    """PEFT has a layer and no merge for them: its own reason is given."""
    session = surgery.open(nn.Sequential(nn.Conv2d(8, 8, 3, groups=2)), (torch.randn(1, 8, 6, 6),))
    session.attach("0", "peft:lora", rank=2)
    train(session.model)
    with pytest.raises(SurgeryError, match="is not merged by PEFT"):
        session.fold()


DIVIDED: list[tuple[nn.Module, torch.Tensor, str, dict[str, Any]]] = [
    (nn.Linear(36, 45), torch.randn(2, 36), "peft:boft", {"options": {"boft_block_size": 9}}),
    (nn.Linear(36, 45), torch.randn(2, 36), "peft:c3a", {"options": {"block_size": 9}}),
    (nn.Linear(384, 768), torch.randn(2, 384), "peft:gralora", {"rank": 9, "options": {"gralora_k": 3}}),
    (nn.Conv2d(10, 10, 3, groups=10), torch.randn(1, 10, 5, 5), "peft:lora", {"rank": 10}),
]


@pytest.mark.filterwarnings("ignore::surgery.errors.SurgeryWarning")
@pytest.mark.parametrize("layer, x, kind, fields", DIVIDED)
def test_what_divides_the_sides_goes(
    layer: nn.Module, x: torch.Tensor, kind: str, fields: dict[str, Any]
) -> None:
    """Blocks of nine go on sides of 36, though PEFT is asked about small layers of other sides."""
    session = surgery.open(nn.Sequential(layer), (x,))
    session.attach("0", kind, **fields)
    train(session.model)
    with torch.no_grad():
        before = session.model(x)
        if not isinstance(layer, nn.Conv2d):  # which PEFT does not merge in groups
            session.fold()
        assert torch.allclose(session.model(x), before, atol=1e-4)


def test_pefts_words_are_of_the_layer_itself() -> None:
    """Not of the small one that PEFT was asked about."""
    session = surgery.open(nn.Sequential(nn.Conv2d(10, 10, 3, groups=10)), (torch.randn(1, 10, 6, 6),))
    with pytest.raises(SurgeryError, match=r"Conv2d\(10, 10, .*groups=10"):
        session.attach("0", "peft:miss")


def test_what_is_about_the_weight_must_be_first() -> None:
    """OFT turns the weight, so it goes around no other adapter; LoHa adds, and goes beside any."""
    session, x = attached("Linear", "lora", rank=2)
    with pytest.raises(SurgeryError, match="must be the first adapter"):
        session.attach("net.a", "peft:boft", called="second")
    session.attach("net.a", "peft:loha", called="second")
    train(session.model)
    with torch.no_grad():
        before = session.model(x)
        session.activate("default, second", strengths=[1.0, 0.5])
        half = session.model(x)
        session.fold()
        assert torch.allclose(session.model(x), half, atol=1e-4) and not torch.allclose(half, before)


@pytest.mark.parametrize("kind", ["peft:hira", "peft:peanut"])
def test_what_adds_by_the_weight_must_be_first(kind: str) -> None:
    """What HiRA and PEANuT add is made of the weight: another, folded in under them, would change it."""
    session, x = attached("Linear", "lora", rank=2)
    with pytest.raises(SurgeryError, match="must be the first adapter"):
        session.attach("net.a", kind, called="second")
    session.undo()
    session.attach("net.*", kind)
    session.attach("net.*", "lora", rank=2, called="second")
    train(session.model)
    with torch.no_grad():
        before = session.model(x)
        with pytest.raises(SurgeryError, match="stays and would change"):
            session.fold(called="second")
        session.fold()
        assert torch.allclose(session.model(x), before, atol=1e-4)


@pytest.mark.parametrize("kind", ["peft:lokr", "peft:deft", "peft:ln_tuning"])
def test_trained_it_saves_and_loads(kind: str, tmp_path: Path) -> None:
    """Values of its own are the same after saving and loading, drawn ones or those of the weight."""
    session = surgery.open(*MODELS["llama"]())
    session.attach("**.q_proj", kind)
    train(session.model)
    loads_again(session, tmp_path / "out")


def test_a_frozen_base_gets_no_gradient() -> None:
    """With the rest frozen, gradients reach the adapters alone; in training mode too."""
    session, x = attached("Linear", "peft:lokr")
    session.freeze("net.*.base")
    session.model.train()
    train(session.model)
    session.model(x).square().sum().backward()
    for path, item in session.model.named_parameters():
        assert (item.grad is None) == (".base." in path), path


def test_other_options_are_another_folder(tmp_path: Path) -> None:
    """PEFT's format holds one setting: adapters that differ, or are weighed, are refused."""
    session, _ = attached("Linear", "peft:loha")
    session.detach("net.b")
    session.attach("net.b", "peft:loha", rank=2)
    with pytest.raises(SurgeryError, match="differ in their options"):
        export(session, tmp_path / "out")
    session.undo()
    session.activate("default", strengths=[0.5])
    with pytest.raises(SurgeryError, match="is weighed"):
        export(session, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_gpt2s_transposed_linear() -> None:
    """Its Conv1D stores inputs × outputs: HiRA folds into it as into another."""
    session = surgery.open(*MODELS["gpt2"]())
    session.attach("**.c_fc", "peft:hira", rank=2)
    train(session.model)
    before = run(session.model, session.opened.inputs)
    session.fold()
    assert torch.allclose(run(session.model, session.opened.inputs), before, atol=1e-5)
