"""`save(plain=True)` of a model whose parts have different widths: zeros fill up what is narrower."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import surgery
from surgery import Session, SurgeryError
from surgery.fingerprint import Fingerprinter
from tests.surgery.states import generated, loaded_alone, run, snapshot
from tests.surgery.widths import HEADS, MODELS, NEURONS, alone, outputs
from tests.zoo.families import DECODERS, STAGES

pytestmark = pytest.mark.usefixtures("one_thread")


def plain_folder(session: Session, folder: Path) -> Any:
    """What transformers loads from the folder; it computes what the session's model computes."""
    loaded = loaded_alone(session.model, session.save(folder, plain=True))
    expected = outputs(session.model, session.opened.inputs)
    found = outputs(loaded, session.opened.inputs)
    assert torch.allclose(found, expected, atol=1e-5 * float(expected.abs().max()), rtol=0)
    return loaded


def steps(folder: Path) -> list[str]:
    """The steps of the script in the folder, as Python says them."""
    return surgery.Script.read(folder / "edits.surgery.json").to_python().splitlines()


FAMILIES = [
    *("llama", "llama-biases", "llama-one-key", "qwen3", "gpt2", "falcon", "falcon-multi-query", "gpt_neox"),
    *("opt", "phi", "mixtral", "bert", "distilbert", "vit", "clip", "bart", "t5-gated"),
]


@pytest.mark.parametrize("name", FAMILIES)
def test_transformers_loads_it_alone(name: str, tmp_path: Path) -> None:
    """Neurons and heads of one block narrowed: the config stays, outputs and greedy tokens are the same."""
    model, inputs = MODELS[name]()
    session = surgery.open(model, inputs)
    for units, known in (("neurons", NEURONS), ("heads", HEADS)):
        if name in known and (one := alone(model, name, units)):
            session.narrow(one[0], units, ratio=0.5)
    before = snapshot(session.model)
    loaded = plain_folder(session, tmp_path / "out")
    assert snapshot(session.model) == before
    whole = {path: tensor.shape for path, tensor in model.state_dict().items()}
    assert {path: tensor.shape for path, tensor in loaded.state_dict().items()} == whole
    if name.partition("-")[0] in DECODERS:
        assert torch.equal(
            generated(loaded, None, use_cache=True), generated(session.model, None, use_cache=True)
        )
    assert Fingerprinter()(surgery.load(tmp_path / "out")) == Fingerprinter()(loaded)


def test_as_wide_as_the_widest_is_now(tmp_path: Path) -> None:
    """Not as it was once: the config says the new width. The card says what was padded."""
    session = surgery.open(*DECODERS["llama"](num_attention_heads=8, num_key_value_heads=4))
    session.narrow("model.layers[0]", "neurons", count=20)
    session.narrow("model.layers[1:]", "neurons", count=36)
    session.narrow("model.layers[0:2]", "heads", count=2)
    session.narrow("model.layers[2:]", "heads", count=4)
    loaded = plain_folder(session, tmp_path / "out")
    config = loaded.config
    said = (config.intermediate_size, config.num_attention_heads, config.num_key_value_heads, config.head_dim)
    assert said == (36, 4, 2, 4)
    padding = [
        's.pad("model.layers.0.mlp", count=36)',
        's.pad("model.layers.0.self_attn, model.layers.1.self_attn", units="heads", count=4)',
    ]
    assert steps(tmp_path / "out")[4:] == padding
    card = (tmp_path / "out" / "README.md").read_text()
    assert all(f"`{step}`" in card for step in padding)
    again = surgery.replay(tmp_path / "out" / "edits.surgery.json", session.opened.model)
    assert again.fingerprint() == Fingerprinter()(loaded)


@pytest.mark.parametrize(
    ("name", "settings", "targets", "count"),
    [
        ("gpt2", {}, "**", 2),  # which takes fewer heads for wider ones
        ("llama", {"num_key_value_heads": 4}, "**", 3),  # whose config wants heads that divide the width
    ],
)
def test_as_the_config_is_where_it_can_say_no_less(
    name: str, settings: dict[str, Any], targets: str, count: int, tmp_path: Path
) -> None:
    """Even widths can be ones of which a config cannot speak."""
    session = surgery.open(*DECODERS[name](**settings))
    session.narrow(targets, "heads", count=count)
    assert plain_folder(session, tmp_path / "out").config.num_attention_heads == 4


def test_a_group_of_heads_is_made_whole_first(tmp_path: Path) -> None:
    """One query head is left of a group of two, of two groups."""
    session = surgery.open(*DECODERS["llama"]())
    session.narrow("model.layers[0]", "heads", count=2)
    session.narrow("model.layers[0]", "heads", count=1)
    plain_folder(session, tmp_path / "out")
    assert [step.rpartition("count")[2] for step in steps(tmp_path / "out")[2:]] == ["=2)", "=4)"]


def test_with_ties_and_adapters(tmp_path: Path) -> None:
    """They are in the way of padding, and go first."""
    session = surgery.open(*DECODERS["llama"]())
    session.tie("model.layers.1", to="model.layers.0")
    session.narrow("model.layers[:2]", "neurons", ratio=0.5)
    session.narrow("model.layers[:2]", "heads", ratio=0.5)
    session.remove("model.layers.2")
    session.attach("**.down_proj, **.q_proj", rank=2)
    for module in session.model.modules():
        if "lora_B" in module._parameters:
            module.lora_B = torch.nn.Parameter(0.1 * torch.randn_like(module.get_parameter("lora_B")))
    loaded = plain_folder(session, tmp_path / "out")
    assert loaded.config.num_hidden_layers == 3
    verbs = [step.partition("(")[0] for step in steps(tmp_path / "out")[5:]]
    assert verbs == ["s.untie", "s.fold", "s.pad", "s.pad"]


def test_sixteen_bits(tmp_path: Path) -> None:
    """Zeros are zeros in any dtype, and the parameters stay in theirs."""
    model, inputs = DECODERS["qwen2"]()
    for parameter in model.parameters():  # as `from_pretrained` does it: rotary frequencies stay wide
        parameter.data = parameter.data.bfloat16()
    session = surgery.open(model, inputs)
    session.narrow("model.layers[1]", ratio=0.5)
    loaded = loaded_alone(session.model, session.save(tmp_path / "out", plain=True))
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.bfloat16}
    expected = run(session.model, inputs).float()
    assert torch.allclose(run(loaded, inputs).float(), expected, atol=0.02 * float(expected.abs().max()))


def test_what_cannot_be_padded_is_refused(tmp_path: Path) -> None:
    """Experts and channels of zeros would change something; the plan without them is named."""
    session = surgery.open(*DECODERS["mixtral"]())
    session.narrow("model.layers.0", "heads", ratio=0.5)
    session.narrow("model.layers.1", "experts", ratio=0.5)
    with pytest.raises(SurgeryError, match=r"layers\.1\.mlp.*experts") as refusal:
        session.save(tmp_path / "out", plain=True)
    assert refusal.value.hint is not None and refusal.value.hint.endswith(
        'leaving out `s.narrow("model.layers.1", units="experts", ratio=0.5)`'
    )
    session = surgery.open(*STAGES["resnet"]())
    session.narrow("**", "channels", ratio=0.5)
    with pytest.raises(
        SurgeryError, match=r'out_channels is.*leaving out `s\.narrow\("\*\*", units="channels"'
    ):
        session.save(tmp_path / "out", plain=True)
    assert list(tmp_path.iterdir()) == []
