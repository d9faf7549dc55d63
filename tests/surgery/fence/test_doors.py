"""Nothing outside the fence is opened or written, whichever door is tried, and by whatever road."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import surgery
from surgery import Script, SurgeryError
from surgery.adapters.export import export
from surgery.autosave import Autosave
from surgery.checkpoint.adapter import parent_at
from surgery.evaluate.data.images import image_folder
from surgery.evaluate.data.path import examples_at
from surgery.evaluate.data.windows import text_files
from surgery.fence import Fence, Outside, current, fenced_in, folder, naming, reading, writing
from surgery.script import Base
from tests.surgery.fence.conftest import Disk

ROADS: dict[str, Callable[[Disk], str]] = {
    "path": lambda disk: str(disk.secret),
    "dots": lambda disk: str(disk.models / ".." / "secret"),
    "relative": lambda disk: os.path.relpath(disk.secret),
    "link": lambda disk: _linked(disk.models / "link", disk.secret),
    "link above": lambda disk: _linked(disk.models / "above", disk.secret.parent) + "/secret",
    "address": lambda disk: f"file://{disk.secret}",
    "nowhere": lambda disk: "/no/such/place",
}


def _linked(link: Path, target: Path) -> str:
    link.symlink_to(target)
    return str(link)


@pytest.fixture(params=ROADS)
def way_out(request: pytest.FixtureRequest, disk: Disk) -> str:
    """A way of naming what lies outside."""
    return ROADS[request.param](disk)


def test_without_a_fence_the_user_s_rights_are_the_limit(disk: Disk) -> None:
    """Nothing is asked where nobody put one up."""
    assert current() is None
    assert surgery.open(disk.secret).graph.modules
    assert writing("/anywhere") == Path("/anywhere")


def test_what_is_inside_opens_and_saves(fenced: Disk) -> None:
    """A model is opened, edited, saved with script, picture and report, and loaded."""
    s = surgery.open(fenced.model)
    s.remove("model.layers[2]")
    s.save(fenced.out / "cut")
    s.script.write(fenced.out / "cut.surgery.json")
    s.picture().write(fenced.out / "cut.svg")
    s.write_report(fenced.out / "cut.html")
    assert surgery.load(fenced.out / "cut") is not None
    assert Script.read(fenced.out / "cut.surgery.json").steps == s.script.steps
    assert surgery.open("demo").graph.modules


def test_no_model_from_outside(way_out: str, fenced: Disk) -> None:
    """Not by its path, by dots, by a link, nor by an address; and whether anything is there is not said."""
    with pytest.raises(SurgeryError) as told:
        surgery.open(way_out)
    assert str(fenced.models) in str(told.value) or "there is no such folder" in str(told.value)
    assert "config.json" not in str(told.value)


def test_no_parent_from_outside(way_out: str, fenced: Disk) -> None:
    """A step cannot bring in tensors from there."""
    s = surgery.open(fenced.model)
    with pytest.raises(SurgeryError):
        s.merge("model.layers.1", parents=[way_out])
    with pytest.raises(SurgeryError):
        parent_at(f"{fenced.model}+{way_out}")


def test_no_data_from_outside(way_out: str, fenced: Disk) -> None:
    """Neither texts nor images are read from there."""
    opened = surgery.open(fenced.model).opened
    for ask in (
        lambda: examples_at(way_out, opened),
        lambda: text_files([way_out], opened.tokenizer),
        lambda: image_folder(way_out, fenced.model),
    ):
        with pytest.raises(SurgeryError):
            ask()


def test_nothing_is_written_outside(way_out: str, fenced: Disk) -> None:
    """Neither model, script, picture, report, adapter nor the file of a sweep; the place is as it was."""
    s = surgery.open(fenced.model)
    s.attach("**.q_proj", "lora", rank=2)
    before = _content(fenced.secret)
    writes: list[Callable[[], Any]] = [
        lambda: s.save(way_out, overwrite=True),
        lambda: s.script.write(f"{way_out}/x.surgery.json"),
        lambda: s.picture().write(f"{way_out}/x.svg"),
        lambda: s.write_report(f"{way_out}/x.html"),
        lambda: export(s, f"{way_out}/adapter"),
        lambda: s.sweep("remove", "model.layers.*", resume=f"{way_out}/x.json"),
    ]
    for write in writes:
        with pytest.raises(SurgeryError):
            write()
    assert _content(fenced.secret) == before


def _content(place: Path) -> dict[str, int]:
    return {str(file): file.stat().st_mtime_ns for file in sorted(place.rglob("*"))}


def test_models_are_not_written(fenced: Disk) -> None:
    """What may be read may not be written, and the folder for results is not replaced itself."""
    s = surgery.open(fenced.model)
    for place in (fenced.models / "new", fenced.model, fenced.out, fenced.out / "x" / ".."):
        with pytest.raises(Outside, match="may be written here"):
            s.save(place, overwrite=True)


def test_no_script_from_outside(way_out: str, fenced: Disk) -> None:
    """Scripts are read from inside alone."""
    with pytest.raises(SurgeryError):
        Script.read(f"{way_out}/edits.surgery.json")


def test_a_crafted_script_opens_nothing_outside(way_out: str, fenced: Disk) -> None:
    """Neither its base nor the models that its steps name; a script that lies inside is not trusted more."""
    s = surgery.open(fenced.model)
    script = s.script
    for source in (way_out, "os:getcwd", "owner/name", "hf://owner/name"):
        place = fenced.out / "edits.surgery.json"
        replace(script, base=Base(source, script.base.class_name, None)).write(place)
        with pytest.raises(SurgeryError):
            surgery.replay(place, out=fenced.out / "replayed")
    text = json.loads(script.to_json())
    step = {"operation": "merge", "targets": {"select": "model.layers.1"}, "parents": [way_out]}
    place.write_text(json.dumps({**text, "steps": [step]}))
    with pytest.raises(SurgeryError):
        surgery.replay(place, out=fenced.out / "replayed")
    assert not (fenced.out / "replayed").exists()


def test_no_link_in_a_folder_leads_out(fenced: Disk) -> None:
    """A model whose weights, tokenizer or config are a link to a place outside is refused as a whole."""
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        kept = (fenced.model / name).read_bytes()
        (fenced.model / name).unlink()
        (fenced.model / name).symlink_to(fenced.secret / name)
        with pytest.raises(SurgeryError, match="outside the folders that may be read"):
            surgery.open(fenced.model)
        with pytest.raises(Outside):
            folder(fenced.models)
        (fenced.model / name).unlink()
        (fenced.model / name).write_bytes(kept)
    assert surgery.open(fenced.model).graph.modules


def test_links_that_stay_inside_are_followed(fenced: Disk) -> None:
    """As the hub's cache has them."""
    (fenced.model / "model.safetensors").rename(fenced.models / "blob")
    (fenced.model / "model.safetensors").symlink_to("../blob")
    assert surgery.open(fenced.model).graph.modules


def test_names_are_refused_but_for_those_allowed(disk: Disk) -> None:
    """Code never, ids of the hub where they are allowed, and always the one the server was started with."""
    with fenced_in(disk.fence):
        with pytest.raises(Outside, match="nothing is fetched from the hub"):
            naming("owner/name")
        with pytest.raises(Outside, match="is code"):
            surgery.open("os:getcwd")
    with fenced_in(Fence.of(hub=True)):
        assert naming("owner/name") == "owner/name"
        with pytest.raises(Outside):
            naming("os:getcwd", code=True)
    with fenced_in(Fence.of(names=("package:made",))):
        assert naming("package:made", code=True)


def test_what_is_asked_is_named_as_it_was_asked(fenced: Disk) -> None:
    """The refusal says where one may go, and nothing of where a link leads."""
    link = _linked(fenced.models / "link", fenced.secret)
    with pytest.raises(Outside) as told:
        reading(link)
    assert told.value.path == link
    assert str(fenced.secret) not in told.value.sentence()
    assert str(fenced.models) in told.value.sentence()
    assert isinstance(told.value, PermissionError)


def test_steps_are_kept_inside(fenced: Disk) -> None:
    """What is written without being asked for keeps to the fence as well."""
    s = surgery.open(fenced.model)
    s.freeze("model.layers.0")
    Autosave.of(s, fenced.out / "kept").keep()
    assert list((fenced.out / "kept").glob("*.surgery.json"))
    with pytest.raises(SurgeryError, match="outside the folders that may be written"):
        Autosave(s, fenced.secret).keep()


def test_a_fence_survives_its_way_into_another_process(disk: Disk) -> None:
    """Through the environment, links followed."""
    made = Fence.of((disk.models,), (disk.out,), (disk.secret,), ("demo",), hub=True)
    assert Fence.from_text(made.to_text()) == made
