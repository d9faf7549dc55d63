"""Runs the studio's server as a process of its own, for tests, screenshots and `make fresh`."""

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self
from urllib.parse import urlsplit

SERVE = (sys.executable, "-P", "-m", "widgets.server", "--no-browser", "--port", "0")


class Studio:
    """A server that was started, has printed its address, and answers; until `stop` or the end of `with`."""

    address: ClassVar[re.Pattern[str]] = re.compile(r"^Model Surgery: (http://\S+)$")

    def __init__(
        self,
        command: Sequence[str] = SERVE,
        *,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        timeout_s: float = 90,
    ) -> None:
        self.url = ""
        self.log: list[str] = []
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a group of its own: `stop` reaches make and the server, nobody else
        )
        self._printed = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self._await_answer(time.monotonic() + timeout_s)
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The server's process, or make's where make started it."""
        return self.process.pid

    @property
    def token(self) -> str:
        """The secret in the printed address."""
        return urlsplit(self.url).query.removeprefix("token=")

    def get(self, path: str = "/", *, headers: Mapping[str, str] | None = None) -> int:
        """The status of one GET, as someone without a browser would send it; the body is not read."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        try:
            connection.request("GET", path, headers=dict(headers or {}))
            return connection.getresponse().status
        finally:
            connection.close()

    def stop(self, ask: signal.Signals = signal.SIGTERM, timeout_s: float = 60) -> int:
        """Ask the process group to end, insist after `timeout_s`; the exit status of the process."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, ask)
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.log.append(line.rstrip("\n"))
            if not self.url and (found := self.address.match(line)):
                self.url = found[1]
                self._printed.set()
        self._printed.set()

    def _await_answer(self, deadline_s: float) -> None:
        self._printed.wait(max(0.0, deadline_s - time.monotonic()))
        if not self.url:
            raise RuntimeError("The studio printed no address; it said:\n" + "\n".join(self.log[-30:]))
        while True:
            try:
                self.get()  # any answer will do: without the token it is a refusal, and starts no kernel
                return
            except OSError:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.1)
