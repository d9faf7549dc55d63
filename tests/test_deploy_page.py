"""docs/deploy.md and docs/Containerfile say nothing that command, package or systemd do not know."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tools.wheel import BUILT
from widgets.server.command import parser
from widgets.server.options import Options, is_loopback

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
CONTAINER = (ROOT / "docs" / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def flags() -> set[str]:
    """Those of `surgery app`."""
    return {flag for action in parser()._actions for flag in action.option_strings}


def test_the_options_it_names_are_there() -> None:
    """And those that only matter to a server for others are all named."""
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT))
    others = {"--read-only", "--tmpfs", "--cap-drop", "--format"}  # podman's
    assert named - others <= flags()
    private = {"--script", "--device", "--window", "--help"}
    assert {flag for flag in flags() if flag.startswith("--")} - private <= named | {"--port"}


def test_its_commands_are_commands() -> None:
    """The one at the start, the unit's and the container's are read by the program itself."""
    joined = TEXT.replace("\\\n", " ")
    (first,) = re.findall(r"^surgery app +(.*)$", joined, flags=re.MULTILINE)
    (unit,) = re.findall(r"^ExecStart=\S+ app (.*)$", joined, flags=re.MULTILINE)
    (inside,) = re.findall(r"^ENTRYPOINT (\[.*\])$", CONTAINER, flags=re.MULTILINE)
    for words in (shlex.split(first), shlex.split(unit), json.loads(inside)[2:]):
        assert {word for word in words if word.startswith("--")} <= flags()  # none is cut short
        found = parser().parse_args(words)
        assert found.models and found.out and not found.window
        options = Options(host=found.host, names=tuple(found.name), models=tuple(found.models), out=found.out)
        assert options.is_open and options.is_fenced


def test_the_container_is_nobody_s_root() -> None:
    """It runs as a user without rights, listens inside alone, and says how it is."""
    assert re.search(r"^USER (?!root|0)\w+$", CONTAINER, flags=re.MULTILINE)
    assert "/healthz" in CONTAINER
    assert not any(
        is_loopback(host) for host in re.findall(r'"--host", "([\d.]+)"', CONTAINER)
    )  # a container's loopback cannot be reached from outside


def said(word: str) -> list[str]:
    """What follows an instruction of the container file, each time it stands there."""
    return re.findall(rf"^{word} +(.*)$", CONTAINER, flags=re.MULTILINE)


def test_the_container_holds_the_package_as_it_is_built_there() -> None:
    """From the files of git alone: what happens to be built here, or stale, stays outside."""
    kept_out = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {*BUILT, ".git", "**/node_modules"} <= set(kept_out)
    assert said("COPY") == [". /source", "--from=build /opt/surgery /opt/surgery"]
    assert re.search(r"/opt/surgery/bin/pip install \S+ /source$", CONTAINER, flags=re.MULTILINE)


def test_the_container_starts_what_is_installed() -> None:
    """The command is one of the package's, on a Python that is tested, the same in both stages."""
    (inside,) = said("ENTRYPOINT")
    assert json.loads(inside)[0] in {f"/opt/surgery/bin/{name}" for name in PROJECT["scripts"]}
    images = [words.split()[0] for words in said("FROM")]
    assert len(images) == 2 and len(set(images)) == 1
    version = images[0].partition(":")[2].removesuffix("-slim")
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]


def test_the_container_s_ends_meet() -> None:
    """The user is the one it makes, the port the one it listens on, and asks for its health."""
    (user,), (port,) = said("USER"), said("EXPOSE")
    assert re.search(rf"useradd [^&]* {user} +&&", CONTAINER) and f"chown {user} /out" in CONTAINER
    assert said("WORKDIR") == ["/out"]
    assert f'"--port", "{port}"' in said("ENTRYPOINT")[0]
    (health,) = said("HEALTHCHECK CMD")
    command = json.loads(health)
    compile(command[2], "HEALTHCHECK", "exec")
    assert command[:2] == ["/opt/surgery/bin/python", "-c"] and f"127.0.0.1:{port}/healthz" in command[2]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_knows_every_line_of_the_unit(tmp_path: Path) -> None:
    """With a program that is there in place of the one that would be."""
    (unit,) = re.findall(r"```ini\n(.*?)```", TEXT, flags=re.DOTALL)
    file = tmp_path / "surgery.service"
    file.write_text(unit.replace("/opt/surgery/bin/surgery", sys.executable), encoding="utf-8")
    command = ["systemd-analyze", "verify", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and file.name not in done.stderr, done.stderr
