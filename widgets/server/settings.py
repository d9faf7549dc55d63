"""Every setting that makes stock Voila a program for those who hold its token or password."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from pathlib import Path

from tornado.web import RequestHandler
from traitlets.config import Config

from widgets.server.identity import Visitors, hashed
from widgets.server.kernels import KernelsHere, OwnKernelSpecs, QuietConnection
from widgets.server.options import Options, is_loopback
from widgets.server.policy import policy

_log = logging.getLogger(__name__)

PING_MS = 30_000
SOCKET_ROOM = 40  # a Unix socket's path may have about 104 characters; Jupyter's names take the rest

# What the page needs besides Voila's own code; the other extensions of a usual Lab weigh 10 MB.
EXTENSIONS = ["@jupyter-widgets/jupyterlab-manager", "@voila-dashboards/widgets-manager8", "anywidget"]


def configuration(options: Options) -> Config:
    """The settings of Voila and of what it is made of."""
    config = Config()
    config.Voila.ip = options.host
    config.Voila.base_url = options.base_url
    config.Voila.token = "" if options.password else options.token
    config.Voila.open_browser = False
    config.Voila.log_level = logging.ERROR
    config.Voila.config_file_paths = []  # else a voila.py lying in the working folder would be run
    config.Voila.connection_dir_root = socket_folder()
    config.Voila.identity_provider_class = Visitors
    config.Voila.kernel_websocket_connection_class = QuietConnection
    config.Voila.tornado_settings = _of_tornado(options)
    config.Visitors.hashed_password = hashed(options.password) if options.password else ""
    config.Visitors.cookie_options = {"samesite": "Lax"}
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
    config.KernelsHere.cull_idle_timeout = max(1, round(options.idle_s))  # a page that went without farewell
    config.KernelsHere.cull_interval = max(1, min(60, round(options.idle_s / 5)))
    config.KernelsHere.buffer_offline_messages = False  # who comes back asks for all of it
    config.KernelManager.transport = "tcp" if sys.platform == "win32" else "ipc"
    return config


def _of_tornado(options: Options) -> dict[str, object]:
    anywhere = not is_loopback(options.host) and not options.names
    return {
        "allow_remote_access": anywhere,
        "local_hostnames": ["localhost", *options.names],
        "ws_ping_interval": PING_MS,
        "ws_ping_timeout": PING_MS,
        "websocket_max_message_size": options.upload_bytes,
        "xsrf_cookie_kwargs": {"samesite": "Lax", "path": options.base_url},
        "log_function": logged,
        "headers": {
            "Content-Security-Policy": policy(),
            "Referrer-Policy": "same-origin",  # with none at all a form would not say where it is from
            "X-Content-Type-Options": "nosniff",
        },
    }


def logged(handler: RequestHandler) -> None:
    """A line for each answer that is an error of ours, without what follows the `?`: it may be the token."""
    if handler.get_status() >= 500 and handler.get_status() != 503:
        request = handler.request
        _log.error("%d %s %s", handler.get_status(), request.method, request.path)


def socket_folder() -> str:
    """A folder whose name is short enough for a Unix socket below it."""
    usual = tempfile.gettempdir()
    return "/tmp" if len(usual) > SOCKET_ROOM and os.path.isdir("/tmp") else usual


def templates() -> Path:
    """Where our pages lie, in the package."""
    return Path(__file__).parents[1] / "voila" / "templates"
