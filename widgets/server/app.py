"""The server itself: Voila with our handlers and kernels, one printed line, and an orderly end."""

from __future__ import annotations

import contextlib
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import tornado.httpserver
import tornado.ioloop
import tornado.netutil
from jupyter_core.utils import run_sync
from jupyter_server.base.handlers import FileFindHandler
from jupyterlab_server.themes_handler import ThemesHandler
from voila.app import Voila
from voila.static_file_handler import MultiStaticFileHandler, TemplateStaticFileHandler
from voila.tornado.handler import TornadoVoilaHandler
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

from widgets.server.browser import Window, show
from widgets.server.handlers.health import HealthHandler
from widgets.server.handlers.kernel import FarewellHandler, OwnKernelHandler
from widgets.server.handlers.login import LoginHandler
from widgets.server.handlers.page import PageHandler
from widgets.server.identity import OwnKernelOnly
from widgets.server.kernels import MESSAGES
from widgets.server.mother.kernel import make_known
from widgets.server.options import HOST, PORT, Options
from widgets.server.rooms import Rooms
from widgets.server.settings import configuration, templates

PAGE = Path(__file__).parents[1] / "voila" / "page.py"
MOST_BODY_BYTES = 65_536
"""Of a request: forms and farewells. What a page sends its kernel goes over the socket."""

_KERNEL_ID = r"(?P<kernel_id>\w+-\w+-\w+-\w+-\w+)"


class StudioServer(Voila):
    """Voila for one page, whose kernels are kept by `rooms`."""

    options: Options
    rooms: Rooms

    def setup_template_dirs(self) -> None:
        """Put our template before Voila's `lab` one, straight from the package."""
        super().setup_template_dirs()
        self.template_paths.insert(0, str(templates()))

    def init_settings(self) -> dict[str, Any]:
        """Voila's settings, with kernels that are their visitors' own."""
        settings: dict[str, Any] = super().init_settings()
        self.rooms = Rooms(self.kernel_manager, self.options)
        self.kernel_manager.rooms = self.rooms
        self.kernel_manager.mother = self.rooms.mother
        make_known(self.kernel_manager.parent)
        self.rooms.mother.start()
        self.kernel_manager.allowed_message_types = list(MESSAGES)
        settings["authorizer"] = OwnKernelOnly(
            parent=self, identity_provider=self.identity_provider, owns=self.rooms.owns
        )
        return settings

    def init_handlers(self) -> list[Any]:
        """Those of Voila's handlers that the page needs, and ours; nothing else is served."""
        kept = (TemplateStaticFileHandler, MultiStaticFileHandler, ThemesHandler, FileFindHandler)
        base, found = self.base_url, super().init_handlers()
        (voila,) = (handler[2] for handler in found if handler[1] is TornadoVoilaHandler)
        rooms = {"rooms": self.rooms}
        return [
            *(handler for handler in found if handler[1] in kept),
            (f"{base}api/kernels/{_KERNEL_ID}", OwnKernelHandler),
            (f"{base}api/kernels/{_KERNEL_ID}/channels", VoilaKernelWebsocketHandler),
            (f"{base}voila/api/shutdown/{_KERNEL_ID}", FarewellHandler, rooms),
            (f"{base}healthz", HealthHandler, rooms),
            (f"{base}login", LoginHandler),
            (f"{base}(.*)", PageHandler, {**rooms, **voila}),
            ("/healthz", HealthHandler, rooms),
        ]

    def listen(self) -> None:
        """Bind, say where, serve until a signal, then end every kernel."""
        server = tornado.httpserver.HTTPServer(
            self.app, max_body_size=MOST_BODY_BYTES, xheaders=bool(self.options.names)
        )
        try:
            server.add_sockets(self._bind())
        except SystemExit:
            self.stop()
            raise
        secret = "" if self.options.password else f"?token={self.options.token}"
        url = f"http://{self._reached_by()}:{self.port}{self.base_url}{secret}"
        print(f"Model Surgery: {url}", flush=True)
        self.ioloop = tornado.ioloop.IOLoop.current()
        self.ioloop.add_callback(self.rooms.refill)
        window = self._shown(url)
        # A closed terminal or a service manager asks as Ctrl-C does.
        for name in ("SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.default_int_handler)
        try:
            self.ioloop.start()
        except KeyboardInterrupt:
            pass
        finally:
            server.stop()
            if window is not None:
                window.close()
            self.stop()

    def stop(self) -> None:
        """End the kernels, then remove the sockets they listen on (Voila has it the other way round)."""
        with contextlib.suppress(KeyboardInterrupt):  # an impatient second Ctrl-C
            run_sync(self.rooms.close)()
        shutil.rmtree(self.rooms.folder, ignore_errors=True)
        shutil.rmtree(self.connection_dir, ignore_errors=True)

    def _shown(self, url: str) -> Window | None:
        """Shows the page; a window of its own ends the server when it is closed."""
        if self.options.window:
            window = Window.found()
            if window is None:
                print("--window: there is no Chromium, Chrome or Edge here. Try: the address above.")
            else:
                loop = self.ioloop
                window.open(url, lambda: loop.add_callback(loop.stop))
                return window
        if self.options.browser:
            threading.Thread(target=show, args=(url,), daemon=True).start()
        return None

    def _reached_by(self) -> str:
        """The host in the address that is printed: where it listens, which a proxy has another name for."""
        host = HOST if self.options.host in ("", "0.0.0.0", "::") else self.options.host
        return f"[{host}]" if ":" in host else host

    def _bind(self) -> list[Any]:
        """Sockets on the wanted port; on any free one where nobody asked for a port and ours is taken."""
        asked, host = self.options.port, self.options.host
        wanted = PORT if asked is None else asked
        try:
            sockets = tornado.netutil.bind_sockets(wanted, host)
        except (OSError, OverflowError) as error:
            if asked is not None or host != Options.host:
                reason = getattr(error, "strerror", None) or str(error)
                raise SystemExit(
                    f"--port: cannot listen on {host}:{wanted}; got {reason}. Try: leave --port out."
                ) from None
            sockets = tornado.netutil.bind_sockets(0, host)
        self.port = sockets[0].getsockname()[1]
        return sockets


def serve(options: Options) -> int:
    """Serves until it is asked to end."""
    server = StudioServer.instance(config=configuration(options))
    server.options = options
    server.initialize([str(PAGE)])
    server.start()
    return 0
