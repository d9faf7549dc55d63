"""A user's own `graph.py` beside a notebook would shadow ours: importing says which file is in the way."""

import subprocess
import sys
from pathlib import Path

import pytest


def imported(folder: Path) -> subprocess.CompletedProcess[str]:
    """`import surgery` in a fresh Python whose working folder is `folder`."""
    return subprocess.run(
        [sys.executable, "-c", "import surgery; print(surgery.__version__)"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("name", ["graph", "widgets"])
@pytest.mark.parametrize("kind", ["file", "package"])
def test_a_file_in_the_way_is_named(tmp_path: Path, name: str, kind: str) -> None:
    """The sentence has our package's name, the file and the way out; the file is not run."""
    place = tmp_path / (f"{name}.py" if kind == "file" else f"{name}/__init__.py")
    place.parent.mkdir(exist_ok=True)
    place.write_text("raise SystemExit('the user’s own file ran')\n", encoding="utf-8")
    done = imported(tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: model-surgery needs its own package {name!r}, but {place} is in the way; "
        "rename that file or start Python in another folder"
    )


@pytest.mark.parametrize("name", ["graphs.py", "graph.txt", "graph/data.csv"])
def test_what_shadows_nothing_is_left_alone(tmp_path: Path, name: str) -> None:
    """Other names, and a folder that is no package, do not matter."""
    place = tmp_path / name
    place.parent.mkdir(exist_ok=True)
    place.write_text("", encoding="utf-8")
    done = imported(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
