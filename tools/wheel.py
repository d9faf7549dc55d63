"""Builds the sdist and the wheel of what lies here, and installs the wheel into a folder of its own.

`python -m tools.wheel build/wheel`: `dist` there has both, `installed` what the wheel holds. `make test`
runs on that folder: what users get is what is tested.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILT = ("widgets/static", "widgets/labextension")
"""The panels and JupyterLab's extension, which git does not hold; whoever installs a checkout builds them."""


def tracked() -> list[str]:
    """What the repository holds, as it lies here; files that were not added yet count."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [name for name in found.splitlines() if (ROOT / name).is_file()]


def build(dist: Path) -> Path:
    """The wheel, made of the sdist of what lies here; both lie in `dist`.

    Outside a checkout what is built counts as built (hatch_build.py), so a copy saves building it again.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) if (ROOT / ".git").exists() else ROOT
        if source != ROOT:
            for name in tracked():
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, source / name)
            for name in BUILT:
                shutil.copytree(ROOT / name, source / name)
        _run("build", "--no-isolation", "--outdir", str(dist), str(source))
    (wheel,) = dist.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> None:
    """What `pip install` puts on the path, and what it shares, without what it depends on."""
    _run("pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder), str(wheel))


def _run(module: str, *words: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{module} {' '.join(words)} failed:\n{done.stdout}{done.stderr}")


def main() -> None:
    """The command: nothing of an earlier build stays."""
    folder = Path(sys.argv[1])
    for name in ("dist", "installed"):
        shutil.rmtree(folder / name, ignore_errors=True)
    wheel = build(folder / "dist")
    install(wheel, folder / "installed")
    print(f"{wheel}, installed in {folder / 'installed'}")


if __name__ == "__main__":
    main()
