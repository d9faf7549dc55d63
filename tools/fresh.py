"""What a newcomer gets: clone, `make app`, a page that draws, `make test`, and the time of each.

The home folder is an empty one and only what is committed counts; pip and npm keep the package indexes
that the user has set.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.serve import Studio

ROOT = Path(__file__).parent.parent
KEPT = (
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "SURGERY_CHROMIUM",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
)
KEPT_BEGINNINGS = ("PIP_", "NPM_CONFIG_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def newcomer(home: Path) -> dict[str, str]:
    """The environment of someone who has Python, make and git, and nothing of this project."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name in KEPT or name.upper().startswith(KEPT_BEGINNINGS)
    }
    own = os.environ.get("VIRTUAL_ENV", "\0")
    folders = [f for f in os.environ.get("PATH", os.defpath).split(os.pathsep) if not f.startswith(own)]
    environment |= {"PATH": os.pathsep.join(folders), "HOME": str(home)}
    real = Path.home()
    for name in (real / ".config" / "pip" / "pip.conf", real / ".pip" / "pip.conf"):
        if name.exists():
            environment.setdefault("PIP_CONFIG_FILE", str(name))
    if (real / ".npmrc").exists():
        environment.setdefault("NPM_CONFIG_USERCONFIG", str(real / ".npmrc"))
    return environment


def has_browser(environment: dict[str, str]) -> bool:
    """Whether the page can be looked at here."""
    folders = environment["PATH"].split(os.pathsep)
    return "SURGERY_CHROMIUM" in environment or any(
        (Path(f) / browser).exists() for f in folders for browser in BROWSERS
    )


def told(what: str, started_s: float) -> float:
    """Print how long `what` took; the time now."""
    now_s = time.monotonic()
    print(f"{now_s - started_s:7.1f} s  {what}", flush=True)
    return now_s


def walk(folder: Path) -> None:
    """The whole way; the first thing that fails ends it."""
    home, clone = folder / "home", folder / "model-surgery"
    home.mkdir()
    environment = newcomer(home)
    browser = has_browser(environment)
    python = f"PYTHON={getattr(sys, '_base_executable', sys.executable)}"

    at_s = time.monotonic()
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone)], check=True)
    at_s = told("git clone", at_s)

    command = ["make", "app", python, "ARGS=--no-browser --port 0"]
    with Studio(command, folder=clone, environment=environment, timeout_s=1200) as studio:
        at_s = told("make app, until it answers", at_s)
        refused, shown = studio.get("/"), studio.get(f"/?token={studio.token}")
        if (refused, shown) != (403, 200):
            raise SystemExit(
                f"The page answered {refused} without its token and {shown} with it; expected 403, 200."
            )
        at_s = told("403 without the token, 200 with it", at_s)
        if browser:
            look = [str(clone / ".venv" / "bin" / "python"), "-m", "tools.look", studio.url]
            subprocess.run(look, cwd=clone, env=environment, check=True)
            at_s = told("the studio has drawn, with no request to another host", at_s)
        else:
            print("            no Chromium here: nobody looked whether it draws")
    at_s = told("stopped", at_s)

    if browser:
        environment["SURGERY_REQUIRE_BROWSER"] = "1"
    done = subprocess.run(["make", "test", python], cwd=clone, env=environment, check=False)
    told("make test", at_s)
    if done.returncode:
        raise SystemExit("make test failed; what it said stands above.")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="make fresh", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the clone and its home where they are")
    args = parser.parse_args()
    started_s = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="surgery-fresh-"))
    try:
        walk(folder)
    finally:
        if args.keep:
            print(f"            kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    told("in all", started_s)


if __name__ == "__main__":
    main()
