"""Whatever a script or a file of weights says, it is done or is a SurgeryError, before long."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import surgery
from surgery import Script, SurgeryError
from surgery.checkpoint.headers import DTYPES
from surgery.checkpoint.tensors import Checkpoint, read_tensor
from tests.surgery.stream.test_streamed_replay import saved

TENSORS = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(4, dtype=torch.bfloat16), "c": torch.tensor(7)}
GOOD = safetensors.torch.save(TENSORS, {"format": "pt", "d": "a"})
LONGEST_S = 5.0
"""What a refusal may take, on a machine that does other things too."""

often = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
anything = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@contextmanager
def quickly() -> Iterator[None]:
    """A SurgeryError is an end like any other, and it comes soon."""
    began_s = time.monotonic()
    try:
        yield
    except SurgeryError as error:
        assert str(error).encode()
    assert time.monotonic() - began_s < LONGEST_S


# Files of weights ------------------------------------------------------------------------------


def check_file(data: bytes, folder: Path) -> None:
    """Refused, or what safetensors itself finds in it; the file stays as it is, and is alone."""
    file = folder / "a.safetensors"
    file.write_bytes(data)
    with quickly():
        found = {name: read_tensor(entry.file, name) for name, entry in Checkpoint.at(file).entries.items()}
        expected = safetensors.torch.load(data)
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            assert found[name].dtype == tensor.dtype and found[name].shape == tensor.shape
            assert found[name].reshape(-1).view(torch.uint8).equal(tensor.reshape(-1).view(torch.uint8))
    assert file.read_bytes() == data and [*folder.iterdir()] == [file]


@often
@given(st.data())
def test_bytes_of_a_good_file_changed(tmp_path: Path, data: st.DataObject) -> None:
    """Other bytes, some left out, some put in, cut anywhere."""
    made = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(made)))
        kind = data.draw(st.sampled_from(["other", "out", "in", "cut"]))
        if kind == "other" and at < len(made):
            made[at] = data.draw(st.integers(0, 255))
        elif kind == "out":
            del made[at : at + data.draw(st.integers(1, 9))]
        elif kind == "in":
            made[at:at] = data.draw(st.binary(max_size=9))
        elif kind == "cut":
            del made[at:]
    check_file(bytes(made), tmp_path)


counts = st.integers(0, 9) | st.integers() | st.sampled_from([2**31, 2**62, 2**63, 2**64])
tensors = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from([*DTYPES, "F4", "F8_E8M0"]),
        "shape": st.lists(counts, max_size=3),
        "data_offsets": st.lists(st.integers(0, 24), min_size=2, max_size=2).map(sorted),
    }
)
described = st.dictionaries(st.text(max_size=3), tensors | anything, max_size=4)


@often
@given(described | anything, st.binary(max_size=24), st.none() | st.integers(0, 2**64 - 1))
def test_headers_that_say_anything(tmp_path: Path, said: Any, data: bytes, length: int | None) -> None:
    """Of tensors as they may be described, and of anything else; of any length."""
    text = json.dumps(said).encode()
    head = (len(text) if length is None else length).to_bytes(8, "little")
    check_file(head + text + data, tmp_path)


@often
@given(st.lists(st.tuples(st.sampled_from([*DTYPES]), st.lists(st.integers(0, 3), max_size=3)), max_size=4))
def test_headers_that_are_right(tmp_path: Path, kinds: list[tuple[str, list[int]]]) -> None:
    """Any shapes and dtypes, one after another, are read: refusing all would not be enough."""
    said, at = {}, 0
    for number, (dtype, shape) in enumerate(kinds):
        size = torch.Size(shape).numel() * DTYPES[dtype].itemsize
        said[str(number)] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(said).encode()
    file = tmp_path / "a.safetensors"
    file.write_bytes(len(text).to_bytes(8, "little") + text + bytes(at))
    assert len(Checkpoint.at(file).entries) == len(kinds)
    check_file(file.read_bytes(), tmp_path)


# Scripts ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Llama."""
    return saved("llama", tmp_path_factory.mktemp("fuzz") / "base")


@pytest.fixture(scope="module")
def good(base: Path) -> dict[str, Any]:
    """A script with fields of every kind."""
    session = surgery.open(base)
    session.narrow("model.layers", "heads", ratio=0.5)
    session.tie("model.layers.2", to="model.layers.1", start="average")
    session.sparsify("**.mlp", ratio=0.3)
    session.attach("**.q_proj", rank=2)
    session.remove("model.layers.0")
    found: dict[str, Any] = json.loads(session.script.to_json())
    return found


SELECTORS = [
    "**",
    "model.layers[*]",
    "model.layers.9",
    "**:Linear",
    "[",
    "",
    "model",
    "..",
    "**.{q,v}_proj",
    "/",
]
ALIKE = {
    int: st.integers(-2, 9) | st.integers(),
    float: st.floats(0, 1) | st.floats(),
    str: st.sampled_from([*SELECTORS, "average", "heads", "neurons", "remove", "swap", "duplicate"]),
    bool: st.booleans(),
}
"""Values of the same kind, which get further than others."""


def places(data: Any) -> list[tuple[Any, Any]]:
    """Every value inside, by what holds it and its key there."""
    keys = data.keys() if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    found = [(data, key) for key in keys]
    return found + [place for holder, key in found for place in places(holder[key])]


KINDS = ("alike", "other", "gone", "more", "from elsewhere")


@st.composite
def mutated(draw: st.DrawFn, good: Any, kinds: tuple[str, ...] = KINDS) -> Any:
    """Data with other values, keys more or less, or values from elsewhere in it."""
    data = deepcopy(good)
    for _ in range(draw(st.integers(1, 3))):
        known = places(data)
        kind = draw(st.sampled_from(kinds))
        if kind == "alike":
            known = [place for place in known if type(place[0][place[1]]) in ALIKE]
        holder, key = known[draw(st.integers(0, len(known) - 1))]
        if kind == "alike":
            holder[key] = draw(ALIKE[type(holder[key])])
        elif kind == "other":
            holder[key] = draw(anything)
        elif kind == "gone":
            del holder[key]
        elif kind == "more" and isinstance(holder, dict):
            holder[draw(st.text(max_size=8))] = draw(anything)
        elif kind == "more":
            holder.insert(key, draw(anything))
        else:
            other, place = known[draw(st.integers(0, len(known) - 1))]
            holder[key] = deepcopy(other[place])
    return data


def by_hand(step: dict[str, Any]) -> dict[str, Any]:
    """A step as somebody would write it: selectors as text, resolved anew."""
    return {
        key: value["select"] if isinstance(value, dict) and "select" in value else value
        for key, value in step.items()
    }


def check_text(text: str) -> Script | None:
    """Refused, or a script that is the same once it is written and read."""
    found = None
    with quickly():
        found = Script.from_json(text)
        again = Script.from_json(found.to_json())
        assert again.to_json() == found.to_json()
    return found


@often
@given(anything | st.text(max_size=30))
def test_json_of_anything(said: Any) -> None:
    """And text that is no JSON."""
    check_text(said if isinstance(said, str) else json.dumps(said))


@often
@given(st.data())
def test_scripts_changed_anywhere(good: dict[str, Any], data: st.DataObject) -> None:
    """Steps, fields, selectors, identities."""
    check_text(json.dumps(data.draw(mutated(good))))


@settings(often, max_examples=30)
@given(st.data())
def test_steps_changed_anywhere_are_replayed(
    good: dict[str, Any], base: Path, tmp_path: Path, data: st.DataObject
) -> None:
    """To a folder, or to a refusal that leaves nothing."""
    known = [by_hand(step) for step in good["steps"]]
    steps = [
        data.draw(mutated(step, ("alike", "from elsewhere"))) if data.draw(st.booleans()) else step
        for step in data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=4))
    ]
    script = check_text(json.dumps(good | {"result": None, "steps": steps}))
    if script is None:
        return
    out = tmp_path / "out"
    try:
        surgery.replay(script, base, out, memory="1GB")
    except SurgeryError:
        assert [*tmp_path.iterdir()] == []
    else:
        assert (out / "surgery.json").is_file() and [*tmp_path.iterdir()] == [out]
        shutil.rmtree(out)
