"""The server and its mother: who is born, and what becomes of either when the other dies."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.widgets.server.mother.waiting import gone, wait_until
from widgets.server.mother import asking
from widgets.server.mother.asking import Born, Mother, Told

pytestmark = pytest.mark.skipif(not asking.can_be(), reason="kernels are forked on Linux alone")

QUICK = """
import sys, threading, time
from widgets.server.mother import __main__ as mother, birth, imports, places
imports.load = lambda: None
birth._draw_anew = lambda: None
birth.live = lambda asked: time.sleep(600)
def waits():
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
{change}
mother.main(int(sys.argv[1]), int(sys.argv[2]))
"""
"""A mother who imports nothing, and whose children do nothing; `change` makes her otherwise."""

Made = Callable[..., Mother]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    """A mother by her `change`; she and her children end with the test."""
    mothers: list[Mother] = []

    def make(change: str = "", text: str = QUICK) -> Mother:
        told = Told({**os.environ, "TMPDIR": str(tmp_path)}, tmp_path)
        command = (sys.executable, "-P", "-c", text.replace("{change}", change))
        mothers.append(Mother(lambda: told, command))
        return mothers[-1]

    born = asking.Born
    children: list[Born] = []

    def noted(pid: int, pidfd: int) -> Born:
        children.append(born(pid, pidfd))
        return children[-1]

    asking.Born = noted  # type: ignore[assignment, misc]
    yield make
    asking.Born = born  # type: ignore[misc]
    for mother in mothers:
        mother.close()
    for child in children:
        child.kill()
        assert child.wait(30) == 0


def bear(mother: Mother, folder: Path) -> Born | None:
    """A child of hers, or None."""
    return asyncio.run(mother.bear(["-f", "nothing"], {**os.environ, "TMPDIR": str(folder)}, str(folder)))


def test_a_child_is_hers_until_it_ends(made: Made, tmp_path: Path) -> None:
    """It runs in a session of its own; its end is seen at once, and no zombie is left."""
    mother = made()
    child = bear(mother, tmp_path)
    assert child is not None and child.poll() is None
    assert psutil.Process(child.pid).ppid() == mother.pid
    assert wait_until(lambda: os.getsid(child.pid) == child.pid)
    child.kill()
    assert child.wait(30) == 0 and child.poll() == 0
    assert gone(child.pid)
    child.send_signal(9)  # whoever has its number by now is left alone


def test_a_child_can_be_ended_as_soon_as_it_is_born(made: Made, tmp_path: Path) -> None:
    """Before it has a session of its own there is no group to be signalled."""
    mother = made("birth.os.setsid = lambda: time.sleep(600)")
    child = bear(mother, tmp_path)
    assert child is not None
    child.terminate()
    assert child.wait(30) == 0


def test_children_outlive_her_and_she_is_replaced(made: Made, tmp_path: Path) -> None:
    """The next child is another mother's."""
    mother = made()
    first = bear(mother, tmp_path)
    assert first is not None
    before = mother.pid
    assert before is not None
    os.kill(before, 9)
    assert gone(before)
    second = bear(mother, tmp_path)
    assert second is not None and mother.pid not in (None, before)
    assert first.poll() is None and second.poll() is None


def test_two_births_at_once(made: Made, tmp_path: Path) -> None:
    """Each who asks has a child of their own, also while she is still importing."""
    mother = made()
    environment = {**os.environ, "TMPDIR": str(tmp_path)}

    async def both() -> list[Born | None]:
        asked = (mother.bear(["-f", "nothing"], environment, str(tmp_path)) for _ in range(3))
        return list(await asyncio.gather(*asked))

    children = asyncio.run(both())
    assert len({child.pid for child in children if child is not None}) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("imports.load = waits", "2 threads"),
        ("imports.load = lambda: 1 / 0", "she has ended"),
        ("sys.exit()", "she has ended"),
    ],
)
def test_one_that_cannot_be_forked_is_given_up(
    made: Made, tmp_path: Path, caplog: pytest.LogCaptureFixture, change: str, said: str
) -> None:
    """For good, with a line in the log; who asked starts a process as ever."""
    mother = made(change)
    with caplog.at_level(logging.WARNING):
        assert bear(mother, tmp_path) is None
        assert bear(mother, tmp_path) is None
    (line,) = caplog.messages
    assert line.startswith("kernels are started one by one") and said in line
    assert mother.pid is None


def test_threads_that_end_before_a_fork_are_none(made: Made, tmp_path: Path) -> None:
    """As OpenBLAS's, which numpy starts as it is imported."""
    mother = made("imports.load = lambda: __import__('numpy')")
    child = bear(mother, tmp_path)
    assert child is not None and mother.pid is not None
    assert psutil.Process(mother.pid).num_threads() == 1


def test_a_thread_that_starts_later_is_noticed(
    made: Made, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Before each fork she looks whether she is alone."""
    late = "begin = mother._unfit\nmother._unfit = lambda: (begin(), waits())[0]"
    assert bear(made(late), tmp_path) is None
    assert "2 threads" in caplog.text


def test_who_is_closed_bears_no_more(made: Made, tmp_path: Path) -> None:
    """Nor is anything started in her place; those who wait hear it at once."""
    mother = made("imports.load = lambda: time.sleep(600)")

    async def closed_meanwhile() -> None:
        waits = asyncio.create_task(mother.bear([], {}, str(tmp_path)))
        while mother.pid is None:
            await asyncio.sleep(0.01)
        mother.close()
        with pytest.raises(ConnectionAbortedError):
            await waits

    asyncio.run(closed_meanwhile())
    with pytest.raises(ConnectionAbortedError):
        bear(mother, tmp_path)


def test_elsewhere_there_is_none(monkeypatch: pytest.MonkeyPatch, made: Made, tmp_path: Path) -> None:
    """On other systems kernels are started as ever, and nobody is told that it could be otherwise."""
    monkeypatch.setattr(asking.sys, "platform", "darwin")
    mother = made()
    assert bear(mother, tmp_path) is None and mother.pid is None
