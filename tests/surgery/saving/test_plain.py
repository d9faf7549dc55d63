"""`save(plain=True)`: an ordinary model out of one that needs `surgery.load`, or a refusal that says why."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

import surgery
from surgery import Session, SurgeryError
from surgery.checkpoint import plain as rules
from surgery.cli import main
from surgery.fingerprint import Fingerprinter
from surgery.operations.sparsify import Sparsify
from tests.surgery.states import loaded_alone, run, snapshot
from tests.zoo.families import DECODERS, ENCODERS

SMALL = DECODERS | ENCODERS
BLOCKS = {"gpt2": "transformer.h", "vit": "vit.layers", "bert": "bert.encoder.layer"}
ATTENTION = {"gpt2": "c_attn", "vit": "q_proj", "bert": "query"}


def trained(model: nn.Module) -> None:
    """Adapters as after training: without it B is zero and folding would change nothing."""
    torch.manual_seed(3)
    for module in model.modules():
        if "lora_B" in module._parameters:
            module.lora_B = nn.Parameter(0.1 * torch.randn_like(module.get_parameter("lora_B")))


def special(name: str, dtype: torch.dtype = torch.float32) -> Session:
    """A small model with two blocks tied, a norm tied to another, and adapters that do something.

    One of the adapters is on a weight that is tied.
    """
    model, inputs = SMALL[name]()
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    session = surgery.open(model, inputs)
    blocks = BLOCKS.get(name, "model.layers")
    session.tie(f"{blocks}.1", to=f"{blocks}.0")
    session.attach(f"{blocks}[1:3].**.{ATTENTION.get(name, 'q_proj')}", rank=2)
    norm = next(
        path for path, _ in session.model.named_modules() if re.search(r"\.3\..*(norm|ln_)", path, re.I)
    )
    session.tie(norm, to=norm.replace(f"{blocks}.3", f"{blocks}.0"))
    trained(session.model)
    return session


@pytest.mark.parametrize("name", ["llama", "gpt2", "mixtral", "bert", "vit"])
def test_transformers_loads_it_alone(name: str, tmp_path: Path) -> None:
    """Ties are copied out and adapters folded in: no shared storage, the outputs of the edited model."""
    session = special(name)
    before, states, expected = (
        snapshot(session.model),
        list(session.history),
        run(session.model, session.opened.inputs),
    )
    folder = session.save(tmp_path / "out", plain=True)
    assert snapshot(session.model) == before and list(session.history) == states
    assert torch.equal(run(session.model, session.opened.inputs), expected)

    model = loaded_alone(session.model, folder)
    assert not any("lora" in path for path in model.state_dict())
    found = run(model, session.opened.inputs)
    assert torch.allclose(found, expected, atol=2e-4 * float(expected.abs().max()), rtol=0)
    blocks = BLOCKS.get(name, "model.layers")
    adapted = next(
        path
        for path, _ in model.get_submodule(f"{blocks}.0").named_modules()
        if path.endswith(ATTENTION.get(name, "q_proj"))
    )
    for path, parameter in model.get_submodule(f"{blocks}.0").named_parameters():
        other = model.get_parameter(f"{blocks}.1.{path}")
        assert parameter is not other
        assert torch.equal(parameter, other) or path.startswith(adapted), path
    assert Fingerprinter()(surgery.load(folder)) == Fingerprinter()(model)


def test_the_tie_of_the_class_stays(tmp_path: Path) -> None:
    """The demonstration's head reads the embedding, before and after; the ties that were made do not."""
    session = surgery.open("demo")
    session.tie("model.layers.5", to="model.layers.4")
    folder = session.save(tmp_path / "out", plain=True)
    model = loaded_alone(session.model, folder)
    assert model.config.tie_word_embeddings
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert len(list(model.parameters())) == len(list(surgery.open("demo").model.parameters()))
    prompt = torch.arange(40)[None]
    assert torch.equal(model(prompt).logits, session.model(prompt).logits)
    assert "bit for bit those of the edited model" in (folder / "README.md").read_text()


def test_the_script_in_the_folder_leads_to_what_is_in_it(tmp_path: Path) -> None:
    """The further steps are in it as any others, and their result is the fingerprint of the folder."""
    session = surgery.open("demo")
    session.tie("model.layers[5:7]", to="model.layers.4")
    session.attach("model.layers.5.self_attn.q_proj", rank=2)
    folder = session.save(tmp_path / "out", plain=True)
    script = surgery.Script.read(folder / "edits.surgery.json")
    assert [step.name for step in script.steps] == ["tie", "attach", "untie", "fold"]
    assert script.steps[2].targets.select == "model.layers.5, model.layers.6"  # type: ignore[attr-defined]
    assert surgery.replay(script).fingerprint() == script.result == Fingerprinter()(surgery.load(folder))
    assert script.result != session.fingerprint()


def test_tolerance_follows_the_dtype(tmp_path: Path) -> None:
    """In bfloat16 folding rounds the weights; the card states what was measured and what was allowed."""
    session = special("llama", torch.bfloat16)
    folder = session.save(tmp_path / "out", plain=True)
    card = (folder / "README.md").read_text()
    assert "`s.untie(" in card and "`s.fold(" in card
    assert "up to 8.8e-02 was allowed" in card
    expected, found = (
        run(model, session.opened.inputs).float()
        for model in (session.model, loaded_alone(session.model, folder))
    )
    said = float(card.partition("by at most ")[2].split()[0])
    assert said == pytest.approx(float((expected - found).abs().max() / expected.abs().max()), rel=0.05)
    assert 1e-4 < said < 8.8e-2


def test_other_outputs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a rule were wrong, the measurement says so and nothing is written."""
    wrong = iter([Sparsify.of("**:Linear", 0.5)])
    monkeypatch.setattr(rules, "RULES", (*rules.RULES, lambda _: next(wrong, None)))
    with pytest.raises(SurgeryError, match=r"would give other outputs.*expected at most 3\.5e-04"):
        special("llama").save(tmp_path / "out", plain=True)
    assert list(tmp_path.iterdir()) == []


def test_without_example_inputs_the_card_says_so(tmp_path: Path) -> None:
    """Nothing is claimed that was not measured."""
    model, _ = SMALL["llama"]()
    session = surgery.open(model)
    object.__setattr__(session.opened, "inputs", None)
    session.tie("model.layers.1", to="model.layers.0")
    folder = session.save(tmp_path / "out", plain=True)
    assert "There were no example inputs it runs on to measure that." in (folder / "README.md").read_text()


def test_an_ordinary_model_is_saved_as_ever(tmp_path: Path) -> None:
    """`plain` asks for nothing where nothing is in the way."""
    session = surgery.open(*SMALL["llama"]())
    session.remove("model.layers.1")
    folders = [session.save(tmp_path / "one"), session.save(tmp_path / "two", plain=True)]
    files = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders]
    assert files[0] == files[1]


def test_what_cannot_be_made_plain_is_refused(tmp_path: Path) -> None:
    """With the path, the reason, and the steps without which it could; nothing is written or changed.

    An expert of zeros would take its share of what the router gives out, so none is padded.
    """
    session = surgery.open(*SMALL["mixtral"]())
    session.tie("model.layers.1", to="model.layers.0")
    session.narrow("model.layers.2", "experts", ratio=0.5)
    session.attach("model.layers.3.self_attn.q_proj")
    before = snapshot(session.model)
    with pytest.raises(SurgeryError) as refusal:
        session.save(tmp_path / "out", plain=True)
    assert "model.layers.2.mlp" in refusal.value.problem and "experts is 2" in refusal.value.problem
    assert refusal.value.hint is not None
    assert refusal.value.hint.endswith('leaving out `s.narrow("model.layers.2", units="experts", ratio=0.5)`')
    assert snapshot(session.model) == before and list(tmp_path.iterdir()) == []
    session.save(tmp_path / "out")
    assert Fingerprinter()(surgery.load(tmp_path / "out")) == session.fingerprint()


def test_a_module_of_ones_own_is_refused(tmp_path: Path) -> None:
    """There is no transformers class to load it."""
    session = surgery.open(nn.Sequential(nn.Linear(3, 3)), (torch.zeros(1, 3),))
    with pytest.raises(SurgeryError, match=r"Sequential is no transformers model.*Try: saving without plain"):
        session.save(tmp_path / "out", plain=True)


def test_a_folder_that_needed_surgery_is_made_plain_later(tmp_path: Path) -> None:
    """What was saved with its ties opens again and is made ordinary then."""
    first = surgery.open("demo")
    first.tie("model.layers.5", to="model.layers.4")
    second = surgery.open(first.save(tmp_path / "first"))
    folder = second.save(tmp_path / "second", plain=True)
    prompt = torch.arange(40)[None]
    assert torch.equal(loaded_alone(second.model, folder)(prompt).logits, first.model(prompt).logits)


def test_the_command_saves_plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """`surgery replay --plain` writes what transformers loads; without --out it is refused."""
    session = surgery.open("demo")
    session.tie("model.layers.5", to="model.layers.4")
    script = session.script.write(tmp_path / "edits.surgery.json")

    def command(*words: object) -> object:
        monkeypatch.setattr("sys.argv", ["surgery", "replay", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code

    assert command(script, "--plain") == 2
    assert "--out is not given" in capsys.readouterr().err
    assert not command(script, "--plain", "--out", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "surgery.json").read_text())["loads_with"] == "transformers"
    assert isinstance(transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out"), nn.Module)
