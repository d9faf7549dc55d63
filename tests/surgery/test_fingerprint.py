"""Content fingerprints: what changes one, and what does not. See DECISIONS.md, 3."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from blake3 import blake3
from torch import nn

import surgery
import surgery.fingerprint
from surgery import SurgeryError
from surgery.fingerprint import Fingerprinter, tensor_digest
from tests.zoo import ZOO


def fingerprint(model: nn.Module) -> str:
    """The fingerprint by somebody who has seen nothing yet."""
    return Fingerprinter()(model)


def fresh(name: str = "llama") -> nn.Module:
    """A model of the zoo, always with the same bits."""
    return ZOO[name]()[0]


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of all tensors hashed from now on."""
    shapes: list[tuple[int, ...]] = []

    def counted(tensor: torch.Tensor) -> str:
        shapes.append(tuple(tensor.shape))
        return tensor_digest(tensor)

    monkeypatch.setattr(surgery.fingerprint, "tensor_digest", counted)
    return shapes


def test_it_is_the_hash_of_the_text_that_decisions_describes() -> None:
    """Sorted lines: class, every module with its scalars, a tensor each by its first name, a tie each."""
    model = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False))
    model[1].weight = model[0].weight
    digest = blake3(model[0].weight.detach().numpy().tobytes()).hexdigest()
    linear = 'Linear {"in_features": 2, "out_features": 1}'
    modules = ["module  Sequential {}", f"module 0 {linear}", f"module 1 {linear}"]
    lines = ["class Sequential", *modules, f"tensor 0.weight float32 1x2 {digest}", "tie 0.weight 1.weight"]
    assert fingerprint(model) == "blake3:" + blake3("\n".join(sorted(lines)).encode()).hexdigest()


def test_equal_models_have_equal_fingerprints() -> None:
    """Made twice from one seed, each model of the zoo has one fingerprint, and no two share one."""
    found = {name: fingerprint(fresh(name)) for name in ZOO}
    assert {name: fingerprint(fresh(name)) for name in ZOO} == found
    assert len(set(found.values())) == len(ZOO)


def test_sharding_does_not_matter(tmp_path: Path) -> None:
    """Saved in one file and in many, a checkpoint opens to the same fingerprint: that of the model."""
    model: Any = fresh()
    model.save_pretrained(tmp_path / "one")
    model.save_pretrained(tmp_path / "many", max_shard_size="10KB")
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 2
    found = {surgery.open(tmp_path / folder).fingerprint() for folder in ("one", "many")}
    assert found == {fingerprint(model)}


def test_order_of_objects_does_not_matter() -> None:
    """Modules and parameters registered in another order, over other storage, are the same content."""
    one, two = nn.Module(), nn.Module()
    a, b = nn.Linear(2, 3), nn.Linear(3, 2)
    one.a, one.b = a, b
    two.b, two.a = b, a
    a._parameters = {"bias": a.bias, "weight": nn.Parameter(a.weight.detach().T.contiguous().T)}
    assert not a.weight.is_contiguous()
    assert fingerprint(one) == fingerprint(two)


def test_a_device_does_not_matter() -> None:
    """The digest is of values as the CPU has them, so a model that moved keeps its fingerprint."""
    if not torch.cuda.is_available():
        pytest.skip("no second device here")
    assert fingerprint(fresh().to("cuda")) == fingerprint(fresh())


def _one_bit(model: Any) -> None:
    weight = model.get_parameter("model.layers.2.mlp.up_proj.weight").detach()
    weight.view(torch.int32)[0, 0] ^= 1


def _tie(model: Any) -> None:
    norms = [model.model.layers[index].input_layernorm for index in (0, 1)]
    assert torch.equal(norms[0].weight, norms[1].weight)  # the values stay: only the tie is new
    norms[1].weight = norms[0].weight


def _untie(model: Any) -> None:
    model.lm_head.weight = nn.Parameter(model.lm_head.weight.detach().clone())


CHANGES: dict[str, Callable[[Any], None]] = {
    "one bit": _one_bit,
    "a tie": _tie,
    "an end to a tie": _untie,
    "a config field that counts": lambda model: setattr(model.config, "rms_norm_eps", 1e-4),
    "a scalar of a module": lambda model: setattr(model.model.norm, "variance_epsilon", 1e-4),
    "dtype": lambda model: model.bfloat16(),
    "shape": lambda model: setattr(model.model.norm, "weight", nn.Parameter(torch.ones(1, 32))),
    "a missing block": lambda model: model.model.layers.pop(3),
    "class": lambda model: setattr(model, "__class__", type("Other", (type(model),), {})),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_the_model_changes_the_fingerprint(change: str) -> None:
    """Each of these is another model."""
    model = fresh()
    before = fingerprint(model)
    CHANGES[change](model)
    assert fingerprint(model) != before


INCIDENTAL: dict[str, Callable[[Any], None]] = {
    "where it came from": lambda model: setattr(model.config, "_name_or_path", "somewhere/else"),
    "the release that wrote it": lambda model: setattr(model.config, "transformers_version", "9.9"),
    "the cache": lambda model: setattr(model.config, "use_cache", False),
    "architectures": lambda model: setattr(model.config, "architectures", ["X"]),
    "training mode": lambda model: model.train(),
    "checkpoints of activations": lambda model: setattr(model.model, "gradient_checkpointing", True),
    "frozen": lambda model: model.requires_grad_(False),
    "a gradient": lambda model: setattr(model.model.norm.weight, "grad", torch.ones(32)),
    "storage": lambda model: setattr(model.model.norm, "weight", nn.Parameter(torch.ones(32))),
    "a buffer that is not stored": lambda model: model.register_buffer("x", torch.ones(1), persistent=False),
}


@pytest.mark.parametrize("change", INCIDENTAL)
def test_what_is_incidental_does_not(change: str) -> None:
    """Each of these computes the same."""
    model = fresh()
    before = fingerprint(model)
    INCIDENTAL[change](model)
    assert fingerprint(model) == before


def test_a_stored_buffer_counts() -> None:
    """BatchNorm's statistics are part of what is computed."""
    model: Any = fresh("cnn")
    before = fingerprint(model)
    model.stem[1].running_mean += 1
    assert fingerprint(model) != before


def test_second_call_hashes_nothing(hashed: list[tuple[int, ...]]) -> None:
    """Digests are kept per tensor; a tied one is hashed once."""
    make, model = Fingerprinter(), fresh()
    first = make(model)
    assert len(hashed) == len(list(model.parameters()))
    hashed.clear()
    assert make(model) == first
    assert hashed == []


def test_only_what_an_edit_replaced_is_hashed_again(hashed: list[tuple[int, ...]]) -> None:
    """After a removal nothing, after sparsifying one projection that one, after undoing both nothing."""
    model, inputs = ZOO["llama"]()
    session = surgery.open(model, inputs)
    base = session.fingerprint()
    hashed.clear()
    session.remove("model.layers[1]")
    assert session.fingerprint() != base and hashed == []
    session.sparsify("model.layers.0.mlp.up_proj")
    session.fingerprint()
    assert hashed == [(48, 32)]
    session.undo()
    session.undo()
    assert session.fingerprint() == base
    assert len(hashed) == 1


def test_values_written_in_place_are_noticed() -> None:
    """A tensor whose version or storage moved is hashed again: an optimiser's step, and a swap of data."""
    make, model = Fingerprinter(), fresh("siamese")
    weight = model.get_parameter("head.weight")
    seen = [make(model)]
    with torch.no_grad():
        weight.add_(1)
    seen.append(make(model))
    weight.data = weight.data * 2
    seen.append(make(model))
    assert len(set(seen)) == 3
    assert seen[-1] == fingerprint(model)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int64, torch.bool], ids=str)
def test_digest_names_dtype_and_shape(dtype: torch.dtype) -> None:
    """Equal bytes of another dtype or shape have another digest; a scalar and an empty tensor have one."""
    tensor = torch.zeros(2, 4, dtype=dtype)
    assert tensor_digest(tensor).startswith(f"{str(dtype).removeprefix('torch.')} 2x4 ")
    assert tensor_digest(tensor) != tensor_digest(tensor.reshape(4, 2))
    assert tensor_digest(torch.tensor(1, dtype=dtype)) != tensor_digest(torch.tensor(0, dtype=dtype))
    assert tensor_digest(torch.zeros(0, dtype=dtype)).split()[1] == "0"


def test_skeleton_has_none() -> None:
    """Without weights there is nothing to hash."""
    with pytest.raises(SurgeryError, match="a model without weights has no fingerprint"):
        fingerprint(nn.Linear(2, 2, device="meta"))


def test_the_script_of_an_edited_model_states_it() -> None:
    """Base and result of a script are the fingerprints of the opened and the edited model."""
    model, inputs = ZOO["tied_head"]()
    session = surgery.open(model, inputs)
    session.remove("blocks[0]")
    data = json.loads(session.script.to_json())
    assert data["base"]["fingerprint"] == fingerprint(model)
    assert data["result"]["fingerprint"] == fingerprint(session.model)


def test_a_single_element_has_bytes_whatever_its_stride() -> None:
    """A slice of a larger tensor that is one number is digested as that number is."""
    sliced = torch.arange(8, dtype=torch.bfloat16).view(2, 4)[:, 1][1:]
    assert sliced.stride() == (4,) and sliced.is_contiguous()
    assert tensor_digest(sliced) == tensor_digest(torch.tensor([5], dtype=torch.bfloat16))
