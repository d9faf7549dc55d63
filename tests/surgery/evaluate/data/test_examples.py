from typing import Any

import pytest
import torch
from torch import Tensor

from surgery.errors import SurgeryError
from surgery.evaluate import Examples, demo_text, tensors


def test_order_is_fixed() -> None:
    """Every window is visited once, in an order that is the same each time and not that of the text."""
    first, second = demo_text(), demo_text()
    assert first.order.tolist() == second.order.tolist() != list(range(len(first)))
    assert list(range(len(first))) == sorted(first.order.tolist())
    ids = first.batch(3, 5).ids
    assert ids is not None and torch.equal(first.inputs["input_ids"][first.order[3:5]], ids)


def test_order_hangs_on_the_seed() -> None:
    """Another seed gives another order."""
    inputs = {"x": torch.arange(80).view(40, 2)}
    assert Examples("a", True, inputs).order.tolist() != Examples("a", True, inputs, seed=1).order.tolist()


def test_a_batch_takes_all_that_belongs_to_it() -> None:
    """Inputs, labels and what counts of the same examples, in the same order."""
    examples = tensors({"a": torch.arange(6), "b": torch.arange(6) * 10}, torch.arange(6) * 100)
    batch = examples.batch(2, 5)
    assert batch.labels is not None and len(batch) == 3
    assert torch.equal(batch.inputs["a"] * 10, batch.inputs["b"])
    assert torch.equal(batch.inputs["a"] * 100, batch.labels)


def test_a_mask_of_ones_is_left_out() -> None:
    """A batch without padding needs no mask, which would cost the attention its faster way."""
    ids, mask = torch.ones(2, 3, dtype=torch.int64), torch.tensor([[1, 1, 1], [1, 1, 0]])
    examples = tensors({"input_ids": ids, "attention_mask": mask})
    kept = {
        int(row): "attention_mask" in examples.batch(i, i + 1).inputs for i, row in enumerate(examples.order)
    }
    assert kept == {0: False, 1: True}


def test_one_or_several_tensors_by_position() -> None:
    """A tensor, a list of tensors, and a mapping; what they are called in reports."""
    image = torch.zeros(2, 3, 4, 4)
    assert tensors(image).noun == "image" and len(tensors([image, image]).inputs) == 2
    assert tensors({"input_ids": torch.zeros(2, 3, dtype=torch.int64)}).noun == "window"
    assert tensors(torch.zeros(2, 3)).counting(1) == "1 example"


@pytest.mark.parametrize(
    ("inputs", "labels", "problem"),
    [
        ({}, None, "there is nothing to evaluate on; got no inputs"),
        (torch.zeros(0, 3), None, r"there is nothing to evaluate on; got input of shape \(0, 3\)"),
        (
            {"a": torch.zeros(2, 1), "b": torch.zeros(3, 1)},
            None,
            "not equally many; got 3 of b, expected 2, as of a",
        ),
        ([[1, 2]], None, "input 0 is no tensor; got list"),
        (torch.zeros(2, 3), torch.zeros(2), "labels are whole numbers; got shape .2,., torch.float32"),
        (torch.zeros(2, 3), torch.zeros(3, dtype=torch.int64), "not one of labels for each example; got 3"),
        (
            torch.tensor([[1.0], [float("nan")]]),
            None,
            "values that are not numbers; got 1 NaN or infinite in input",
        ),
    ],
)
def test_refused_tensors(inputs: Any, labels: Tensor | None, problem: str) -> None:
    """Tensors that do not fit one another are refused with what is wrong about them."""
    with pytest.raises(SurgeryError, match=problem):
        tensors(inputs, labels)
