"""The standalone app: the studio as a page of its own, served by Voila on this machine only.

`main` is what `surgery app` and `python app.py` call. Each open page is one kernel, a Python process of the
same interpreter; closing the page, or stopping the server, ends it.
"""

import argparse
import contextlib
import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tornado.httpserver
import tornado.ioloop
import tornado.netutil
import tornado.web
from ipykernel.kernelspec import RESOURCES
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_core.utils import run_sync
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from traitlets.config import Config
from voila.app import Voila
from voila.tornado.handler import TornadoVoilaHandler

PAGE = Path(__file__).parent / "voila" / "page.py"
TEMPLATES = Path(__file__).parent / "voila" / "templates"
HOST = "127.0.0.1"
PORT = 8866
KERNEL = "python3"
PING_MS = 30_000
SOCKET_ROOM = 40  # a Unix socket's path may have about 104 characters; Jupyter's names take the rest

# What the page needs besides Voila's own code; the other extensions of a usual Lab weigh 10 MB.
EXTENSIONS = ["@jupyter-widgets/jupyterlab-manager", "@voila-dashboards/widgets-manager8", "anywidget"]

# Nothing may come from, or go to, another host; widgets arrive as blobs and evaluate templates.
CONTENT_POLICY = "; ".join(
    [
        "default-src 'self' data: blob:",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline' blob:",
        "connect-src 'self' data: blob: ws://127.0.0.1:* ws://localhost:*",
        "frame-ancestors 'self'",
        "base-uri 'self'",
        "form-action 'self'",
    ]
)


class PageHandler(TornadoVoilaHandler):
    """Voila's page behind the token, with the cookie that lets a closing tab end its kernel."""

    @allow_unauthenticated  # which would answer with a login form; the check is the first line below
    async def get(self, path: str | None = None) -> None:
        """Start a kernel and stream its page; 403 without the token, 404 for any path but the root."""
        if self.current_user is None:
            raise tornado.web.HTTPError(403)
        if path:
            raise tornado.web.HTTPError(404)
        _ = self.xsrf_token  # reading it sets its cookie; without that the tab's farewell is refused
        await super().get()


class OwnKernelSpecs(KernelSpecManager):
    """The one kernel there is: this interpreter, whatever kernels the user has registered."""

    def find_kernel_specs(self) -> dict[str, str]:
        return {KERNEL: RESOURCES}

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """A kernel that imports nothing from the working folder: a user's `graph.py` stays out."""
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        argv += ["--InteractiveShellApp.ignore_cwd=True", "--HistoryManager.enabled=False"]
        return KernelSpec(
            argv=argv,
            display_name="Model Surgery",
            language="python",
            resource_dir=RESOURCES,
            metadata={"debugger": False},
        )


class KernelsHere(AsyncMappingKernelManager):
    """Kernels work in the folder where the server was started, so that paths mean what the user typed."""

    def cwd_for_path(self, path: str, **kwargs: object) -> str:
        return os.getcwd()


class StudioServer(Voila):
    """Voila with our template, one printed line, and an orderly end."""

    browser_wanted = True
    port_wanted: int | None = None

    def setup_template_dirs(self) -> None:
        """Put our template before Voila's `lab` one, straight from the package."""
        super().setup_template_dirs()
        self.template_paths.insert(0, str(TEMPLATES))

    def init_handlers(self) -> list[Any]:
        """Voila's handlers, with ours in place of its page and no login form: the token is in the address."""
        login = {handler[0] for handler in self.identity_provider.get_handlers()}
        return [
            (handler[0], PageHandler, *handler[2:]) if handler[1] is TornadoVoilaHandler else handler
            for handler in super().init_handlers()
            if handler[0] not in login
        ]

    def listen(self) -> None:
        """Bind, say where, serve until a signal, then end every kernel."""
        server = tornado.httpserver.HTTPServer(self.app)
        server.add_sockets(self._bind())
        url = f"http://{HOST}:{self.port}/?token={self.token}"
        print(f"Model Surgery: {url}", flush=True)
        if self.browser_wanted:
            threading.Thread(target=show, args=(url,), daemon=True).start()
        # A closed terminal or a service manager asks as Ctrl-C does.
        for name in ("SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.default_int_handler)
        self.ioloop = tornado.ioloop.IOLoop.current()
        try:
            self.ioloop.start()
        except KeyboardInterrupt:
            pass
        finally:
            server.stop()
            self.stop()

    def stop(self) -> None:
        """End the kernels, then remove the sockets they listen on (Voila has it the other way round)."""
        with contextlib.suppress(KeyboardInterrupt):  # an impatient second Ctrl-C
            run_sync(self.kernel_manager.shutdown_all)(now=True)
        shutil.rmtree(self.connection_dir, ignore_errors=True)

    def _bind(self) -> list[Any]:
        """Sockets on the wanted port; on any free one where nobody asked for a port and ours is taken."""
        wanted = PORT if self.port_wanted is None else self.port_wanted
        try:
            sockets = tornado.netutil.bind_sockets(wanted, HOST)
        except OSError as error:
            if self.port_wanted is not None:
                shutil.rmtree(self.connection_dir, ignore_errors=True)
                raise SystemExit(
                    f"--port: cannot listen on {HOST}:{wanted}; got {error.strerror}. Try: leave --port out."
                ) from None
            sockets = tornado.netutil.bind_sockets(0, HOST)
        self.port = sockets[0].getsockname()[1]
        return sockets


def show(url: str) -> None:
    """Open the page in the user's browser, if there is a screen to show one."""
    screen = (
        sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    if screen:
        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(url)


def configuration() -> Config:
    """Every setting that makes stock Voila a program of this machine's user alone."""
    config = Config()
    config.Voila.ip = HOST
    config.Voila.token = secrets.token_urlsafe(24)
    config.Voila.open_browser = False
    config.Voila.log_level = logging.ERROR
    config.Voila.config_file_paths = []  # else a voila.py lying in the working folder would be run
    config.Voila.connection_dir_root = socket_folder()
    config.Voila.tornado_settings = {
        "allow_remote_access": False,
        "local_hostnames": ["localhost"],
        "ws_ping_interval": PING_MS,
        "ws_ping_timeout": PING_MS,
        "headers": {"Content-Security-Policy": CONTENT_POLICY, "Referrer-Policy": "no-referrer"},
    }
    page = config.VoilaConfiguration
    page.template = "lab"  # whose styles ours builds on; ours comes first in the path
    page.allow_template_override = "NO"
    page.allow_theme_override = "NO"
    page.file_allowlist = []
    page.show_tracebacks = False
    page.strip_sources = True
    page.extension_language_mapping = {".py": "python"}
    page.extension_allowlist = EXTENSIONS
    page.multi_kernel_manager_class = KernelsHere
    page.kernel_spec_manager_class = OwnKernelSpecs
    config.VoilaExecutor.timeout = None  # a large model may take minutes to open
    config.KernelsHere.cull_idle_timeout = 300  # a page that vanished without its farewell
    config.KernelsHere.cull_interval = 60
    config.KernelManager.transport = "tcp" if sys.platform == "win32" else "ipc"
    return config


def socket_folder() -> str:
    """A folder whose name is short enough for a Unix socket below it."""
    usual = tempfile.gettempdir()
    return "/tmp" if len(usual) > SOCKET_ROOM and os.path.isdir("/tmp") else usual


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the studio until Ctrl-C; `argv` as on the command line, without the program's name."""
    parser = argparse.ArgumentParser(prog="surgery app", description="The studio in the browser.")
    parser.add_argument(
        "model",
        nargs="?",
        help="what `surgery.open` takes by name: a folder, a hub id …; default: the demonstration",
    )
    parser.add_argument("--port", type=int, help=f"0 for any free one; default: {PORT} if free")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    args = parser.parse_args(argv)
    if args.model is not None:
        local = Path(args.model).expanduser()
        os.environ["SURGERY_MODEL"] = str(local.resolve()) if local.exists() else args.model
    logging.getLogger("tornado.access").setLevel(logging.ERROR)
    server = StudioServer.instance(config=configuration())
    server.browser_wanted, server.port_wanted = not args.no_browser, args.port
    server.initialize([str(PAGE)])
    server.start()
    return 0


if __name__ == "__main__":
    sys.exit(main())
