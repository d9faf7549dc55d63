"""The second line: what forgot to ask is refused by the interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from surgery.fence import VARIABLE, Outside
from surgery.fence.hook import asking
from tests.surgery.fence.conftest import Disk
from tests.tested import child_path

PROBE = """
import os, shutil, sys
from pathlib import Path
from surgery.fence import current
from surgery.fence.hook import listen

listen(current())
models, out, secret = map(Path, sys.argv[1:])

def refused(act):
    try:
        act()
    except PermissionError as error:
        assert "here" in str(error), error
        return True
    return False

assert (models / "decoder" / "config.json").read_text()
(out / "a").mkdir()
(out / "a" / "b").write_text("x")
(out / "a" / "b").rename(out / "a" / "c")
shutil.rmtree(out / "a")
import fractions, sqlite3  # Python still finds what it needs

leaks = {
    "read": lambda: (secret / "config.json").read_text(),
    "descriptor": lambda: os.open(secret / "config.json", os.O_RDONLY),
    "bytes": lambda: open(os.fsencode(secret / "config.json"), "rb"),
    "dots": lambda: open(models / ".." / "secret" / "config.json"),
    "link": lambda: open(models / "link" / "config.json"),
    "list": lambda: os.listdir(secret),
    "scan": lambda: list(os.scandir(secret)),
    "write": lambda: (secret / "x").write_text("x"),
    "append": lambda: open(secret / "config.json", "a"),
    "into models": lambda: (models / "x").write_text("x"),
    "make": lambda: (secret / "x").mkdir(),
    "remove": lambda: (secret / "config.json").unlink(),
    "move out": lambda: os.rename(models / "decoder" / "config.json", out / "y"),
    "move in": lambda: os.rename(secret / "config.json", out / "z"),
    "hard link": lambda: os.link(secret / "config.json", out / "z"),
    "truncate": lambda: os.truncate(secret / "config.json", 0),
    "tree": lambda: shutil.rmtree(secret),
    "home": lambda: (Path.home() / ".netrc").read_text(),
}
print([name for name, act in leaks.items() if not refused(act)])
"""


def test_no_way_out_of_a_process(disk: Disk, tmp_path: Path) -> None:
    """Reading, listing, writing, moving and removing, in a process whose environment carries the fence."""
    (disk.models / "link").symlink_to(disk.secret)
    home = tmp_path / "home"
    home.mkdir()
    (home / ".netrc").write_text("password")
    said = subprocess.run(
        [sys.executable, "-c", PROBE, disk.models, disk.out, disk.secret],
        env={**os.environ, VARIABLE: disk.fence.to_text(), "HOME": str(home), "PYTHONPATH": child_path()},
        cwd=disk.out,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.stdout.strip() == "[]", said.stderr
    assert (disk.secret / "config.json").is_file()


def test_places_that_were_opened_before_are_not_asked_again(disk: Disk) -> None:
    """A descriptor, and a name within a folder that is open, pass: whoever has them was let in."""
    hook = asking(disk.fence)
    hook("open", (3, "r", 0))
    hook("os.remove", ("name", 5))
    hook("os.listdir", (None,))
    hook("compile", ("anything", str(disk.secret)))
    with pytest.raises(Outside):
        hook("os.remove", (str(disk.secret), 5))
    with pytest.raises(Outside):
        hook("os.rename", (str(disk.model), str(disk.secret), -1, -1))
