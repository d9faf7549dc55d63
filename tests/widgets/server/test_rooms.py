"""Who has which kernel, who may come in, and when a kernel ends; without any process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from widgets.server import rooms as module
from widgets.server.options import Options
from widgets.server.rooms import Full, Rooms


class Kernels:
    """A manager whose kernels are numbers; `_kernel_connections` says how many pages each has."""

    def __init__(self) -> None:
        self.rooms: Rooms | None = None
        self._kernel_connections: dict[str, int] = {}
        self.told: list[dict[str, Any]] = []
        self.ending_s = 0.0

    def __contains__(self, kernel_id: str) -> bool:
        return kernel_id in self._kernel_connections

    async def start_kernel(self, **told: Any) -> str:
        self.told.append(told)
        kernel_id = f"kernel-{len(self.told)}"
        self._kernel_connections[kernel_id] = 0
        return kernel_id

    async def shutdown_kernel(self, kernel_id: str) -> None:
        assert self.rooms is not None
        with self.rooms.ending(kernel_id):
            await asyncio.sleep(self.ending_s)
            del self._kernel_connections[kernel_id]

    async def shutdown_all(self, now: bool) -> None:
        for kernel_id in list(self._kernel_connections):
            await self.shutdown_kernel(kernel_id)

    def connect(self, kernel_id: str) -> None:
        """A page reaches it."""
        self._kernel_connections[kernel_id] += 1
        assert self.rooms is not None
        self.rooms.arrived(kernel_id)

    def disconnect(self, kernel_id: str) -> None:
        """A page is gone."""
        self._kernel_connections[kernel_id] -= 1
        assert self.rooms is not None
        self.rooms.left(kernel_id)


def play(scene: Callable[[Rooms, Kernels], Awaitable[None]], **options: Any) -> None:
    """Runs a scene in rooms of its own; nothing is left of them."""

    async def run() -> None:
        kernels = Kernels()
        rooms = kernels.rooms = Rooms(kernels, Options(**{"spare": False, "keep_s": 0.01, **options}))
        try:
            await scene(rooms, kernels)
        finally:
            await rooms.close()
        assert not rooms.folder.exists()

    asyncio.run(run())


def test_a_visitor_has_one_kernel() -> None:
    """However often they come; another has another."""

    async def scene(rooms: Rooms, kernels: Kernels) -> None:
        one = await rooms.enter("a")
        assert await rooms.enter("a") == one
        other = await rooms.enter("b")
        assert other != one and rooms.count() == 2
        assert rooms.owns("a", one) and not rooms.owns("b", one) and not rooms.owns("c", one)

    play(scene)


def test_two_at_once_are_still_one_visitor() -> None:
    """Two tabs that open together do not start two kernels."""

    async def scene(rooms: Rooms, kernels: Kernels) -> None:
        assert len(set(await asyncio.gather(*(rooms.enter("a") for _ in range(5))))) == 1
        assert len(kernels.told) == 1

    play(scene)


async def _until(holds: Callable[[], bool]) -> bool:
    for _ in range(2_000):
        if holds():
            return True
        await asyncio.sleep(0.005)
    return False


def test_a_socket_that_closes_late_ends_its_kernel_too() -> None:
    """The farewell comes first, and on a busy machine long before."""

    async def scene(rooms: Rooms, kernels: Kernels) -> None:
        kernel = await rooms.enter("a")
        kernels.connect(kernel)
        rooms.farewell(kernel)
        assert await _until(lambda: not rooms._leaving)
        assert kernel in kernels
        kernels.disconnect(kernel)
        assert await _until(lambda: kernel not in kernels) and rooms.count() == 0

    play(scene)


def test_a_closed_page_ends_its_kernel() -> None:
    """Once it was connected, and no other page is; farewell and socket come in either order."""

    async def scene(rooms: Rooms, kernels: Kernels) -> None:
        kernel = await rooms.enter("a")
        kernels.connect(kernel)
        kernels.connect(kernel)
        rooms.farewell(kernel)
        kernels.disconnect(kernel)
        assert await _until(lambda: not rooms._leaving)
        assert kernel in kernels
        kernels.disconnect(kernel)
        rooms.farewell(kernel)
        assert await _until(lambda: kernel not in kernels)
        assert rooms.count() == 0 and list(rooms.folder.iterdir()) == []

    play(scene)


def test_a_tab_that_is_lost_is_waited_for() -> None:
    """The farewell of another, a moment before, is not its own; back and closed, it ends the kernel."""

    async def scene(rooms: Rooms, kernels: Kernels) -> None:
        kernel = await rooms.enter("a")
        kernels.connect(kernel)
        kernels.connect(kernel)
        rooms.farewell(kernel)
        kernels.disconnect(kernel)  # the one that was closed
        kernels.disconnect(kernel)  # a network that is gone
        assert await _until(lambda: not rooms._leaving)
        await asyncio.sleep(0.1)  # longer than a closed page is waited for
        assert kernel in kernels and rooms.owns("a", kernel)
        kernels.connect(kernel)
        rooms.farewell(kernel)
        kernels.disconnect(kernel)
        assert await _until(lambda: kernel not in kernels)

    play(scene)


def test_a_reload_keeps_it_in_whichever_order_it_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """The request may come before the old page's farewell, and take long to connect."""
    monkeypatch.setattr(module, "ARRIVAL_S", 30.0)

    async def scene(rooms: Rooms, kernels: Kernels) -> None:
        kernel = await rooms.enter("a")
        kernels.connect(kernel)
        for order in ("farewell first", "request first"):
            if order == "farewell first":
                rooms.farewell(kernel)
            assert await rooms.enter("a") == kernel
            if order == "request first":
                rooms.farewell(kernel)
            kernels.disconnect(kernel)
            await asyncio.sleep(0.1)  # longer than a closed page is waited for
            assert kernel in kernels
            kernels.connect(kernel)

    play(scene)


def test_a_page_that_never_arrives_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was closed before it was connected."""
    monkeypatch.setattr(module, "ARRIVAL_S", 0.05)

    async def scene(rooms: Rooms, kernels: Kernels) -> None:
        kernel = await rooms.enter("a")
        rooms.farewell(kernel)
        assert await _until(lambda: kernel not in kernels)

    play(scene)


def test_beyond_the_limit_nobody_comes_in() -> None:
    """But who is in already; a place is free at once where a page was closed."""

    async def scene(rooms: Rooms, kernels: Kernels) -> None:
        one, other = await rooms.enter("a"), await rooms.enter("b")
        kernels.connect(one)
        kernels.connect(other)
        with pytest.raises(Full):
            await rooms.enter("c")
        assert await rooms.enter("a") == one
        kernels.connect(one)
        rooms.farewell(other)
        with pytest.raises(Full):
            await rooms.enter("c")  # it is another tab's still
        kernels.disconnect(other)
        assert await rooms.enter("c") not in (one, other)
        assert other not in kernels and not rooms.owns("b", other)

    play(scene, visitors=2, keep_s=600)


def test_what_died_is_replaced() -> None:
    """A visitor whose kernel is gone gets another."""

    async def scene(rooms: Rooms, kernels: Kernels) -> None:
        kernel = await rooms.enter("a")
        await kernels.shutdown_kernel(kernel)
        assert not rooms.owns("a", kernel)
        assert await rooms.enter("a") != kernel

    play(scene)


def test_nobody_is_let_into_a_kernel_that_is_ending() -> None:
    """Who comes back just then waits for the end of the old one, and gets a new one."""

    async def scene(rooms: Rooms, kernels: Kernels) -> None:
        kernel = await rooms.enter("a")
        kernels.connect(kernel)
        kernels.disconnect(kernel)
        kernels.ending_s = 0.05
        rooms.farewell(kernel)
        assert await _until(lambda: kernel in rooms._ending)
        again = await rooms.enter("a")
        assert again != kernel and kernel not in kernels and rooms.owns("a", again)

    play(scene, keep_s=0)


def test_the_spare_kernel_is_the_next_visitor_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is nobody's until then, and not made where nobody could come in."""

    async def scene(rooms: Rooms, kernels: Kernels) -> None:
        rooms.spare = await rooms._start()
        spare = rooms.spare
        assert rooms.count() == 0 and not rooms.owns("a", spare)
        assert await rooms.enter("a") == spare
        assert rooms.spare is None and rooms.owns("a", spare)
        rooms.refill()
        assert not rooms._tasks

    play(scene, spare=True, visitors=1)


def test_a_room_keeps_its_visitor_s_things_apart(tmp_path: Any) -> None:
    """Behind a fence each has keepsakes of its own, which are there again when they return."""

    async def scene(rooms: Rooms, kernels: Kernels) -> None:
        kernel = await rooms.enter("a")
        environment = kernels.told[0]["env"]
        place = rooms._rooms[kernel].folder
        assert environment["TMPDIR"] == str(place) and environment["SURGERY_FENCE"]
        assert place.stat().st_mode & 0o077 == 0
        (place / "keepsakes").mkdir()
        (place / "keepsakes" / "recent.json").write_text("[]")
        (place / "spilled").write_text("x")
        await kernels.shutdown_kernel(kernel)
        assert not place.exists()
        other = await rooms.enter("b")
        assert not (rooms._rooms[other].folder / "keepsakes").exists()
        again = await rooms.enter("a")
        assert (rooms._rooms[again].folder / "keepsakes" / "recent.json").is_file()

    play(scene, models=(str(tmp_path),), out=str(tmp_path))


def test_kernels_are_told_nothing_of_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the server's own environment says of a model or a fence is not theirs."""
    for name in ("SURGERY_MODEL", "SURGERY_FENCE", "SURGERY_SCRIPT", "SURGERY_DEVICE"):
        monkeypatch.setenv(name, "stale")

    async def scene(rooms: Rooms, kernels: Kernels) -> None:
        await rooms.enter("a")
        environment = kernels.told[0]["env"]
        assert environment["SURGERY_MODEL"] == "here" and environment["SURGERY_DEVICE"] == "cpu"
        assert "SURGERY_FENCE" not in environment and "SURGERY_SCRIPT" not in environment

    play(scene, model="here", device="cpu")
