"""The same results as mergekit's own, where the definitions agree."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import surgery
from surgery.errors import SurgeryWarning
from tests.surgery.mergekit.cases import CASES, KEPT

EXPECTED = load_file(Path(__file__).with_name("expected.safetensors"))


def result(text: str, place: Path, **options: object) -> dict[str, torch.Tensor]:
    """What the steps of a file make, by the names of tensors, those of a tie once."""
    path = place / "config.yml"
    path.write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SurgeryWarning)
        session = surgery.replay(path, **options)  # type: ignore[arg-type]
    return {name: parameter.detach() for name, parameter in session.model.named_parameters()}


@pytest.mark.parametrize("name", CASES)
def test_a_file_gives_the_tensors_that_mergekit_writes(name: str, models: Path) -> None:
    """To 1e-5 in float32, and to one rounding where mergekit rounds."""
    made = result(CASES[name], models)
    expected = {
        key.partition("/")[2]: tensor for key, tensor in EXPECTED.items() if key.partition("/")[0] == name
    }
    assert {key for key in made if key in KEPT} == expected.keys()
    for key, tensor in expected.items():
        assert made[key].dtype == tensor.dtype, key
        near = 1e-5 if tensor.dtype == torch.float32 else 2**-8
        torch.testing.assert_close(made[key], tensor, rtol=near, atol=1e-6, msg=lambda text: f"{key}: {text}")  # noqa: B023
