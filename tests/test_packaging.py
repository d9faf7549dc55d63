"""What a wheel and an sdist hold: built, installable without Node, with every licence."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.tested import PACKAGES, TESTED, WHEEL
from tools.lab import extension
from tools.wheel import ROOT, build, install, tracked

EXTENSION = "share/jupyter/labextensions/model-surgery"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the sdist of what lies here, and the wheel that was built from it; the tested one."""
    if WHEEL is not None:
        return WHEEL / "dist"
    return build(tmp_path_factory.mktemp("dist")).parent


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    """The wheel."""
    return zipfile.ZipFile(next(built.glob("*.whl")))


def data(wheel: zipfile.ZipFile, name: str) -> bytes:
    """A file that is installed below the environment's prefix."""
    (found,) = [item for item in wheel.namelist() if item.endswith(f".data/data/{name}")]
    return wheel.read(found)


def test_the_wheel_has_all_that_is_run(wheel: zipfile.ZipFile) -> None:
    """Every source file of the packages, the panels, Voila's template; nothing else at the top."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout")
    held = set(wheel.namelist())
    sources = {name for name in tracked() if name.startswith(tuple(f"{package}/" for package in PACKAGES))}
    needed = {name for name in sources if not name.startswith(("widgets/frontend/", "widgets/lab/"))}
    needed |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "widgets" / "static").iterdir()}
    assert "widgets/voila/templates/index.html.j2" in needed
    assert "surgery/demo/decoder/model.safetensors" in needed
    own = {name for name in held if ".dist-info/" not in name and ".data/" not in name}
    assert own == needed


def test_the_wheel_runs_by_itself(built: Path, tmp_path: Path) -> None:
    """Installed elsewhere: a demonstration is cut, measured, shown in the studio, and the command answers."""
    folder = tmp_path / "installed"
    install(next(built.glob("*.whl")), folder)
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1", "HOME": str(tmp_path)}
    program = (
        "import surgery, widgets, graph; from widgets.studio import Studio\n"
        "s = surgery.open('demo'); s.remove('model.layers[3]'); s.evaluate(0.1); Studio(s)\n"
        "print(*{module.__file__.rsplit('/', 2)[0] for module in (surgery, widgets, graph)})"
    )
    for arguments, said in (
        (["-c", program], str(folder)),
        (["-m", "surgery.cli", "app", "--help"], "--window"),
    ):
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0 and said in done.stdout, done.stderr


def test_the_wheel_has_the_extension(wheel: zipfile.ZipFile) -> None:
    """Where JupyterLab looks, with its schema and who installed it; its entry is there."""
    about = json.loads(data(wheel, f"{EXTENSION}/package.json"))
    assert about["version"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert data(wheel, f"{EXTENSION}/{about['jupyterlab']['_build']['load']}")
    assert json.loads(data(wheel, f"{EXTENSION}/schemas/model-surgery/plugin.json"))["properties"]
    assert json.loads(data(wheel, f"{EXTENSION}/install.json"))["packageName"] == "model-surgery"


def test_the_widget_manager_is_jupyterlabs_own(wheel: zipfile.ZipFile) -> None:
    """It is shared and never bundled: a second one would know no widgets."""
    scripts = [wheel.read(name) for name in wheel.namelist() if EXTENSION in name and name.endswith(".js")]
    assert sum(map(len, scripts)) < 100_000
    assert not any(b"KernelWidgetManager" in script for script in scripts)


def test_the_sdist_builds_without_node(built: Path) -> None:
    """It holds what was built, and what it was built from; it is what the wheel above was made of."""
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {"widgets/static/canvas.js", "widgets/labextension/package.json", "hatch_build.py"} <= held
    assert {"widgets/frontend/package-lock.json", "widgets/lab/src/index.ts", "LICENSE"} <= held
    assert not [name for name in held if "node_modules" in name]


def test_every_script_of_others_has_its_licence(wheel: zipfile.ZipFile) -> None:
    """Packages that the panels are made of, and what the extension's builder put in, with their texts."""
    text = wheel.read("widgets/static/third-party-licenses.txt").decode()
    parts = text.split("\n" + "-" * 80 + "\n\n")[1:]
    found = {part.split()[0]: part for part in parts}
    frontend = json.loads((ROOT / "widgets" / "frontend" / "package.json").read_text())
    assert set(frontend["dependencies"]) <= set(found)
    lock = json.loads((ROOT / "widgets" / "frontend" / "package-lock.json").read_text())["packages"]
    for name, part in found.items():
        version = lock[f"node_modules/{name}"]["version"]
        assert re.match(rf"{re.escape(name)} {re.escape(version)} \([\w.-]+\)\n", part)
        assert re.search(r"copyright", part, re.IGNORECASE), name
    packages = json.loads(data(wheel, f"{EXTENSION}/static/third-party-licenses.json"))["packages"]
    assert packages and all(package["extractedText"] for package in packages)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel.namelist())


def test_torch_is_the_users(wheel: zipfile.ZipFile) -> None:
    """One open requirement: no version is asked for by name, and nothing that asks for one comes along."""
    (about,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = message_from_bytes(wheel.read(about))
    needed = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    plain = {item.name: item for item in needed if item.marker is None}
    assert str(plain["torch"].specifier) == ">=2.6"
    assert not {"torchvision", "torchaudio", "timm", "xformers", "triton"} & set(plain)


def test_jupyterlab_finds_it_enabled(tmp_path: Path) -> None:
    """`jupyter labextension list` says so of the folder that is installed."""
    extensions = tmp_path / "share" / "labextensions"
    extensions.mkdir(parents=True)
    (extensions / "model-surgery").symlink_to(extension(), target_is_directory=True)
    environment = {**os.environ, "JUPYTER_PATH": str(tmp_path / "share"), "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "jupyter", "labextension", "list"]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    said = re.sub(r"\x1b\[[\d;]*m", "", done.stdout + done.stderr)
    assert re.search(r"model-surgery v0\.1\.0 enabled +OK", said), said


@pytest.mark.parametrize(
    "panel", sorted((TESTED / "widgets" / "static").glob("*.js")), ids=lambda path: path.stem
)
def test_a_panel_asks_for_nothing_but_anywidget(panel: Path) -> None:
    """One module with a default export; it imports nothing, and knows no front end's own objects.

    So it runs wherever anywidgets do: in JupyterLab, Notebook, Voila, VS Code and Colab.
    """
    code = panel.read_text(encoding="utf-8")
    assert re.search(r"export\s*\{[^}]*\bas default\b[^}]*\};?\s*$", code)
    assert not re.search(r"""\bimport\s*[("'{*]""", code)
    own = ("@jupyterlab", "@jupyter-widgets", "requirejs", "jupyterapp", "widget_manager", "google.colab")
    assert [name for name in (*own, "acquireVsCodeApi", "eval(", "new Function") if name in code] == []
