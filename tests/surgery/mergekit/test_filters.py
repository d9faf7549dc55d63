"""What filters and values over depth come to, and the mended parts of operations that they need."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

import surgery
from surgery.mergekit import read
from surgery.merging.only import is_meant
from tests.surgery.mergekit.models import EMBEDDING, HEAD, tensors, write
from tests.zoo.families import DECODERS, TRANSLATORS

SLERP = "merge_method: slerp\nbase_model: base\nmodels: [{model: base}, {model: one}]\n"


def test_a_tie_has_a_word_or_lacks_it_as_a_whole() -> None:
    """What a word picks and what it refuses share no tensor and leave none out."""
    tie = (EMBEDDING, HEAD)
    assert is_meant(tie, "lm_head") and is_meant(tie, "embed") and is_meant(tie, "embed lm_head")
    assert (
        not is_meant(tie, "!lm_head") and not is_meant(tie, "!embed") and not is_meant(tie, "embed !lm_head")
    )
    assert is_meant((EMBEDDING,), "embed !lm_head") and is_meant((EMBEDDING,), "")


def test_a_tied_tensor_is_merged_once_by_a_word_and_its_opposite(models: Path) -> None:
    """The two steps together are the merge without a word."""
    session, both = surgery.open("tied"), surgery.open("tied")
    session.merge("", parents=["tied_one"], only="lm_head")
    session.merge("", parents=["tied_one"], only="!lm_head")
    both.merge("", parents=["tied_one"])
    assert session.fingerprint() == both.fingerprint()


def test_scale_takes_tensors_by_parts_of_their_paths(models: Path) -> None:
    """And leaves the others; words that no tensor has are refused."""
    session = surgery.open("base")
    session.scale("model.layers", factor=3.0, only="mlp !up_proj")
    base = load_file("base/model.safetensors")
    for name, parameter in session.model.named_parameters():
        factor = 3 if "mlp" in name and "up_proj" not in name else 1
        torch.testing.assert_close(parameter.detach(), factor * base[name])
    with pytest.raises(surgery.SurgeryError, match=r"has no parameter to scale; got only 'lm_head'"):
        session.scale("model.layers", factor=3.0, only="lm_head")


def test_the_end_of_a_tie_that_a_parent_left_out_is_the_other_end(models: Path) -> None:
    """A parent that ties its head is merged with a model that does not."""
    session = surgery.open("untied_one")
    session.merge("", parents=["tied"])
    own, tied = (load_file(models / name / "model.safetensors") for name in ("untied_one", "tied"))
    torch.testing.assert_close(session.model.get_parameter(HEAD).detach(), (own[HEAD] + tied[EMBEDDING]) / 2)


def test_a_parent_without_a_head_that_ties_nothing_lacks_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is not whole."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "base", tensors(0))
    write(tmp_path / "broken", tensors(1, tied=True), tied=False)
    with pytest.raises(surgery.SurgeryError, match=r"lm_head.weight: this parent lacks the tensor"):
        surgery.open("base").merge("", parents=["broken"])


def test_filters_go_by_names_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mixtral's experts have other names there; words in one of the two only are refused."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("base", "one")):
        torch.manual_seed(seed)
        DECODERS["mixtral"]()[0].save_pretrained(tmp_path / name)
    text = SLERP + "parameters: {t: [%s]}\n"
    path = tmp_path / "config.yml"
    path.write_text(text % "{filter: self_attn, value: 0.1}, {value: 0.5}")
    assert [step.only for step in read(path).steps] == ["!self_attn", "self_attn"]  # type: ignore[attr-defined]
    for word in ("experts.1.w", "mlp.experts"):
        path.write_text(text % f"{{filter: {word}, value: 0.1}}, {{value: 0.5}}")
        with pytest.raises(
            surgery.SurgeryError, match=f"filter '{word}': a filter goes by the names in files"
        ):
            read(path)


def test_filters_know_files_without_the_prefix_of_the_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GPT-2's first files have `h.0.attn` where a model with a head has `transformer.h.0.attn`."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("base", "one")):
        torch.manual_seed(seed)
        DECODERS["gpt2"]()[0].save_pretrained(tmp_path / name)
        file = tmp_path / name / "model.safetensors"
        stored = {key.removeprefix("transformer."): tensor for key, tensor in load_file(file).items()}
        save_file(stored, file, metadata={"format": "pt"})
    path = tmp_path / "config.yml"
    path.write_text(SLERP + "parameters: {t: [{filter: attn, value: 0.1}, {value: 0.5}]}\n")
    assert [step.only for step in read(path).steps] == ["!attn", "attn"]  # type: ignore[attr-defined]
    assert len(surgery.replay(path).steps) == 2


def test_values_outside_the_blocks_are_the_first(models: Path, tmp_path: Path) -> None:
    """In mergekit the embedding, the last norm and the head are at the start of a list of values."""
    path = tmp_path / "config.yml"
    path.write_text(SLERP + "parameters: {t: [0, 1]}\n")
    made = dict(surgery.replay(path).model.named_parameters())
    base, one = (load_file(models / name / "model.safetensors") for name in ("base", "one"))
    for name in (EMBEDDING, "model.norm.weight", HEAD, "model.layers.0.mlp.up_proj.weight"):
        torch.testing.assert_close(made[name].detach(), base[name])
    torch.testing.assert_close(
        made["model.layers.2.mlp.up_proj.weight"].detach(), one["model.layers.2.mlp.up_proj.weight"]
    )


def test_what_transformers_keeps_in_float32_asks_for_no_cast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A T5 in float16 has some matrices in float32, and is float16 for all that."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("base", "one")):
        torch.manual_seed(seed)
        TRANSLATORS["t5"]()[0].half().save_pretrained(tmp_path / name)
    path = tmp_path / "config.yml"
    path.write_text(SLERP + "parameters: {t: 0.5}\ndtype: float16\n")
    steps = read(path).steps
    assert [step.name for step in steps] == ["slerp"]
    made = surgery.replay(path).model
    assert {parameter.dtype for parameter in made.parameters()} == {torch.float16, torch.float32}


def test_values_over_depth_need_blocks(models: Path, tmp_path: Path) -> None:
    """A model without a list of them has no depth."""
    path = tmp_path / "config.yml"
    path.write_text("merge_method: passthrough\nmodels: [{model: any}]\nparameters: {scale: [0, 1]}\n")
    with pytest.raises(surgery.SurgeryError, match=r"parameters: layers are counted"):
        surgery.replay(path, torch.nn.Linear(2, 2))


def test_a_model_of_another_architecture_is_merged_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its blocks are found by its family: GPT-2 has them in `transformer.h`."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("base", "one")):
        torch.manual_seed(seed)
        DECODERS["gpt2"]()[0].save_pretrained(tmp_path / name)
    path = tmp_path / "config.yml"
    path.write_text(
        "merge_method: linear\nmodels: [{model: base, parameters: {weight: [1, 0]}}, "
        "{model: one, parameters: {weight: [0, 1]}}]\n"
    )
    made = surgery.replay(path, out=tmp_path / "out").model
    base, one = (AutoModelForCausalLM.from_pretrained(name) for name in ("base", "one"))
    last = len(base.transformer.h) - 1
    assert torch.equal(made.transformer.wte.weight, base.transformer.wte.weight)
    assert torch.equal(made.transformer.h[0].mlp.c_fc.weight, base.transformer.h[0].mlp.c_fc.weight)
    assert torch.equal(made.transformer.h[last].mlp.c_fc.weight, one.transformer.h[last].mlp.c_fc.weight)
