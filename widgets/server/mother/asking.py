"""The server's side of the mother: she is started, asked for kernels, and replaced where she has died."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

READY_S, BIRTH_S = 120.0, 20.0
"""How long she may take to import, and to fork; after that she is given up."""

COMMAND = (sys.executable, "-P", "-m", "widgets.server.mother")

_log = logging.getLogger(__name__)


class Unfit(Exception):
    """She says that she cannot be forked."""


@dataclass(frozen=True)
class Told:
    """What the mother's process is told: an environment without a fence, and the folder it works in."""

    environment: Mapping[str, str]
    folder: Path


class Born:
    """A kernel that the mother bore, in place of a `Popen`. Of how it ended only that it has is known."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid, self._pidfd = pid, pidfd
        self._end = select.poll()
        self._end.register(pidfd, select.POLLIN)

    def poll(self) -> int | None:
        """None while it runs."""
        return self.wait(0)

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Waits for its end."""
        if self._pidfd < 0:
            return 0
        if not self._end.poll(None if timeout_s is None else 1000 * timeout_s):
            return None
        self._end.unregister(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        return 0

    def send_signal(self, number: int) -> None:
        """To it and to what it started, as long as it runs."""
        if self.poll() is not None:
            return
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:  # so young that it has no group of its own yet
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def terminate(self) -> None:
        """Asks it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it."""
        self.send_signal(signal.SIGKILL)


class Mother:
    """The process that kernels are forked from. `told` is asked for when she is started.

    Whoever asks waits until she has imported everything. One that died is replaced at the next birth; where
    one could not be started at all, or is unfit, there is no other, and kernels are started anew.
    """

    def __init__(self, told: Callable[[], Told], command: Sequence[str] = COMMAND) -> None:
        self._told, self._command = told, command
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._is_ready = False
        self._is_over, self._is_closing = not can_be(), False
        self._alone, self._changing = threading.Lock(), threading.RLock()

    @property
    def pid(self) -> int | None:
        """That of her process, while there is one."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Has her start importing; nothing where there can be none, or is one."""
        with self._changing:
            if not self._is_over and self._process is None:
                self._start()

    def _start(self) -> None:
        told = self._told()
        ours, hers = socket.socketpair()
        try:
            process = subprocess.Popen(
                [*self._command, str(hers.fileno()), str(os.getpid())],
                env=dict(told.environment),
                cwd=told.folder,
                stdin=subprocess.DEVNULL,
                pass_fds=(hers.fileno(),),
                start_new_session=True,  # Ctrl-C in the terminal is the server's alone
            )
        except OSError as error:
            ours.close()
            self._give_up(str(error))
            return
        finally:
            hers.close()
        threading.Thread(target=process.wait, name="mother", daemon=True).start()  # else a zombie
        self._process, self._link, self._is_ready = process, ours, False

    async def bear(self, argv: Sequence[str], environment: Mapping[str, str], folder: str) -> Born | None:
        """A kernel that is told `argv`; None where there can be none, and it is to be started anew."""
        asked = {"argv": list(argv), "environment": dict(environment), "folder": folder}
        return await asyncio.to_thread(self._born, asked)

    def close(self) -> None:
        """She ends; kernels that she bore do not. No other is born, nor started anew in its place."""
        self._is_over = self._is_closing = True
        self._end()

    def _born(self, asked: dict[str, Any]) -> Born | None:
        with self._alone:
            for _ in range(2):  # she may have died since the last birth
                self.start()
                if self._is_over:
                    break
                try:
                    return self._ask(asked)
                except Unfit as problem:
                    self._give_up(str(problem))
                except (OSError, ValueError) as error:
                    if not (self._is_ready or self._is_closing):
                        self._give_up(str(error) or type(error).__name__)
                    self._end()
            if self._is_closing:
                raise ConnectionAbortedError("the server is closing")
        return None

    def _ask(self, asked: dict[str, Any]) -> Born:
        link = self._link
        if link is None:
            raise ConnectionError("she has ended")
        if not self._is_ready:
            self._hear(link, READY_S)
            self._is_ready = True
        link.settimeout(BIRTH_S)
        link.sendall(json.dumps(asked).encode() + b"\n")
        said, (handle,) = self._hear(link, BIRTH_S)
        return Born(said["pid"], handle)

    def _hear(self, link: socket.socket, within_s: float) -> tuple[dict[str, Any], list[int]]:
        """What she says, a line that is short enough to come in one piece."""
        link.settimeout(within_s)
        line, handles, _, _ = socket.recv_fds(link, 65_536, 1)
        if not line:
            raise ConnectionError("she has ended")
        said = json.loads(line)
        if problem := said.get("problem"):
            raise Unfit(problem)
        return said, handles

    def _give_up(self, problem: str) -> None:
        self._is_over = True
        _log.warning("kernels are started one by one, which takes longer: %s", problem)
        self._end()

    def _end(self) -> None:
        with self._changing:
            link, process = self._link, self._process
            self._link = self._process = None
        if link is not None:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)  # whoever waits for her hears that she is gone
            link.close()
        if process is not None:
            process.kill()
            process.wait()


def can_be() -> bool:
    """Whether processes can be forked safely here, and watched: Linux; others' frameworks forbid it."""
    if sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):  # an old system, or one that does not allow it
        return False
    return True
