"""The package of docs/write-an-operation.md is installed as it stands; what it adds is everywhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.tested import child_path

PAGE = Path(__file__).parent.parent / "docs" / "write-an-operation.md"
NOTEBOOK = PAGE.parents[1] / "notebooks" / "02_your_own_operation.ipynb"
FILES = dict(
    re.findall(r"`([\w.]+)`:\n\n```\w+\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
)

REST = """
import sys
from pathlib import Path
from tools.pages import run
run(Path(sys.argv[1]))
"""

STUDIO = """
import surgery
from tests.widgets.test_studio import select, send
from tests.zoo import ZOO
from widgets.studio import Studio
studio = Studio(surgery.open(*ZOO["llama"]()))
select(studio, "model.layers.1")
send(studio.right, type="operation", name="round")
send(studio.right, type="field", name="bits", value=4)
studio.background.settle(60)
adjust = next(group for group in studio.right.state["groups"] if group["name"] == "adjust")
assert {"name": "round", "title": "Round", "active": True} in adjust["operations"]
print(studio.right.state["dry_run"]["python"])
print([(item["name"], item["minimum"], item["maximum"]) for item in studio.right.state["form"]["fields"]])
send(studio.right, type="apply")
print(studio.session.steps[0].name)
"""

CONTRACT = """
import sys
from pathlib import Path
from tests.surgery import contract
cases = (
    ("llama", "model.layers[1]", True),
    ("gpt2", "transformer.h[0]", True),
    ("tied_head", "", False),
    ("cnn", "", False),
)
for model, targets, decodes in cases:
    Path(model).mkdir()
    case = contract.Case(model, "round", {"targets": targets, "bits": 3})
    contract.holds(case, Path(model), decodes=decodes)
print("kept")
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip installed the package into, without a network."""
    folder = tmp_path_factory.mktemp("package")
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--no-build-isolation",
    ]
    subprocess.run([*pip, "--target", str(folder / "lib"), str(folder)], check=True, timeout=120)
    return folder / "lib"


def python(installed: Path, code: str, *words: object, cwd: Path) -> str:
    """What a process with the package prints."""
    path = os.pathsep.join([str(installed), child_path()])
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        env={**os.environ, "PYTHONPATH": path},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_operation_has_twenty_five_lines() -> None:
    """Without blank ones."""
    assert set(FILES) == {"surgery_round.py", "pyproject.toml"}
    assert len([line for line in FILES["surgery_round.py"].splitlines() if line.strip()]) <= 25


def test_the_notebook_writes_the_same_files() -> None:
    """Word for word, so that who reads the one can go on with the other."""
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    written = [cell.source.removeprefix("%%writefile ") for cell in cells if "%%writefile" in cell.source]
    assert [text.partition("\n")[::2] for text in written] == [
        (name, text.rstrip()) for name, text in FILES.items()
    ]


def test_the_rest_of_the_page_runs(installed: Path, tmp_path: Path) -> None:
    """Preview, edit, evaluation, script, commands and the proofs, in an empty folder."""
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text(encoding="utf-8").replace(FILES["surgery_round.py"], ""), encoding="utf-8")
    said = python(installed, REST, page, cwd=tmp_path)
    assert "round" in said and "perplexity" in said
    assert (tmp_path / "rounded" / "model.safetensors").is_file()


def test_the_studio_has_its_form(installed: Path, tmp_path: Path) -> None:
    """Under the group it names, with its bounds; Apply makes the step."""
    python_line, fields, step = python(installed, STUDIO, cwd=tmp_path).splitlines()
    assert python_line == 's.round("model.layers[1]", bits=4)'
    assert fields == "[('targets', None, None), ('bits', 2, 16)]" and step == "round"


def test_it_keeps_the_contract(installed: Path, tmp_path: Path) -> None:
    """All that is asked of our own operations, on a decoder, a tied head and a convolutional network."""
    assert python(installed, CONTRACT, cwd=tmp_path) == "kept\n"
