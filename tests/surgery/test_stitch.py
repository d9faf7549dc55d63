"""Stitch: the front of one model, a fitted linear layer, the back of another, as both compute them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import surgery
from surgery.checkpoint.manifest import read_manifest
from surgery.errors import SurgeryError, SurgeryWarning
from surgery.session import Session
from tests.surgery.states import cached_equals_uncached, loads_again, run
from tests.surgery.stream.test_streamed_replay import tensors_in
from tests.zoo.building import GROUPED, decoder

DEPTH = 4


def llama(seed: int = 0, **more: Any) -> Any:
    """A small Llama with weights of its own, norms that differ from one."""
    settings = GROUPED | {"num_hidden_layers": DEPTH, "tie_word_embeddings": False} | more
    model = decoder("LlamaConfig", "LlamaForCausalLM", **settings)
    torch.manual_seed(seed)
    for parameter in model.parameters():
        parameter.data = parameter.data * (1 + 0.3 * torch.randn_like(parameter))
    return model


def batches(count: int = 2) -> list[dict[str, Tensor]]:
    """Random ids, (8, 40) each."""
    drawn = torch.Generator().manual_seed(9)
    return [{"input_ids": torch.randint(0, 64, (8, 40), generator=drawn)} for _ in range(count)]


def opened(model: nn.Module | str, data: list[dict[str, Tensor]] | None = None) -> Session:
    """A session with data to measure on."""
    session = surgery.open(model, batches(1)[0])
    session.data = batches() if data is None else data
    return session


def saved(model: nn.Module, folder: Path) -> str:
    """The folder of a model."""
    return str(surgery.open(model, batches(1)[0]).save(folder))


def moved(model: Any) -> tuple[Any, Tensor]:
    """The same function with hidden states M h, for the M it returns: their places and signs are others."""
    generator = torch.Generator().manual_seed(4)
    order = torch.randperm(32, generator=generator)
    sign = torch.randint(0, 2, (32,), generator=generator) * 2.0 - 1
    for name, parameter in model.named_parameters():
        value = parameter.data
        if value.dim() == 1:
            parameter.data = value[order]
        elif name.endswith(("o_proj.weight", "down_proj.weight")):
            parameter.data = value[order] * sign[:, None]
        else:
            parameter.data = value[:, order] * sign
    return model, torch.eye(32)[order] * sign[:, None]


def tensors(session: Session) -> Any:
    """What the last step measured."""
    step: Any = session.steps[-1]
    return step.measured.tensors


@pytest.mark.parametrize("at", [1, 3])
def test_a_model_stitched_to_itself_is_itself(at: int, tmp_path: Path) -> None:
    """W is the identity and b zero, and the output stays."""
    model = llama()
    parent = saved(model, tmp_path / "parent")
    session = opened(model)
    before = run(session.model, session.opened.inputs)
    session.stitch([parent], at=at)
    found = tensors(session)
    assert torch.allclose(found["weight"], torch.eye(32), atol=1e-6)
    assert found["bias"].abs().max() < 1e-6 and float(found["r2"]) == pytest.approx(1)
    assert torch.allclose(run(session.model, session.opened.inputs), before, atol=1e-5)
    made: Any = session.model
    assert len(made.model.layers) == made.config.num_hidden_layers == DEPTH + 1


def test_a_known_map_is_recovered(tmp_path: Path) -> None:
    """Where the other is this model in another basis, W is the change of basis and the output stays."""
    other, matrix = moved(llama())
    parent = saved(other, tmp_path / "parent")
    session = opened(llama())
    before = run(session.model, session.opened.inputs)
    session.stitch([parent], at=2)
    assert torch.allclose(tensors(session)["weight"], matrix, atol=1e-4)
    assert torch.allclose(run(session.model, session.opened.inputs), before, atol=1e-4)


def test_other_widths_and_depths_compute_as_written_out(tmp_path: Path) -> None:
    """The other model run by itself, with W h + b put in place of what its block is given."""
    wide = {"hidden_size": 48, "num_attention_heads": 6, "num_hidden_layers": 5, "intermediate_size": 80}
    other = llama(seed=2, **wide)
    parent = saved(other, tmp_path / "parent")
    session = opened(llama())
    inputs = session.opened.inputs
    with torch.no_grad():
        front = session.model(**inputs, output_hidden_states=True).hidden_states[3]
    session.stitch([parent], at=3, to=2)
    found = tensors(session)
    assert found["weight"].shape == (48, 32) and int(found["tokens"]) == 2 * 256

    def given(_: nn.Module, args: Any, kwargs: Any) -> Any:
        return (front @ found["weight"].T + found["bias"], *args[1:]), kwargs

    other.model.layers[2].register_forward_pre_hook(given, with_kwargs=True)
    assert torch.allclose(run(session.model, inputs), run(other, inputs), atol=1e-5)
    made: Any = session.model
    assert [type(block).__name__ for block in made.model.layers][3] == "Layer"
    cached_equals_uncached(session.model)
    loads_again(session, tmp_path / "out")


def test_r2_is_that_of_the_held_out(tmp_path: Path) -> None:
    """By lstsq on the first four fifths of each batch, judged on the rest."""
    other = llama(seed=3)
    parent = saved(other, tmp_path / "parent")
    session = opened(llama())
    pairs = []
    for batch in session.data:
        with torch.no_grad():
            x = session.model(**batch, output_hidden_states=True).hidden_states[2].double().flatten(0, 1)
            y = other(**batch, output_hidden_states=True).hidden_states[2].double().flatten(0, 1)
        pairs.append((torch.cat([x, torch.ones(len(x), 1)], 1), y))
    z, y = (torch.cat([pair[which][:256] for pair in pairs]) for which in (0, 1))
    rest, wanted = (torch.cat([pair[which][256:] for pair in pairs]) for which in (0, 1))
    solution = torch.linalg.lstsq(z, y).solution
    left = (wanted - rest @ solution).square().sum() / (wanted - wanted.mean(0)).square().sum()
    chart: Any = session.chart("stitch", [parent], at=2)
    session.stitch([parent], at=2)
    assert torch.allclose(tensors(session)["weight"], solution[:-1].T.float(), atol=1e-4)
    assert float(tensors(session)["r2"]) == pytest.approx(1 - float(left), abs=1e-6)
    assert [x for x, _ in chart.lines["held out"]] == [1, 2, 3, 4] and chart.mark == 2
    assert chart.lines["held out"][1][1] == pytest.approx(1 - float(left), abs=1e-6)


def test_a_declared_tie_is_undone(tmp_path: Path) -> None:
    """Embeddings stay this model's, the head is the other's: its embeddings where it ties them."""
    other = llama(seed=5, tie_word_embeddings=True)
    parent = saved(other, tmp_path / "parent")
    session = opened(llama(tie_word_embeddings=True))
    model: Any = session.model
    embedding = model.model.embed_tokens.weight
    session.stitch([parent], at=2)
    assert model.model.embed_tokens.weight is embedding and not model.config.tie_word_embeddings
    assert torch.equal(model.lm_head.weight, other.model.embed_tokens.weight)
    session.undo()
    assert model.lm_head.weight is embedding and model.config.tie_word_embeddings


def test_the_script_replays_without_data(tmp_path: Path) -> None:
    """Live and streamed from folders, from what the sidecar holds: the very tensors."""
    base = saved(llama(), tmp_path / "base")
    parent = saved(llama(seed=6), tmp_path / "parent")
    session = opened(base)
    session.stitch([parent], at=2)
    live = session.save(tmp_path / "live")
    script = session.script.write(tmp_path / "edits.surgery.json")
    assert (tmp_path / "edits.surgery.safetensors").is_file()
    surgery.replay(script, base, tmp_path / "streamed", memory="50MB")
    assert tensors_in(tmp_path / "streamed") == tensors_in(live)
    assert read_manifest(tmp_path / "streamed") == read_manifest(live)
    again = surgery.replay(script, llama(), inputs=batches(1)[0])
    assert again.fingerprint() == session.fingerprint()


def test_few_tokens_are_told(tmp_path: Path) -> None:
    """A warning names how many are wanted; fewer than there are unknowns are refused."""
    model = llama()
    parent = saved(llama(seed=1), tmp_path / "parent")
    session = opened(model, [{"input_ids": batches(1)[0]["input_ids"][:4]}])
    with pytest.warns(SurgeryWarning, match=r"128 tokens are few.*330 are wanted.*R² on held-out"):
        session.stitch([parent], at=2)
    session = opened(model, [{"input_ids": batches(1)[0]["input_ids"][:1]}])
    with pytest.raises(
        SurgeryError, match=r"s\.data: there are too few.*32 beside 8.*330, at the very least 33"
    ):
        session.stitch([parent], at=2)


@pytest.mark.parametrize(
    ("other", "fields", "said"),
    [
        ({}, {"at": 5}, r"model\.layers: has 4 blocks; got at=5, expected from 1 to 4"),
        ({}, {"at": 1, "to": 4}, "parent: has 4 blocks; got to=4, expected from 0 to 3"),
        ({"vocab_size": 70}, {"at": 1}, "parent: has another vocab_size.*got 70, expected 64"),
        ({"num_attention_heads": 2}, {"at": 1}, "parent: rotates its heads in another way.*head_dim 16"),
        ({"rope_parameters": {"rope_theta": 500.0, "rope_type": "default"}}, {"at": 1}, "rotates its heads"),
    ],
)
def test_other_models_are_refused(other: Any, fields: Any, said: str, tmp_path: Path) -> None:
    """With the path, what is there and what is wanted; nothing is changed."""
    parent = saved(llama(seed=1, **other), tmp_path / "parent")
    session = opened(llama())
    mark = session.fingerprint()
    with pytest.raises(SurgeryError, match=said):
        session.stitch([parent], **fields)
    assert session.fingerprint() == mark


def test_other_families_dtypes_and_no_data_are_refused(tmp_path: Path) -> None:
    """By name, with the way out."""
    parent = saved(llama(seed=1), tmp_path / "parent")
    half = saved(llama(seed=1).bfloat16(), tmp_path / "half")
    settings = GROUPED | {"num_hidden_layers": 2}
    qwen = saved(decoder("Qwen2Config", "Qwen2ForCausalLM", **settings), tmp_path / "qwen")
    session = opened(llama())
    for given, said in (
        ([half], r'the dtypes differ; got torch\.bfloat16.*`cast\("\*\*", "bfloat16"\)`'),
        ([qwen], "another class; got Qwen2ForCausalLM, expected LlamaForCausalLM"),
        ([parent, parent], "needs one parent"),
    ):
        with pytest.raises(SurgeryError, match=said):
            session.stitch(given, at=1)
    session.data = []
    with pytest.raises(SurgeryError, match=r"stitch needs data.*s\.data"):
        session.stitch([parent], at=1)
    from tests.zoo import ATLAS

    with pytest.raises(SurgeryError, match=r"not proved.*GPT2LMHeadModel.*llama, mistral, qwen2, qwen3"):
        surgery.open(*ATLAS["gpt2"]()).stitch([parent], at=1)
