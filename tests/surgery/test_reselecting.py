"""A script on a model it was not made on: refused unasked, its selectors resolved anew when asked."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import surgery
from surgery import Script, SurgeryError
from surgery.cli import main
from surgery.operations.remove import Remove
from surgery.reselecting import reselected, unresolved
from tests.surgery.contract import parent_of
from tests.zoo import ZOO
from tests.zoo.building import decoder


def llama(layers: int) -> nn.Module:
    """A Llama of so many blocks, random weights."""
    return decoder(
        "LlamaConfig", "LlamaForCausalLM", hidden_size=32, intermediate_size=64, num_attention_heads=4,
        num_key_value_heads=2, num_hidden_layers=layers, tie_word_embeddings=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def script() -> Script:
    """Three steps on four blocks: a slice, a count and a single module."""
    session = surgery.open(llama(4))
    session.remove("model.layers[2:]")
    session.attach(surgery.select("model.layers[0:2].self_attn.{q,v}_proj").expect(4), rank=2)
    session.tie("model.layers[-1].mlp", to="model.layers[0].mlp")
    return session.script


def test_another_model_is_refused_unasked(script: Script) -> None:
    """As ever, and the hint names the way; another class likewise."""
    for other in (llama(6), ZOO["qwen2"]()[0]):
        with pytest.raises(SurgeryError, match="made on another model") as refusal:
            surgery.replay(script, other)
        assert "`--reselect`" in str(refusal.value.hint)


def test_selectors_are_resolved_on_the_model_at_hand(script: Script) -> None:
    """Six blocks lose four where four lost two; the result is that of the same calls made there."""
    session = surgery.replay(script, llama(6), reselect=True)
    by_hand = surgery.open(llama(6))
    by_hand.remove("model.layers[2:]")
    by_hand.attach("model.layers[0:2].self_attn.{q,v}_proj", rank=2)
    by_hand.tie("model.layers[-1].mlp", to="model.layers[0].mlp")
    assert session.fingerprint() == by_hand.fingerprint()
    assert len(session.model.get_submodule("model.layers")._modules) == 2
    assert session.script.base.fingerprint == by_hand.base.fingerprint != script.base.fingerprint
    assert reselected(script.steps, session.steps) == (
        "1 remove model.layers[2:] → 4 modules, 2 recorded: model.layers.2, model.layers.3, model.layers.4, "
        "model.layers.5",
        "2 attach model.layers[0:2].self_attn.{q,v}_proj → 4 modules, as recorded",
        "3 tie model.layers[-1].mlp → 1 module, as recorded",
        "3 tie model.layers[0].mlp → 1 module, as recorded",
    )


def test_another_class_too(script: Script) -> None:
    """Qwen2 has the same names; what the script recorded of its base is not asked for."""
    model, inputs = ZOO["qwen2"]()
    session = surgery.replay(script, model, inputs=inputs, reselect=True)
    assert [step.name for step in session.steps] == ["remove", "attach", "tie"]
    assert session.script.base.class_name == "Qwen2ForCausalLM"


def test_counts_expected_still_hold(script: Script) -> None:
    """A model on which the selector means more or fewer is refused; step and count are named."""
    data = json.loads(script.to_json())
    data["steps"] = [data["steps"][1]]
    data["steps"][0]["targets"]["select"] = "**.self_attn.{q,v}_proj"
    with pytest.raises(SurgeryError) as refusal:
        surgery.replay(Script.from_json(json.dumps(data)), llama(6), reselect=True)
    assert refusal.value.path == "steps[0]: **.self_attn.{q,v}_proj"
    assert refusal.value.expected == 4 and str(refusal.value.got).startswith("12: ")


def test_what_matches_nothing_is_refused(script: Script) -> None:
    """A model without such modules fails loudly, whatever was recorded."""
    with pytest.raises(SurgeryError, match=r"^steps\[0\]: model\.layers\[2:\]: matches nothing"):
        surgery.replay(script, llama(2), reselect=True)


def test_parents_must_be_what_they_were() -> None:
    """A checkpoint that was merged in is recorded by its content, and that is asked for on any base."""
    session = surgery.open(*ZOO["llama"]())
    session.merge("**", parents=[parent_of("llama")])
    data = json.loads(session.script.to_json())
    assert surgery.replay(Script.from_json(json.dumps(data)), ZOO["llama"]()[0], reselect=True).steps
    data["steps"][0]["parents"][0]["fingerprint"] = "sha256:0"
    with pytest.raises(SurgeryError, match="this parent is not the one that was recorded"):
        surgery.replay(Script.from_json(json.dumps(data)), ZOO["llama"]()[0], reselect=True)


def test_the_recorded_result_is_not_asked_for(script: Script) -> None:
    """Other weights of the same class give another result, without a word."""
    other = llama(4)
    with torch.no_grad():
        other.get_parameter("model.norm.weight").add_(1)
    session = surgery.replay(script, other, reselect=True)
    assert session.fingerprint() != script.result
    assert all("as recorded" in line for line in reselected(script.steps, session.steps))


LINES = [
    (("a.1",), ("a.1",), "1 remove a → 1 module, as recorded"),
    (("a.1",), ("a.2",), "1 remove a → 1 module, others than recorded: a.2"),
    ((), ("a.2",), "1 remove a → 1 module, none recorded: a.2"),
    (("a.1",), tuple("bcdef"), "1 remove a → 5 modules, 1 recorded: b, c, d, e and 1 more"),
]


@pytest.mark.parametrize(("old", "new", "line"), LINES)
def test_lines_say_what_is_other(old: tuple[str, ...], new: tuple[str, ...], line: str) -> None:
    """The same paths, as many others, more or fewer, and a script that recorded none."""
    before, after = (Remove(targets={"select": "a", "paths": list(paths)}) for paths in (old, new))
    assert reselected([before], [after]) == (line,)


def test_forgetting_paths_keeps_the_rest() -> None:
    """Counts, numbers and choices are the step's own."""
    session = surgery.open(*ZOO["llama"]())
    session.attach(surgery.select("**.q_proj").expect(4), rank=2, seed=3)
    step = unresolved(session.steps[0])
    assert step.targets.paths == () and step.targets.count == 4
    assert (step.rank, step.seed) == (2, 3)


def test_the_command_shows_what_was_selected(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With `--reselect` a line per selector, and that nothing is compared; without it exit status 2."""
    surgery.open(llama(6)).save(tmp_path / "bigger")
    file = script.write(tmp_path / "edits.surgery.json")

    def command(*options: str) -> int:
        arguments = ["replay", str(file), "--model", str(tmp_path / "bigger"), *options]
        monkeypatch.setattr(sys, "argv", ["surgery", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    assert command() == 2
    assert "`--reselect`" in capsys.readouterr().err
    assert command("--reselect", "--out", str(tmp_path / "out")) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("3 steps replayed on")
    assert said[1].startswith("1 remove model.layers[2:] → 4 modules, 2 recorded: model.layers.2,")
    assert "not compared" in said[5]
    assert len(surgery.load(tmp_path / "out").get_submodule("model.layers")._modules) == 2
