"""The mother herself, `python -m widgets.server.mother FD PID`: imports, then forks whenever she is asked.

The server speaks to her over a socket pair that nobody else has: a line of JSON each way, and with each birth
the child's pidfd. She ends when the server does. What she must not have when she forks is a second thread:
a fork has but one, and whatever another held locked would stay so.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
import threading
import time

from widgets.server.mother import birth, imports, places

SETTLE_S = 2.0
"""How long threads that end with the first fork may take until the system has forgotten them."""


def main(fd: int, server_pid: int) -> None:
    """Serves until the server ends; in a fork, is its kernel."""
    birth.call_it(birth.MOTHER)
    link = socket.socket(fileno=fd)
    server = os.pidfd_open(server_pid)
    if os.getppid() != server_pid:  # it has ended already
        return
    gc.disable()  # what is imported stays; and a collection would write to what forks share
    imports.load()
    room = os.environ["TMPDIR"]
    remembered = places.below(room)
    gc.freeze()
    problem = _unfit()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who has ended leaves nothing to be collected
    try:
        _say(link, {"problem": problem} if problem else {"ready": True})
        asked = _forked(link)
    except ConnectionError:  # the server ended while she was busy
        return
    link.close()
    if asked is not None:
        birth.become(asked, server, room, remembered)
        birth.live(asked)


def _forked(link: socket.socket) -> birth.Asked | None:
    """Forks as often as it is asked: what is asked for in each fork, None in the mother in the end."""
    with link.makefile("rb") as lines:
        for line in lines:
            if threads := _threads():
                _say(link, {"problem": threads})
                continue
            asked = birth.Asked(**json.loads(line))
            sys.stdout.flush()
            sys.stderr.flush()
            child = os.fork()
            if child == 0:
                return asked
            pidfd = os.pidfd_open(child)
            _say(link, {"pid": child}, pidfd)
            os.close(pidfd)
    return None


def _unfit() -> str:
    """Why she cannot be forked; empty if she can.

    Some libraries start threads as they are imported, and end them before a fork: those of OpenBLAS are
    gone after the first one. Any other would be in the way, and so would CUDA, which works in no fork of a
    process that has begun with it.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "what is imported has started CUDA"
    first = os.fork()
    if first == 0:
        os._exit(0)
    os.waitpid(first, 0)
    deadline_s = time.monotonic() + SETTLE_S
    while (threads := _threads()) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return threads


def _threads() -> str:
    """What is said of threads beside the first, those of libraries included; empty where there are none."""
    count = max(threading.active_count(), len(os.listdir("/proc/self/task")))
    return "" if count == 1 else f"what is imported runs in {count} threads"


def _say(link: socket.socket, said: dict[str, object], *handles: int) -> None:
    socket.send_fds(link, [json.dumps(said).encode() + b"\n"], list(handles))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
