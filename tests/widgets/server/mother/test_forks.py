"""A kernel that was forked is as one that was started: its own room, fence, chance and threads."""

from __future__ import annotations

import ast
import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import write_connection_file

from tests.widgets.server.mother.waiting import gone
from widgets.server.kernels import OwnKernelSpecs
from widgets.server.mother import asking, birth
from widgets.server.mother.asking import Mother
from widgets.server.options import Options
from widgets.server.room import Room
from widgets.server.rooms import Rooms

pytestmark = pytest.mark.skipif(not asking.can_be(), reason="kernels are forked on Linux alone")

REMEMBERED = """
import gc, os, pathlib, types
def remembered(room):
    found = []
    for holder in gc.get_objects():
        for held in gc.get_referents(holder):
            if issubclass(type(held), (str, pathlib.PurePath)) and held is not room and room in str(held):
                found.append(str(held))
    return sorted(set(found))
"""

BY_IPYTHON = {
    *("CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "GIT_PAGER", "MPLBACKEND", "PAGER", "TERM"),
    "PYDEVD_USE_FRAME_EVAL",
}
"""Variables that a kernel gives itself as it starts."""


class Kernel:
    """A fork of `mother` in a room of its own; `says` is what an expression gives there."""

    def __init__(self, mother: Mother, room: Room, sockets: Path) -> None:
        self.room = room
        room.make()
        self.environment = {**room.environment(os.environ), "JPY_PARENT_PID": str(os.getpid())}
        (sockets / room.folder.name).mkdir()
        place = sockets / room.folder.name / "k"
        file, _ = write_connection_file(f"{place}.json", ip=str(place), transport="ipc")
        argv = [part.format(connection_file=file) for part in OwnKernelSpecs().get_kernel_spec("").argv[3:]]
        born = asyncio.run(mother.bear(argv, self.environment, str(room.working_folder)))
        assert born is not None
        self.process = born
        self.client = BlockingKernelClient(connection_file=file)
        self.client.load_connection_file()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def says(self, expression: str, *, first: str = "") -> Any:
        """The value of an expression of plain data, after some statements."""
        reply = self.client.execute(first, user_expressions={"said": expression}, reply=True, timeout=120)
        said = reply["content"].get("user_expressions", {}).get("said", reply["content"])
        assert said["status"] == "ok", said
        return ast.literal_eval(said["data"]["text/plain"])

    def end(self) -> None:
        """It is no more."""
        self.client.stop_channels()
        self.process.kill()
        assert self.process.wait(30) == 0


Start = Callable[[], Kernel]


@pytest.fixture(scope="module")
def fenced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rooms]:
    """The rooms of a server with a fence, where each kernel has most of its own."""
    given = {name: str(tmp_path_factory.mktemp(name)) for name in ("models", "out")}
    rooms = Rooms(None, Options(models=(given["models"],), out=given["out"]))
    yield rooms
    rooms.mother.close()
    shutil.rmtree(rooms.folder)


@pytest.fixture(scope="module")
def start(fenced: Rooms, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts kernels of one mother; they end with the tests of this file."""
    started: list[Kernel] = []
    sockets = Path(tempfile.mkdtemp(prefix="forks-", dir="/tmp"))  # short enough for sockets

    def begin() -> Kernel:
        room = Room(fenced.folder, f"room-{len(started)}", fenced.options)
        started.append(Kernel(fenced.mother, room, sockets))
        return started[-1]

    yield begin
    for kernel in started:
        kernel.end()
    shutil.rmtree(sockets)


@pytest.fixture(scope="module")
def kernel(start: Start) -> Kernel:
    """One that most tests ask."""
    return start()


def test_it_is_told_what_a_process_would_be(kernel: Kernel) -> None:
    """Environment, folder, session, name; nothing of the mother's own."""
    had = kernel.says("dict(__import__('os').environ)")
    assert kernel.environment.items() - had.items() <= {(name, os.environ.get(name)) for name in BY_IPYTHON}
    assert had.keys() - kernel.environment.keys() <= BY_IPYTHON
    assert kernel.says("__import__('os').getcwd()") == str(kernel.room.working_folder)
    assert os.getsid(kernel.process.pid) == kernel.process.pid
    assert psutil.Process(kernel.process.pid).name() == birth.KERNEL
    assert kernel.says("[__import__('sys').argv[0], __import__('sys').executable]") == [
        "ipykernel_launcher",
        sys.executable,
    ]
    children = "__import__('signal').getsignal(__import__('signal').SIGCHLD)"
    assert kernel.says(f"int({children})") == signal.SIG_DFL  # it hears of those that it starts


def test_it_has_no_way_to_the_mother(kernel: Kernel, fenced: Rooms) -> None:
    """Her socket, and what she watches others by, stay hers."""
    assert fenced.mother.pid is not None
    hers = {place.target for place in _handles(fenced.mother.pid)}
    link = {target for target in hers if target.startswith("socket:")}
    assert len(link) == 1
    assert not link & {place.target for place in _handles(kernel.process.pid)}


class _Handle:
    def __init__(self, place: Path) -> None:
        try:
            self.target = os.readlink(place)
        except OSError:  # closed while we looked
            self.target = ""


def _handles(pid: int) -> list[_Handle]:
    return [_Handle(place) for place in Path(f"/proc/{pid}/fd").iterdir()]


def test_libraries_know_its_room_and_not_the_mother_s(kernel: Kernel) -> None:
    """What they asked the environment for as they were imported; among all objects of the process."""
    folder = kernel.room.folder
    assert kernel.says("__import__('tempfile').gettempdir()") == str(folder)
    constants = "__import__('huggingface_hub').constants"
    assert kernel.says(f"{constants}.HF_HUB_CACHE") == str(folder / "hub" / "hub")
    assert kernel.says(f"{constants}.HF_HUB_OFFLINE") is True
    assert kernel.says("__import__('transformers').utils.hub.HF_MODULES_CACHE").startswith(str(folder))
    left = kernel.says(f"remembered({str(folder.parent)!r} + '/mo' + 'ther')", first=REMEMBERED)
    # A default of a function behind `accelerate config`, which is nothing that runs here.
    assert [place for place in left if not place.endswith("hub/accelerate/default_config.yaml")] == []


def test_it_stands_behind_its_own_fence(kernel: Kernel, start: Start) -> None:
    """Its room may be written, and nobody else's."""
    other = start()
    fence = "__import__('surgery.fence').fence.current()"
    assert kernel.says(f"str({fence}.own[0])") == str(kernel.room.folder)
    assert other.says(f"str({fence}.own[0])") == str(other.room.folder)
    kernel.says("None", first="from widgets.voila.kernel import begin\nbegin()")
    assert kernel.says("open(__import__('tempfile').gettempdir() + '/own', 'w').write('x')") == 1
    written = f"open({str(other.room.folder / 'x')!r}, 'w').write('x')"
    reply = kernel.client.execute(written, reply=True, timeout=60)["content"]
    assert reply["status"] == "error" and reply["ename"] == "Outside"


def test_no_two_draw_the_same(kernel: Kernel, start: Start) -> None:
    """Neither Python, nor numpy, nor torch goes on where the mother was."""
    other = start()
    for draw in (
        "__import__('random').random()",
        "float(__import__('numpy').random.rand())",
        "float(__import__('torch').rand(()))",
    ):
        assert kernel.says(draw) != other.says(draw)


def test_widgets_know_their_kernel(kernel: Kernel) -> None:
    """A page that is loaded again asks for all of them by a name that they register as they are imported."""
    targets = kernel.says("sorted(get_ipython().kernel.comm_manager.targets)")
    assert {"jupyter.widget", "jupyter.widget.control"} <= set(targets)


def test_it_computes_in_threads(kernel: Kernel) -> None:
    """Torch's and numpy's own, which no fork may have inherited."""
    torch = "import torch\ntorch.set_num_threads(2)\na = torch.ones(512, 512)\n"
    assert kernel.says("float((a @ a).sum()) == 512.0 ** 3 and float(a.exp().sum()) > 0", first=torch)
    numpy = "import numpy\nb = numpy.ones((512, 512))\n"
    assert kernel.says("float((b @ b).sum()) == 512.0 ** 3", first=numpy)
    grad = "p = torch.ones(512, 512, requires_grad=True)\n(p @ p).sum().backward()\n"
    assert kernel.says("float(p.grad[0, 0])", first=grad) == 1024.0
    assert kernel.says("torch.cuda.is_initialized()") is False


def test_opening_the_demonstration_imports_nothing_large(start: Start) -> None:
    """What a kernel imports by itself it imports for each visitor; the mother should have had it."""
    opened = (
        "import sys\nbefore = set(sys.modules)\nfrom widgets.voila.kernel import warm\nwarm(first=True)\n"
    )
    kernel = start()
    more = kernel.says("sorted(name for name in sys.modules if name not in before)", first=opened)
    assert kernel.says("__import__('widgets').voila.kernel._studio is not None")
    assert len(more) < 20, more
    assert [name for name in more if name.split(".")[0] in ("torch", "transformers", "networkx")] == []


def test_the_mother_has_done_nothing(kernel: Kernel, fenced: Rooms) -> None:
    """She runs in one thread, holds no model's file open, and has written nothing to her room."""
    assert fenced.mother.pid is not None
    process = psutil.Process(fenced.mother.pid)
    assert process.num_threads() == 1
    assert process.open_files() == []
    assert [place for place in (fenced.folder / "mother").rglob("*") if place.is_file()] == []


def test_it_ends_as_it_is_asked(start: Start) -> None:
    """A signal reaches it as it would another process; no zombie is left."""
    kernel = start()
    kernel.process.terminate()
    assert kernel.process.wait(30) == 0 and gone(kernel.process.pid)
