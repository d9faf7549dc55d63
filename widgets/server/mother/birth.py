"""How a fork of the mother becomes a visitor's kernel: nothing of hers is left but what she imported."""

from __future__ import annotations

import gc
import os
import random
import select
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from widgets.server.mother import places

MOTHER, KERNEL = "surgery-mother", "surgery-kernel"
"""What the system calls the processes; the command line of both is the mother's."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a kernel is to be: `argv` is said to IPython, `room` is its `TMPDIR`."""

    argv: list[str]
    environment: dict[str, str]
    folder: str

    @property
    def room(self) -> str:
        """Where it puts what is temporary."""
        return self.environment.get("TMPDIR", "/tmp")


def become(asked: Asked, server: int, old_room: str, remembered: tuple[places.Place, ...]) -> None:
    """Makes this fork a process of its own, in its room and behind its fence. `server`: its pidfd."""
    from surgery import fence

    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    call_it(KERNEL)
    os.environ.clear()
    os.environ.update(asked.environment)
    os.chdir(asked.folder)
    places.move(remembered, old_room, asked.room)
    fence.ask_environment()
    _draw_anew()
    gc.enable()
    threading.Thread(target=_end_with, args=(server,), name="server", daemon=True).start()


def live(asked: Asked) -> None:
    """Runs IPython's kernel to its end, as `python -m ipykernel_launcher` does."""
    from ipykernel.kernelapp import IPKernelApp

    # Whose end it is to notice is seen to; 1 is what it takes for a parent that never ends.
    argv = [*asked.argv, "--IPKernelApp.parent_handle=1"]
    sys.argv = ["ipykernel_launcher", *argv]
    app: Any = IPKernelApp.instance()
    app.initialize(argv)
    if "ipywidgets" in sys.modules:  # which asks for the kernel as it is imported; there was none yet
        sys.modules["ipywidgets"].register_comm_target()
    app.start()


def call_it(name: str) -> None:
    """Gives this process a name of at most 15 characters, as `ps` and `top` show it."""
    with suppress(OSError):  # where the system allows it
        Path("/proc/self/comm").write_text(name)


def _draw_anew() -> None:
    """No two forks draw the same: Python sees to its own generator, and so does whoever asks the system."""
    import numpy
    import torch

    random.seed()
    numpy.random.seed()
    torch.default_generator.seed()  # `torch.seed` would ask for accelerators


def _end_with(server: int) -> None:
    """This process does not outlive the server, however that ended."""
    ended = select.poll()
    ended.register(server, select.POLLIN)
    ended.poll()
    os._exit(1)
