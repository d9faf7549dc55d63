"""A small reverse proxy before a server under test, sockets included."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import tornado.httpserver
import tornado.ioloop
import tornado.web
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.netutil import bind_sockets
from tornado.websocket import WebSocketHandler, websocket_connect


class Proxy:
    """A small reverse proxy: what comes in goes on to the server as it is, sockets too."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.sockets = bind_sockets(0, "127.0.0.1")
        self.address = f"127.0.0.1:{self.sockets[0].getsockname()[1]}"

    def handlers(self) -> list[tuple[str, type]]:
        """Sockets by their address, everything else as plain requests."""
        target = self.target

        class Pass(tornado.web.RequestHandler):
            async def get(self) -> None:
                await self._pass(None)

            async def post(self) -> None:
                await self._pass(self.request.body)

            async def _pass(self, body: bytes | None) -> None:
                request = HTTPRequest(
                    f"http://{target}{self.request.uri}",
                    method=self.request.method or "GET",
                    headers=self.request.headers,
                    body=body,
                    follow_redirects=False,
                    decompress_response=False,
                    request_timeout=120,
                )
                answer = await AsyncHTTPClient().fetch(request, raise_error=False)
                self.set_status(answer.code, answer.reason)
                for name, value in answer.headers.get_all():
                    if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                        self.add_header(name, value)
                self.finish(answer.body or None)

        class Socket(WebSocketHandler):
            async def open(self, *_: str) -> None:
                headers = {
                    k: v for k, v in self.request.headers.get_all() if k in ("Cookie", "Host", "Origin")
                }
                request = HTTPRequest(f"ws://{target}{self.request.uri}", headers=headers)
                self.there = await websocket_connect(
                    request, on_message_callback=self._back, subprotocols=[self.selected_subprotocol or ""]
                )

            def select_subprotocol(self, subprotocols: list[str]) -> str | None:
                return subprotocols[0] if subprotocols else None

            def _back(self, said: str | bytes | None) -> None:
                if said is None:
                    self.close()
                else:
                    self.write_message(said, binary=isinstance(said, bytes))

            async def on_message(self, said: str | bytes) -> None:
                await self.there.write_message(said, binary=isinstance(said, bytes))

            def on_close(self) -> None:
                if hasattr(self, "there"):
                    self.there.close()

        return [(r".*/channels", Socket), (r".*", Pass)]


@contextmanager
def passed_on(target: str) -> Iterator[str]:
    """The address of a proxy before `target`, in a thread of its own."""
    proxy, ready = Proxy(target), threading.Event()
    loops: list[tornado.ioloop.IOLoop] = []

    def run() -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        loops.append(tornado.ioloop.IOLoop.current())
        server = tornado.httpserver.HTTPServer(tornado.web.Application(proxy.handlers()))
        server.add_sockets(proxy.sockets)
        ready.set()
        loops[0].start()
        server.stop()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    yield proxy.address
    loops[0].add_callback(loops[0].stop)
    thread.join(10)
