"""Values from nothing: what they hang on, and what they do not."""

from typing import Any

import torch

import surgery.functions  # noqa: F401  registers what the recipes name
from surgery.lazy import Recipe, recipe
from surgery.recipes import compute


def drawn(**changes: Any) -> torch.Tensor:
    """A uniform tensor of 50 × 20, unless said otherwise."""
    settings: dict[str, Any] = {"shape": (50, 20), "dtype": torch.float32, "low": -0.25, "high": 0.5}
    settings |= {"seed": 3, "path": "blocks.0.lora_A"} | changes
    made: Recipe = recipe("uniform", **settings)
    return compute(made, {})


def test_uniform_hangs_on_seed_and_path_alone() -> None:
    """The state of torch's generators and whatever was drawn before make no difference, and none is made."""
    torch.manual_seed(0)
    first = drawn()
    torch.manual_seed(1)
    torch.rand(7)
    state = torch.get_rng_state()
    assert torch.equal(drawn(), first)
    assert torch.equal(torch.get_rng_state(), state)


def test_uniform_differs_by_seed_and_by_path() -> None:
    """Another seed and another path each draw anew; seed 1 at path 1:a is not seed 11 at path a."""
    first = drawn()
    assert not torch.equal(drawn(seed=4), first)
    assert not torch.equal(drawn(path="blocks.1.lora_A"), first)
    assert not torch.equal(drawn(seed=1, path="1:a"), drawn(seed=11, path="a"))


def test_uniform_lies_within_its_bounds() -> None:
    """Every value is in [low, high), both ends are approached, and the mean is in the middle."""
    values = drawn(shape=(200, 200))
    assert values.min() >= -0.25 and values.max() < 0.5
    assert values.min() < -0.249 and values.max() > 0.499
    assert abs(values.mean() - 0.125) < 0.005


def test_uniform_is_drawn_wide_and_then_narrowed() -> None:
    """In bf16 it is the float32 draw rounded, so a model in another dtype starts from the same values."""
    assert torch.equal(drawn(dtype=torch.bfloat16), drawn().bfloat16())


def test_zeros_have_shape_and_dtype() -> None:
    """All zero, as declared."""
    made = compute(recipe("zeros", shape=(2, 3), dtype=torch.bfloat16), {})
    assert torch.equal(made, torch.zeros(2, 3, dtype=torch.bfloat16))
