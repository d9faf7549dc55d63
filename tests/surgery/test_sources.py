"""What `surgery.open` takes, and the example inputs it makes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import nn

import surgery
from graph.costs import costs
from surgery import SurgeryError
from surgery.demo import DECODER
from surgery.fingerprint import Fingerprinter
from surgery.sources.example_inputs import LENGTH
from tests.models import ZOO
from tests.surgery.contract import run, untouched


def fingerprint(model: nn.Module) -> str:
    """The content of a model."""
    return Fingerprinter()(model)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The small Llama as transformers writes it."""
    model: Any = ZOO["llama"]()[0]
    model.save_pretrained(tmp_path / "llama")
    return tmp_path / "llama"


# A module


def test_a_module_is_opened_as_it_is() -> None:
    """Its values are shared, its objects are not; it has no source, and its class is its name."""
    model, inputs = ZOO["tied_head"]()
    before = untouched(model)
    session = surgery.open(model, inputs)
    assert (session.opened.name, session.opened.source, session.opened.tokenizer) == ("_TiedHead", None, None)
    assert session.model is not model
    mine, theirs = dict(session.model.named_parameters()), dict(model.named_parameters())
    assert mine.keys() == theirs.keys()
    assert all(mine[name].data_ptr() == theirs[name].data_ptr() for name in theirs)
    assert all(mine[name] is not theirs[name] for name in theirs)
    assert untouched(model) == before


@pytest.mark.parametrize(
    "inputs",
    [torch.zeros(2, 3), (torch.zeros(2, 3),), {"input": torch.zeros(2, 3)}],
    ids=["tensor", "tuple", "dictionary"],
)
def test_inputs_are_a_tensor_a_tuple_or_a_dictionary(inputs: Any) -> None:
    """Each is traced: two rows through three by four weights are 24 multiplications."""
    session = surgery.open(nn.Linear(3, 4), inputs)
    assert session.graph.problem is None
    assert costs(session.graph).macs == 24


def test_without_inputs_a_plain_module_is_edited_untraced() -> None:
    """There is a tree and no calls; operations work all the same."""
    session = surgery.open(nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3)))
    assert session.graph.calls == ()
    session.remove("[1]")
    assert [type(child).__name__ for child in session.model.children()] == ["Linear", "Linear"]


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_scripted_module_is_refused_by_path() -> None:
    """A part that cannot be taken apart is named."""
    model = nn.Sequential(nn.Linear(2, 2), torch.jit.script(nn.Linear(2, 2)))
    with pytest.raises(SurgeryError, match=r"^1: a scripted module cannot be taken apart"):
        surgery.open(model)


# A folder


@pytest.mark.parametrize("as_type", [str, Path])
def test_a_folder_of_transformers(folder: Path, as_type: Any) -> None:
    """Weights, name and absolute source; in evaluation mode; without a tokenizer where there is none."""
    session = surgery.open(as_type(folder))
    assert fingerprint(session.model) == fingerprint(ZOO["llama"]()[0])
    assert (session.opened.name, session.opened.source) == ("llama", str(folder.resolve()))
    assert not session.model.training and session.opened.tokenizer is None


def test_a_relative_folder_keeps_its_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script made in one working folder replays in another."""
    monkeypatch.chdir(folder.parent)
    session = surgery.open("llama")
    session.remove("model.layers[0]")
    script = session.script
    monkeypatch.chdir("/")
    assert surgery.replay(script).fingerprint() == session.fingerprint()


def test_a_skeleton_reads_no_weights(folder: Path) -> None:
    """Only the config is needed: the file of weights may be missing."""
    (folder / "model.safetensors").unlink()
    session = surgery.open(folder, skeleton=True)
    assert all(parameter.is_meta for parameter in session.model.parameters())
    assert session.graph.problem is None
    whole = surgery.open(*ZOO["llama"]()[:1], inputs=session.opened.inputs)
    assert costs(session.graph) == costs(whole.graph)


def test_a_folder_without_weights_is_refused(folder: Path) -> None:
    """The file that should be there is named."""
    (folder / "model.safetensors").unlink()
    with pytest.raises(SurgeryError, match="holds no safetensors"):
        surgery.open(folder)


# The demonstration


def test_demo_is_the_bundled_decoder() -> None:
    """By its name, wherever one is; scripts name it so too, and not by a place on this machine."""
    session = surgery.open("demo")
    assert (session.opened.name, session.base.source) == ("demo", "demo")
    assert session.fingerprint() == surgery.open(DECODER).fingerprint()
    assert session.opened.tokenizer is not None


# A weights file


def test_a_weights_file_into_a_module(tmp_path: Path) -> None:
    """The session has the file's values in the module's structure; the module keeps its own."""
    trained, given = nn.Linear(3, 2), nn.Linear(3, 2)
    save_file(trained.state_dict(), tmp_path / "w.safetensors")
    before = untouched(given)
    session = surgery.open(tmp_path / "w.safetensors", torch.zeros(1, 3), into=given)
    assert fingerprint(session.model) == fingerprint(trained)
    assert untouched(given) == before
    assert session.opened.source == str(tmp_path / "w.safetensors")


@pytest.mark.parametrize("name", ["tied_head", "siamese", "cnn", "llama", "nested_lists"])
@pytest.mark.parametrize("kind", ["safetensors", "pickle"])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_weights_file_keeps_ties(tmp_path: Path, name: str, kind: str) -> None:
    """Parameters that the module shares are shared afterwards; reused modules stay reused."""
    model, inputs = ZOO[name]()
    file = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pt")
    if kind == "safetensors":
        save_model(model, str(file))
    else:
        torch.save(model.state_dict(), file)
    into = ZOO[name]()[0]
    with torch.no_grad():
        for parameter in into.parameters():
            parameter.zero_()
    session = surgery.open(file, inputs, into=into)
    assert fingerprint(session.model) == fingerprint(model)
    assert [tie.paths for tie in session.graph.ties] == [
        tie.paths for tie in surgery.open(model, inputs).graph.ties
    ]
    if name != "nested_lists":
        assert torch.equal(run(session.model, inputs), run(model, inputs))


MISFITS: dict[str, tuple[dict[str, torch.Tensor], str]] = {
    "lacks": ({"weight": torch.zeros(2, 3)}, r"lacks .*\bbias\b"),
    "more": (
        {"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "x": torch.zeros(1)},
        r"has no place for; got x",
    ),
    "shape": (
        {"weight": torch.zeros(3, 2), "bias": torch.zeros(2)},
        r"weight: does not fit .*got \[3, 2\].* expected \[2, 3\]",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_a_weights_file_that_does_not_fit(tmp_path: Path, name: str) -> None:
    """The tensor that is missing, left over or of another shape is named."""
    tensors, sentence = MISFITS[name]
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(SurgeryError, match=sentence):
        surgery.open(tmp_path / "w.safetensors", into=nn.Linear(3, 2))


def test_an_absent_weights_file(tmp_path: Path) -> None:
    """It is named, and not looked for on the hub."""
    with pytest.raises(SurgeryError, match=r"absent\.safetensors: the file is not there"):
        surgery.open(tmp_path / "absent.safetensors", into=nn.Linear(3, 2))


# Example inputs


@pytest.mark.parametrize(("name", "length"), [("llama", 64), ("qwen2", 64), ("gpt2", 64)])
def test_a_decoder_gets_token_ids(name: str, length: int) -> None:
    """One row of ids below the vocabulary, as long as the positions allow, without a cache."""
    inputs = surgery.open(ZOO[name]()[0]).opened.inputs
    assert inputs["input_ids"].shape == (1, min(length, LENGTH))
    assert inputs["input_ids"].dtype == torch.int64
    assert int(inputs["input_ids"].min()) >= 0 and int(inputs["input_ids"].max()) < 64
    assert inputs["use_cache"] is False


def test_own_inputs_are_kept() -> None:
    """What the caller gave is what is traced."""
    model, inputs = ZOO["llama"]()
    session = surgery.open(model, inputs)
    assert session.opened.inputs is inputs
    assert session.graph.tokens == inputs["input_ids"].numel()


def test_an_encoder_decoder_gets_none() -> None:
    """No ids are invented where a model needs more than ids; its tree is there all the same."""
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=32, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    session = surgery.open(T5ForConditionalGeneration(config).eval())
    assert session.opened.inputs is None
    assert session.graph.calls == () and "encoder.block.0" in session.graph
