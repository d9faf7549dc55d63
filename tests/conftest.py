"""What every test stands on: no network, and golden texts that are compared or, when asked, rewritten."""

import difflib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

# Before any test imports transformers, which reads it once.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-golden`, which `make golden` passes."""
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite tests/golden/ from what the code says now"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden("name", text)`: the text equals tests/golden/name.txt; a difference is shown line by line."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / f"{name}.txt"
        actual = text.rstrip("\n") + "\n"
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(actual, encoding="utf-8")
            return
        expected = path.read_text(encoding="utf-8") if path.exists() else ""
        if expected != actual:
            lines = difflib.unified_diff(
                expected.splitlines(), actual.splitlines(), str(path.name), "now", lineterm=""
            )
            pytest.fail("\n".join([*lines, "", "If this was meant: make golden"]), pytrace=False)

    return compare
