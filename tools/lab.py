"""Runs JupyterLab as a process of its own, on this machine only: the studio in a cell."""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import widgets
from tools.serve import Studio

LAB = (
    *(sys.executable, "-P", "-m", "jupyterlab", "--no-browser", "--allow-root"),
    *("--ServerApp.ip=127.0.0.1", "--port=0"),
    "--expose-app-in-browser",  # `window.jupyterapp`: a test reads the cells and runs the menu's commands
    "--LabApp.extension_manager=readonly",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",  # which asks another host
    "--LabApp.news_url=",  # and so does this
)
SHARED = Path("share", "jupyter", "labextensions", "model-surgery")
FOLDERS = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "HOME")


def extension() -> Path:
    """What an installed wheel shares with JupyterLab; of a checkout, the extension as it was built last."""
    home = Path(widgets.__file__).parents[1]
    return home / SHARED if (home / SHARED).is_dir() else home / "widgets" / "labextension"


class Lab(Studio):
    """JupyterLab in `folder`, with settings and kernels of its own, which lie below `root`."""

    address: ClassVar[re.Pattern[str]] = re.compile(r".*(http://127\.0\.0\.1:\d+/lab\?token=\w+)$")

    def __init__(self, folder: Path, root: Path, environment: Mapping[str, str] | None = None) -> None:
        own = {name: str(root / name.lower()) for name in FOLDERS}
        own["JUPYTERLAB_SETTINGS_DIR"] = str(root / "settings")
        own["JUPYTERLAB_WORKSPACES_DIR"] = str(root / "workspaces")
        # The extension of the package that is run, whatever is installed.
        extensions = root / "share" / "labextensions"
        extensions.mkdir(parents=True)
        (extensions / "model-surgery").symlink_to(extension(), target_is_directory=True)
        own["JUPYTER_PATH"] = str(root / "share")
        quiet = root / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
        quiet.parent.mkdir(parents=True)
        quiet.write_text('{"fetchNews": "false"}')  # else it asks whether it may
        super().__init__(LAB, folder=folder, environment={**os.environ, **(environment or {}), **own})

    def notebook(self, name: str) -> str:
        """The address of a notebook of the folder."""
        return self.url.replace("/lab?", f"/lab/tree/{name}?")
