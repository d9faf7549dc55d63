"""Which visitor has which kernel, who may still come in, and the kernel that waits for whoever is next."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from surgery.fence import VARIABLE
from widgets.server.farewells import Farewells
from widgets.server.kernels import KERNEL
from widgets.server.mother.asking import Mother, Told
from widgets.server.options import Options
from widgets.server.room import Room

REFILL_S = 2.0
"""How long the next spare kernel leaves the processors to a visitor who has just come in."""

ARRIVAL_S = 120.0
"""How long a page that was asked for may take until it is connected."""

_WARM = "from widgets.voila.kernel import warm\nwarm(first={first})"

_log = logging.getLogger(__name__)


class Full(Exception):
    """There are as many visitors as there may be."""


class Rooms:
    """One kernel for each visitor, however many tabs or reloads; `spare` is nobody's yet."""

    def __init__(self, kernels: Any, options: Options) -> None:
        self.kernels, self.options = kernels, options
        self.folder = Path(tempfile.mkdtemp(prefix="surgery-app-"))
        self.mother = Mother(self._mothers)
        self.spare: str | None = None
        self._rooms: dict[str, Room] = {}
        self._of: dict[str, str] = {}
        self._leaving: dict[str, asyncio.TimerHandle] = {}
        self._awaited: dict[str, float] = {}
        self._farewells: dict[str, Farewells] = {}
        self._ending: dict[str, asyncio.Event] = {}
        self._door = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0
        self._closed = False

    # Whose ------------------------------------------------------------------------------------

    def owns(self, visitor: str, kernel_id: str) -> bool:
        """Whether this is the visitor's kernel."""
        return self._of.get(visitor) == kernel_id

    def count(self) -> int:
        """Visitors that have a kernel."""
        return len(self._of)

    # Coming -----------------------------------------------------------------------------------

    async def enter(self, visitor: str) -> str:
        """The visitor's kernel: the one there is, the spare one, or a new one. `Full` if there is no room."""
        async with self._door:
            known = self._of.get(visitor)
            if known in self._ending:  # of a page that was closed a moment ago; what it kept comes back
                await self._ending[known].wait()
                known = self._of.get(visitor)
            if known is not None:
                self._stays(known)
                self._awaited[known] = _now_s() + ARRIVAL_S
                return known
            if len(self._of) >= self.options.visitors and not await self._one_leaves():
                raise Full
            kernel_id, self.spare = self.spare, None
            if kernel_id is None:
                kernel_id = await self._start()
            self._of[visitor], self._awaited[kernel_id] = kernel_id, _now_s() + ARRIVAL_S
            self._rooms[kernel_id].let(visitor)
        if self.options.spare:
            asyncio.get_running_loop().call_later(REFILL_S, self.refill)
        return kernel_id

    def refill(self) -> None:
        """Has a spare kernel made ready, unless there is one or nobody could come in."""
        if self.options.spare and self.spare is None and len(self._of) < self.options.visitors:
            self._go(self._make_spare())

    async def _make_spare(self) -> None:
        async with self._door:
            if self.spare is not None or self._closed:
                return
            kernel_id = self.spare = await self._start()
            first = self._count == 1
        client = self.kernels.get_kernel(kernel_id).client()
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=120)
            said = client.execute(_WARM.format(first=first), store_history=False, allow_stdin=False)
            while (await client.get_shell_msg(timeout=None))["parent_header"].get("msg_id") != said:
                pass
        except (RuntimeError, KeyError):  # it died, or was taken and ended meanwhile
            if self.spare == kernel_id:
                _log.exception("the spare kernel could not be made ready")
                await self._end(kernel_id)
        finally:
            client.stop_channels()

    async def _start(self) -> str:
        self._count += 1
        room = Room(self.folder, f"room-{self._count}", self.options)
        room.make()
        kernel_id: str = await self.kernels.start_kernel(
            kernel_name=KERNEL, env=room.environment(os.environ), cwd=str(room.working_folder)
        )
        self._rooms[kernel_id], self._farewells[kernel_id] = room, Farewells()
        return kernel_id

    def _mothers(self) -> Told:
        """What the mother is told: as if for a room of her own, which nobody ever is in."""
        room = Room(self.folder, "mother", self.options)
        if not room.folder.exists():
            room.make()
        environment = room.environment(os.environ)
        environment.pop(VARIABLE, None)  # each kernel has its own fence
        # Where an import asks whether there is CUDA, torch should not begin with it to find out.
        environment["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
        return Told(environment, room.folder)

    # Going ------------------------------------------------------------------------------------

    def arrived(self, kernel_id: str) -> None:
        """The page that was asked for is connected, or one that was lost is again."""
        self._awaited.pop(kernel_id, None)
        if kernel_id in self._farewells:
            self._farewells[kernel_id].opened(_now_s())

    def farewell(self, kernel_id: str) -> None:
        """A page of this kernel was closed: it ends soon, unless another is open or it comes back.

        Of a page that is loaded again the farewell may come later than the request.
        """
        if kernel_id in self._farewells:
            self._farewells[kernel_id].said(_now_s())
            self._look_again(kernel_id, self.options.keep_s)

    def left(self, kernel_id: str) -> None:
        """A page's socket has closed. Without a farewell it may come back, and is waited for while idle."""
        if kernel_id in self._farewells:
            self._farewells[kernel_id].closed(_now_s())
            if self._may_end(kernel_id):
                self._look_again(kernel_id, self.options.keep_s)

    def forget(self, kernel_id: str) -> None:
        """The kernel is no more; its room is cleared."""
        self._stays(kernel_id)
        self._awaited.pop(kernel_id, None)
        self._farewells.pop(kernel_id, None)
        if kernel_id == self.spare:
            self.spare = None
        for visitor in [visitor for visitor, own in self._of.items() if own == kernel_id]:
            del self._of[visitor]
        room = self._rooms.pop(kernel_id, None)
        if room is not None:
            room.clear()

    async def close(self) -> None:
        """All kernels end, and nothing is left."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        for handle in self._leaving.values():
            handle.cancel()
        self.mother.close()
        await self.kernels.shutdown_all(now=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _stays(self, kernel_id: str) -> None:
        handle = self._leaving.pop(kernel_id, None)
        if handle is not None:
            handle.cancel()

    def _gone(self, kernel_id: str) -> None:
        self._leaving.pop(kernel_id, None)
        if not self._may_end(kernel_id):
            return
        if (rest_s := self._awaited.get(kernel_id, 0.0) - _now_s()) > 0:
            self._look_again(kernel_id, rest_s)
        else:
            self._go(self._end(kernel_id))

    def _look_again(self, kernel_id: str, in_s: float) -> None:
        self._stays(kernel_id)
        loop = asyncio.get_running_loop()
        self._leaving[kernel_id] = loop.call_later(in_s, self._gone, kernel_id)

    async def _one_leaves(self) -> bool:
        """Whether there is room again: of those whose page was closed, the first does not wait longer."""
        for kernel_id in list(self._leaving):
            if self._may_end(kernel_id) and self._awaited.get(kernel_id, 0.0) < _now_s():
                await self._end(kernel_id)
                return True
        return False

    def _may_end(self, kernel_id: str) -> bool:
        """Whether nobody looks at it, and all who did have said farewell."""
        return not self._is_watched(kernel_id) and self._farewells[kernel_id].all_said

    def _is_watched(self, kernel_id: str) -> bool:
        """Whether a page is connected to it."""
        return bool(self.kernels._kernel_connections.get(kernel_id, 0))

    @contextmanager
    def ending(self, kernel_id: str) -> Iterator[None]:
        """While a kernel ends its visitor waits at the door; afterwards it is forgotten."""
        ended = self._ending.setdefault(kernel_id, asyncio.Event())
        try:
            yield
        finally:
            self.forget(kernel_id)
            self._ending.pop(kernel_id, None)
            ended.set()

    async def _end(self, kernel_id: str) -> None:
        if kernel_id in self._ending:
            await self._ending[kernel_id].wait()
        elif kernel_id in self.kernels:
            await self.kernels.shutdown_kernel(kernel_id)

    def _go(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
