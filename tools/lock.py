"""Writes the lock: the newest versions that pyproject.toml allows, installed into an empty environment."""

import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
HEADER = """\
# Made by `make lock`; the Makefile installs torch first and alone, then the rest.
# These are the versions that the tests ran with. What the package itself allows stands in pyproject.toml.
"""


def main(lock: Path) -> None:
    """Keep the torch that is locked (its build is chosen by hand), renew everything else."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    found = re.search(r"^torch==.*$", lock.read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit(f"{lock}: no torch line. Try: add torch==VERSION and run this again.")
    with tempfile.TemporaryDirectory(prefix="surgery-lock-") as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", found[0]], check=True)
        subprocess.run([python, "-m", "pip", "install", found[0], *wanted], check=True)
        subprocess.run([python, "-m", "pip", "check"], check=True)
        frozen = subprocess.run(
            [python, "-m", "pip", "freeze"], check=True, capture_output=True, text=True
        ).stdout
    # A local part (+cpu) says which build this machine took, not which version the project needs.
    lock.write_text(HEADER + re.sub(r"^(torch==[^+\n]+)\+\S+$", r"\1", frozen, flags=re.MULTILINE))
    print(f"{lock}: {len(frozen.splitlines())} packages")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
