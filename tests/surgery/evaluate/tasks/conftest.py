"""An evaluation of a few given tasks in one call."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from surgery.evaluate import Evaluator, Examples, Report

Measure = Callable[..., Report]


@pytest.fixture
def measure() -> Measure:
    """`measure(original, edited, examples, "accuracy")`: everything measured of these tasks."""

    def run(original: nn.Module, edited: nn.Module, examples: Examples, *tasks: Any, **more: Any) -> Report:
        return Evaluator(original, examples=examples).evaluate(edited, math.inf, tasks=tasks or None, **more)

    return run
