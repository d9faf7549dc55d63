"""A visitor without a browser: cookies, pages, and the socket to a kernel."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClosedError, websocket_connect

from tools.serve import Studio

Until = str | Callable[[Any], bool]
_KERNEL = re.compile(r'"kernelId": "([\w-]+)"')


class Visitor:
    """Somebody at a server; `host` is the name they know it by."""

    def __init__(self, studio: Studio, host: str | None = None) -> None:
        self.address = urlsplit(studio.url)
        self.token = studio.token
        self.host = host or self.address.netloc
        self.cookies: dict[str, str] = {}
        self.headers: dict[str, str] = {}
        self.body = ""

    def ask(self, method: str, path: str, form: Mapping[str, str] | None = None, **headers: str) -> int:
        """The status of a request; `headers` and `body` are what came with it."""
        connection = http.client.HTTPConnection(self.address.netloc, timeout=120)
        sent = {"Host": self.host, "Cookie": self._cookie(), **headers}
        data = None
        if form is not None:
            data, sent["Content-Type"] = urlencode(form), "application/x-www-form-urlencoded"
        try:
            connection.request(method, path, data, {key: value for key, value in sent.items() if value})
            answer = connection.getresponse()
            self.body = answer.read().decode(errors="replace")
        finally:
            connection.close()
        self.headers = {key.lower(): value for key, value in answer.getheaders()}
        for key, value in answer.getheaders():
            if key.lower() == "set-cookie":
                self.cookies |= {name: item.value for name, item in SimpleCookie(value).items()}
        return answer.status

    def enter(self, base: str = "/") -> str:
        """Loads the page with the token; the id of the kernel it has."""
        status = self.ask("GET", f"{base}?token={self.token}")
        assert status == 200, (status, self.body)
        return self.kernel()

    def kernel(self) -> str:
        """The id of the kernel that the page loaded last names."""
        found = _KERNEL.search(self.body)
        assert found, self.body[-2000:]
        return found[1]

    def leave(self, kernel: str, base: str = "/") -> int:
        """What a page sends as it is closed."""
        return self.ask(
            "POST", f"{base}voila/api/shutdown/{kernel}", {"_xsrf": self.cookies.get("_xsrf", "")}
        )

    def talk(self, kernel: str, *sent: Mapping[str, Any] | bytes, until: Until = "", base: str = "/") -> Any:
        """Sends messages to a kernel's shell; the messages that come back, to the first of a type or as told.

        The status where the socket is refused, "closed" where it is closed meanwhile.
        """
        with ThreadPoolExecutor(1) as apart:  # Playwright has a loop of its own in this thread
            return apart.submit(lambda: asyncio.run(self._talk(kernel, sent, until, base))).result()

    async def _talk(self, kernel: str, sent: Any, until: Until, base: str) -> Any:
        url = f"ws://{self.address.netloc}{base}api/kernels/{kernel}/channels?session_id={uuid4().hex}"
        request = HTTPRequest(url, headers={"Cookie": self._cookie(), "Host": self.host})
        try:
            socket = await websocket_connect(request)
        except HTTPClientError as error:
            return error.code
        found = []
        try:
            for message in sent:
                if isinstance(message, bytes):
                    await socket.write_message(message, binary=True)
                else:
                    await socket.write_message(json.dumps(message))
            while until:
                said = await asyncio.wait_for(socket.read_message(), 60)
                if said is None:
                    return "closed"
                found.append(_read(said))
                if until(found[-1]) if callable(until) else found[-1]["header"]["msg_type"] == until:
                    break
        except WebSocketClosedError:  # while something long was still being sent
            return "closed"
        finally:
            socket.close()
        return found

    def _cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())


def _read(said: str | bytes) -> Any:
    if isinstance(said, str):
        return json.loads(said)
    start = int.from_bytes(said[4:8], "big")
    stop = int.from_bytes(said[8:12], "big") if said[:4] != b"\0\0\0\1" else len(said)
    return json.loads(said[start:stop])


def message(kind: str, **content: Any) -> dict[str, Any]:
    """A message for the shell channel."""
    header = {"msg_id": uuid4().hex, "msg_type": kind, "session": "x", "username": "x", "version": "5.3"}
    return {
        "channel": "shell",
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content,
        "buffers": [],
    }
