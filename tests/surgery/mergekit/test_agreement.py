"""The same results as mergekit's own, where the definitions agree."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

import surgery
from surgery.errors import SurgeryWarning
from surgery.mergekit.agreement import AGREEMENT
from surgery.mergekit.methods import METHODS
from surgery.mergekit.settings import REQUIRED
from tests.surgery.mergekit.cases import CASES, IN_HALVES, KEPT, KEPT_OF_HALVES, of_halves
from tests.surgery.mergekit.models import HALVES

EXPECTED = load_file(Path(__file__).with_name("expected.safetensors"))


def result(text: str, place: Path, **options: object) -> dict[str, torch.Tensor]:
    """What the steps of a file make, by the names of tensors, those of a tie once."""
    path = place / "config.yml"
    path.write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SurgeryWarning)
        session = surgery.replay(path, **options)  # type: ignore[arg-type]
    return {name: parameter.detach() for name, parameter in session.model.named_parameters()}


def of_mergekit(name: str) -> dict[str, torch.Tensor]:
    """What mergekit made of a case, by the names of tensors."""
    return {
        key.removeprefix(f"{name}/"): tensor
        for key, tensor in EXPECTED.items()
        if key.rpartition("/")[0] == name
    }


@pytest.mark.parametrize("name", CASES)
def test_a_file_gives_the_tensors_that_mergekit_writes(name: str, models: Path) -> None:
    """All of them, of its dtype: to 1e-5 in float32, and to one rounding of bfloat16."""
    made, expected = result(CASES[name], models), of_mergekit(name)
    assert {key for key in made if key in KEPT} == expected.keys()
    for key, tensor in expected.items():
        assert made[key].dtype == tensor.dtype, key
        near = 1e-5 if tensor.dtype == torch.float32 else 2**-7
        torch.testing.assert_close(made[key], tensor, rtol=near, atol=1e-6)


@pytest.mark.parametrize("name", IN_HALVES)
def test_16_bit_checkpoints_give_what_mergekit_writes(
    name: str, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To one unit in the last place of bfloat16, element by element."""
    monkeypatch.chdir(models / HALVES)
    made, expected = result(of_halves(name), models / HALVES), of_mergekit(f"{HALVES}/{name}")
    assert expected.keys() == set(KEPT_OF_HALVES)
    for key, tensor in expected.items():
        assert made[key].dtype == torch.bfloat16
        apart = (places(made[key]) - places(tensor.bfloat16())).abs()
        assert int(apart.max()) <= 1, key


def places(tensor: torch.Tensor) -> torch.Tensor:
    """Where bfloat16 numbers stand in the order of all of them."""
    bits = tensor.contiguous().view(torch.int16).int()
    return torch.where(bits < 0, -(bits & 0x7FFF), bits)


def test_every_method_and_parameter_of_mergekit_is_known() -> None:
    """By its name, scope and default, as mergekit itself lists them."""
    scopes = {"shared": "shared", "input": "each", "non_base": "others"}
    listed = json.loads(Path(__file__).with_name("methods.json").read_text())
    assert METHODS.keys() == listed.keys() == AGREEMENT.keys()
    for name, parameters in listed.items():
        known = {
            item.name: [item.scope, "required" if item.default is REQUIRED else item.default]
            for item in METHODS[name].parameters
        }
        expected = {
            key: [scopes[scope], default]
            for key, (scope, default) in parameters.items()
            if key not in ("int8_mask", "eps") and (key, name) != ("density", "task_arithmetic")
        }
        assert known == expected, name


def test_every_method_was_compared() -> None:
    """No method of the table is without a case."""
    assert {yaml.safe_load(text)["merge_method"] for text in CASES.values()} == METHODS.keys()


@pytest.mark.parametrize("method", ["dare_linear", "dare_ties", "della", "della_linear"])
def test_random_methods_keep_the_part_and_the_sum_that_mergekit_keeps(method: str, models: Path) -> None:
    """About the density of a task vector stays, scaled so that its magnitudes sum up to what they did."""
    text = f"""
merge_method: {method}
base_model: base
models: [{{model: one}}]
parameters: {{weight: 1, density: 0.6, epsilon: 0.2}}
dtype: float32
"""
    text = text if "della" in method else text.replace(", epsilon: 0.2", "")
    made = result(text, models)
    base, one = (load_file(models / name / "model.safetensors") for name in ("base", "one"))
    kept = torch.cat([((made[name] - base[name]) != 0).flatten() for name in base])
    assert 0.5 < float(kept.float().mean()) < 0.7
    for name in base:
        before, after = ((tensor - base[name]).abs().sum() for tensor in (one[name], made[name]))
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
