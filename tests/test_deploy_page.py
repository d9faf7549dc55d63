"""docs/deploy.md and docs/Containerfile say nothing that the command does not know."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from widgets.server.command import parser
from widgets.server.options import Options, is_loopback

DOCS = Path(__file__).parent.parent / "docs"
TEXT = (DOCS / "deploy.md").read_text(encoding="utf-8")
CONTAINER = (DOCS / "Containerfile").read_text(encoding="utf-8")


def flags() -> set[str]:
    """Those of `surgery app`."""
    return {flag for action in parser()._actions for flag in action.option_strings}


def test_the_options_it_names_are_there() -> None:
    """And those that only matter to a server for others are all named."""
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT))
    others = {"--read-only", "--tmpfs", "--cap-drop"}  # podman's
    assert named - others <= flags()
    private = {"--script", "--device", "--window", "--help"}
    assert {flag for flag in flags() if flag.startswith("--")} - private <= named | {"--port"}


def test_its_commands_are_commands() -> None:
    """The one at the start, the unit's and the container's are read by the program itself."""
    joined = TEXT.replace("\\\n", " ")
    (first,) = re.findall(r"^surgery app +(.*)$", joined, flags=re.MULTILINE)
    (unit,) = re.findall(r"^ExecStart=\S+ app (.*)$", joined, flags=re.MULTILINE)
    (inside,) = re.findall(r"^ENTRYPOINT (\[.*\])$", CONTAINER.replace("\\\n", " "), flags=re.MULTILINE)
    for words in (shlex.split(first), shlex.split(unit), json.loads(inside)[2:]):
        said = parser().parse_args(words)
        assert said.models and said.out and not said.window
        options = Options(host=said.host, names=tuple(said.name), models=tuple(said.models), out=said.out)
        assert options.is_open and options.is_fenced


def test_the_container_is_nobody_s_root() -> None:
    """It runs as a user without rights, listens inside alone, and says how it is."""
    assert re.search(r"^USER (?!root|0)\w+$", CONTAINER, flags=re.MULTILINE)
    assert "/healthz" in CONTAINER
    assert not any(
        is_loopback(host) for host in re.findall(r'"--host", "([\d.]+)"', CONTAINER)
    )  # a container's loopback cannot be reached from outside
