"""What only the history keeps is bounded: it moves out of the way and comes back with the same bits."""

from __future__ import annotations

import errno
import gc
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.errors import SurgeryWarning
from surgery.journal import Journal
from surgery.keeping import Keeper, quarter_of_memory, tensors_in
from tests.surgery.states import run, snapshot, untouched
from tests.zoo import ZOO

WALK = (2, 4, 1, 3, 0, 4, 2, 0, 3)


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which scratch files are made; nothing may be left in it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    assert list(tmp_path.glob("surgery-history-*")) == []


def edited(limit_bytes: int | None = None) -> surgery.Session:
    """Four states on two branches, which replace, wrap, tie and drop parameters."""
    session = surgery.open(*ZOO["tied_head"]())
    if limit_bytes is not None:
        session.history.limit_bytes = limit_bytes
    session.sparsify("**:Linear", 0.5)
    session.tie("blocks[2]", to="blocks.0")
    session.goto(0)
    session.attach("blocks.3.up", rank=2)
    session.merge("blocks[0:2]")
    return session


def walked(session: surgery.Session) -> list[tuple[str, Any]]:
    """Fingerprint and output of each state on a walk over all of them."""
    found = []
    for state in WALK:
        session.goto(state)
        found.append((session.fingerprint(), run(session.model, session.opened.inputs).tolist()))
    return found


@pytest.mark.parametrize("limit_bytes", [0, 3000])
def test_a_small_limit_changes_nothing(scratch: Path, limit_bytes: int) -> None:
    """Over all states, in any order: the bits and outputs of a session without a limit."""
    assert walked(edited(limit_bytes)) == walked(edited())


def test_parameters_stay_the_objects_they_are(scratch: Path) -> None:
    """Objects, key order and aliases of each state are those it had before anything moved."""
    session = edited()
    known = {}
    for state in WALK:
        session.goto(state)
        known[state] = snapshot(session.model)
    session.history.limit_bytes = 0
    assert session.history.kept.file_bytes > 0
    for state in WALK:
        session.goto(state)
        assert snapshot(session.model) == known[state]
        for parameter in session.model.parameters():  # of its own memory again, not of the file's
            assert parameter.untyped_storage().nbytes() == parameter.nbytes


def test_the_opened_model_is_never_moved(scratch: Path) -> None:
    """Its storages are its own, though the first states hold Parameters over them."""
    model, inputs = ZOO["tied_head"]()
    before = untouched(model)
    session = surgery.open(model, inputs)
    session.history.limit_bytes = 0
    session.sparsify("**:Linear", 0.5)
    assert session.history.size_bytes == 0  # what was replaced lies in the opened model
    session.remove("blocks[0]")
    session.undo()
    session.undo()
    assert session.history.size_bytes > 0
    assert untouched(model) == before


def test_size_is_what_nothing_else_holds() -> None:
    """Bytes of the replaced tensors that are not the opened model's; each storage once."""
    session = surgery.open(*ZOO["tied_head"]())
    ups = sum(module.weight.nbytes for path, module in session.model.named_modules() if path.endswith(".up"))
    session.sparsify("**.up", 0.5)
    assert session.history.size_bytes == 0
    session.sparsify("**.up", 0.75)
    assert session.history.size_bytes == ups
    session.undo()
    assert session.history.size_bytes == ups  # now those of the state undone
    session.undo()
    assert session.history.size_bytes == 2 * ups
    assert session.history.kept.memory_bytes == 2 * ups


def test_no_more_moves_than_has_to(scratch: Path) -> None:
    """Within the limit as soon as it can be, and the states farthest from here go first."""
    session = surgery.open(*ZOO["tied_head"]())
    size = session.model.get_parameter("blocks.0.up.weight").nbytes
    session.history.limit_bytes = size
    replaced, places = [], []
    for ratio in (0.2, 0.4, 0.6):
        session.sparsify("blocks.0.up", ratio)
        replaced.append(session.model.get_parameter("blocks.0.up.weight"))
        places.append(replaced[-1].data_ptr())
    kept = session.history.kept
    assert (kept.memory_bytes, kept.file_bytes) == (size, size)
    assert [parameter.data_ptr() for parameter in replaced][1:] == places[1:]
    assert replaced[0].data_ptr() != places[0]


def test_whoever_holds_a_parameter_reads_its_values(scratch: Path) -> None:
    """A module taken out, an old Parameter: in a file or not, they are what they were."""
    session = surgery.open(*ZOO["tied_head"]())
    session.sparsify("blocks.0", 0.5)
    block = session.model.get_submodule("blocks.0")
    values = {name: parameter.detach().clone() for name, parameter in block.named_parameters()}
    session.history.limit_bytes = 0
    session.remove("blocks[0]")
    assert session.history.kept.file_bytes > 0
    assert all(torch.equal(parameter, values[name]) for name, parameter in block.named_parameters())


class Views(nn.Module):
    """Two Parameters over one storage, one transposed, and one with a gradient."""

    def __init__(self) -> None:
        super().__init__()
        both = torch.randn(2, 4, 4)
        self.first, self.second = nn.Parameter(both[0]), nn.Parameter(both[1])
        self.turned = nn.Parameter(torch.randn(4, 3).T)
        self.trained = nn.Parameter(torch.randn(4))
        self.trained.sum().backward()


def test_shared_and_odd_storages_stay_in_memory(scratch: Path) -> None:
    """Views keep their aliasing, what is not laid out plainly its strides, a gradient its Parameter."""
    keeper, views, plain = Keeper(), Views(), nn.Linear(4, 4)
    keeper.limit_bytes = 0
    keeper.settle([views, plain], [])
    assert keeper.kept([views], []).file_bytes == 0
    assert keeper.kept([plain], []).memory_bytes == 0
    views.first.data.fill_(1)
    views.second.data.fill_(2)
    assert views.first.untyped_storage().data_ptr() == views.second.untyped_storage().data_ptr()


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.bfloat16, torch.float8_e4m3fn, torch.complex64, torch.int8, torch.bool]
)
def test_every_dtype_comes_back(scratch: Path, dtype: torch.dtype) -> None:
    """Bit for bit, scalars and odd sizes too."""
    module, keeper = nn.Module(), Keeper()
    keeper.limit_bytes = 0
    for index, shape in enumerate([(), (3,), (5, 7)]):
        values = (torch.randn(shape) * 3).to(dtype)
        module.register_parameter(f"p{index}", nn.Parameter(values, requires_grad=False))
    before = [parameter.detach().clone() for parameter in module.parameters()]
    keeper.settle([module], [])
    assert keeper.kept([module], []).memory_bytes == 0
    keeper.bring_back(module)
    for parameter, old in zip(module.parameters(), before, strict=True):
        assert torch.equal(parameter.reshape(-1).view(torch.uint8), old.reshape(-1).view(torch.uint8))
        assert parameter.untyped_storage().nbytes() == old.nbytes


def full(*_: object, **__: object) -> None:
    """Stands for a file system that takes no more."""
    raise OSError(errno.ENOSPC, "No space left on device")


def no_folder(*_: object, **__: object) -> None:
    """Stands for one that is read only."""
    raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize(
    ("place", "failing", "said"),
    [
        ("surgery.keeping.torch.from_file", full, "No space left on device"),
        ("tempfile.mkdtemp", no_folder, "Permission denied"),
    ],
)
def test_where_no_file_can_be_written_all_stays(
    scratch: Path, monkeypatch: pytest.MonkeyPatch, place: str, failing: Callable[..., None], said: str
) -> None:
    """A warning that says why, no error, nothing lost, nothing left behind."""
    monkeypatch.setattr(place, failing)
    with pytest.warns(SurgeryWarning, match=rf"more in memory than its limit.*{said}"):
        session = edited(0)
    assert session.history.kept.file_bytes == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SurgeryWarning)
        assert walked(session) == walked(edited())


def test_a_disk_without_room_is_not_filled(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written where it could not be written whole."""
    monkeypatch.setattr("surgery.keeping.shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})())
    with pytest.warns(SurgeryWarning, match="No space left"):
        session = edited(0)
    assert session.history.kept.file_bytes == 0


def test_no_room_to_come_back_leaves_the_state_as_it_is(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An undo that cannot be is refused by one sentence; the model is that of before, and later it can."""
    session = edited(0)
    before, output = snapshot(session.model), run(session.model, session.opened.inputs)

    def none_left(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")

    with monkeypatch.context() as patched:
        patched.setattr(Keeper, "bring_back", none_left)
        with pytest.raises(
            SurgeryError, match=r"state 2: there is no memory for the tensors.*2\.00 GiB\."
        ) as no:
            session.goto(2)
        assert "\n" not in str(no.value)
    assert session.history.current.id == 4
    assert snapshot(session.model) == before
    assert torch.equal(run(session.model, session.opened.inputs), output)
    assert walked(session) == walked(edited())


def test_a_higher_limit_is_kept_to_from_then_on(scratch: Path) -> None:
    """Raised, what is in a file stays there until it is needed, and nothing more goes."""
    session = edited(0)
    filed = session.history.kept.file_bytes
    assert filed > 0
    session.history.limit_bytes = 1 << 30
    assert session.history.kept.file_bytes == filed
    session.goto(2)
    session.goto(4)
    assert session.history.kept.memory_bytes > 0


def test_the_file_goes_with_the_session(scratch: Path) -> None:
    """It has no name while it is used, so even a process that is killed leaves none; its room is freed."""
    session = edited(0)
    assert session.history.kept.file_bytes > 0
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert str(scratch) in maps.read_text()
        del session
        gc.collect()
        assert str(scratch) not in maps.read_text()


def test_an_evaluation_meanwhile_has_its_own(scratch: Path) -> None:
    """A shell made of a state goes on with its storages, whatever becomes of the state's Parameters."""
    from surgery.model import private_shell

    session = edited()
    model, output = private_shell(session.model), run(session.model, session.opened.inputs)
    session.history.limit_bytes = 0
    session.goto(0)
    assert session.history.kept.file_bytes > 0
    assert torch.equal(run(model, session.opened.inputs), output)


def test_the_history_shows_what_it_keeps(scratch: Path) -> None:
    """A line per state, the current one marked, branches told, and the bytes by where they lie."""
    session = edited(0)
    lines = repr(session.history).splitlines()
    assert lines[0].startswith("<History of 5 states, which keep ") and lines[0].endswith("; limit 0 B>")
    assert " in files" in lines[0]
    assert lines[1:] == [
        "  0: the original",
        '  1: s.sparsify("**:Linear")',
        '  2: s.tie("blocks[2]", to="blocks.0")',
        '  3, after 0: s.attach("blocks.3.up", rank=2)',
        '> 4: s.merge("blocks[0:2]")',
    ]
    for _ in range(40):
        session.history.add(session.steps[0], Journal())
    lines = repr(session.history).splitlines()
    assert len(lines) == 22 and lines[1] == "  … 25 before these"


def test_a_session_without_weights_keeps_nothing() -> None:
    """Parameters on meta take no memory and move nowhere."""
    model, inputs = ZOO["tied_head"]()
    session = surgery.open(model, inputs, skeleton=True)
    session.history.limit_bytes = 0
    session.sparsify("**:Linear", 0.5)
    session.sparsify("**:Linear", 0.6)
    session.undo()
    assert session.history.size_bytes == 0
    assert repr(session.history).startswith("<History of 3 states, which keep no tensors; limit 0 B>")


def test_tensors_are_found_in_whatever_holds_them() -> None:
    """Modules and plain containers, in any nesting and with cycles, each tensor once."""
    module = nn.Linear(2, 2)
    module.also = {"a": [torch.zeros(1), (module.weight, module)], "n": 3}
    ring: list[Any] = [torch.ones(1)]
    ring.append(ring)
    found = list(tensors_in([module, ring, None, "text"]))
    assert [tuple(tensor.shape) for tensor in found] == [(2, 2), (2,), (1,), (1,)]


def test_the_limit_is_a_quarter_of_what_there_is() -> None:
    """Of the machine, or of the container; and a positive number anywhere."""
    import psutil

    assert 0 < quarter_of_memory() <= psutil.virtual_memory().total // 4 + 1
    assert surgery.open(nn.Linear(2, 2)).history.limit_bytes == quarter_of_memory()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
def test_an_accelerator_is_relieved_first(scratch: Path) -> None:
    """Over the limit there tensors go to memory, over the limit there to a file; and all the way back."""
    model, inputs = ZOO["tied_head"]()
    session = surgery.open(model.cuda(), {name: value.cuda() for name, value in inputs.items()})
    session.sparsify("**:Linear", 0.5)
    session.sparsify("**:Linear", 0.6)
    size = session.history.kept.accelerator_bytes
    assert size > 0
    session.history.limit_bytes = size // 2
    kept = session.history.kept
    assert kept.accelerator_bytes <= size // 2 and kept.memory_bytes > 0
    session.history.limit_bytes = 0
    assert session.history.kept.file_bytes == size
    session.undo()
    assert all(parameter.is_cuda for parameter in session.model.parameters())
