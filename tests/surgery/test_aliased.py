"""Further models of a script have names, and may lie elsewhere in a replay."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import surgery
from surgery import Script, SurgeryError
from tests.surgery.merging.parents import family

Made = tuple[Path, Path, list[str]]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A script that merges with two models by name, its base, and where these lie."""
    base, parents = family(tmp_path, 2)
    session = surgery.open(base)
    session.ties("model.layers.0", parents=[f"tulu={parents[0]}", f"code={parents[1]}"])
    session.slerp("model.layers.1", parents=[f"tulu={parents[0]}"])
    return session.script.write(tmp_path / "edits.surgery.json"), base, parents


def test_each_is_said_once(made: Made) -> None:
    """With its place and fingerprint; steps have the name alone, and Python and the text round trip."""
    data = json.loads(made[0].read_text())
    assert list(data["models"]) == ["tulu", "code"]
    assert data["models"]["tulu"]["source"] == made[2][0]
    assert data["models"]["tulu"]["fingerprint"].startswith("blake3:")
    assert data["steps"][0]["parents"] == [{"model": "tulu"}, {"model": "code"}]
    script = Script.read(made[0])
    assert Script.from_json(script.to_json()) == script
    assert f'parents=["tulu={made[2][0]}", "code={made[2][1]}"]' in script.to_python()


def test_a_replay_finds_them_elsewhere(made: Made, tmp_path: Path) -> None:
    """The same model there; another one is refused."""
    script, base, parents = made
    moved = shutil.move(parents[0], tmp_path / "moved")
    again = surgery.replay(Script.read(script).with_models({"tulu": str(moved)}), base)
    assert again.fingerprint() == Script.read(script).result
    assert again.script.to_json().count(str(moved)) == 1
    with pytest.raises(SurgeryError, match="this parent is not the one that was recorded"):
        surgery.replay(Script.read(script).with_models({"tulu": parents[1]}), base)
    with pytest.raises(SurgeryError, match=r"tull: the script has no model of this name.*`tulu=…`"):
        Script.read(script).with_models({"tull": str(moved)})


def test_a_name_means_one_place(made: Made) -> None:
    """In a script made here too."""
    session = surgery.open(made[1])
    session.slerp("model.layers.0", parents=[f"other={made[2][0]}"])
    with pytest.raises(SurgeryError, match="other: is the name of two models"):
        session.slerp("model.layers.1", parents=[f"other={made[2][1]}"])
    assert len(session.steps) == 1 and session.script.to_json()


def test_a_place_that_is_there_is_no_name(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`lr=1` may be a folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made[2][0], tmp_path / "lr=1")
    session = surgery.open(made[1])
    session.slerp("", parents=["lr=1"])
    assert session.steps[0].parents[0].alias is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("alias", [["q"], "q r", 5, ""])
def test_a_step_has_no_name_that_a_script_could_not_say(alias: Any, made: Made) -> None:
    """Typed by hand into a file, it is refused there."""
    data = json.loads(made[0].read_text())
    data["steps"][0]["parents"] = [{"source": made[2][0], "alias": alias}]
    with pytest.raises(SurgeryError, match=r"ties\.parents does not fit"):
        Script.from_json(json.dumps(data))


@pytest.mark.parametrize("place", ["~nobody-of-this-name/x", "a+" + "x" * 5000, "\0"])
def test_a_place_that_no_file_can_have_is_refused(place: str, made: Made) -> None:
    """As one that is not there."""
    with pytest.raises(SurgeryError, match="there is no such folder"):
        surgery.open(made[1]).slerp("", parents=[place])


BAD: dict[str, tuple[Any, str]] = {
    "a list": ([], "models is no object"),
    "text": ({"tulu": "folder"}, "models.tulu is no model"),
    "unknown key": ({"tulu": {"source": "a", "colour": 1}}, "models.tulu is no model"),
    "no place": ({"tulu": {"fingerprint": None}}, "models.tulu is no model"),
    "an alias of an alias": (
        {"tulu": {"source": "code"}, "code": {"source": "tulu"}}, "models.tulu stands for another name",
    ),
    "of itself": ({"tulu": {"source": "tulu"}}, "models.tulu stands for another name"),
    "no name": ({"a b": {"source": "x"}}, "models.a b has a name that cannot be given"),
    "not all": ({"tulu": {"source": "x"}}, "reads a model that the script does not name; got 'code'"),
}  # fmt: skip


@pytest.mark.parametrize("models, sentence", BAD.values(), ids=BAD)
def test_bad_names_are_refused(models: Any, sentence: str, made: Made) -> None:
    """With the name in the sentence."""
    data = json.loads(made[0].read_text()) | {"models": models}
    with pytest.raises(SurgeryError) as refused:
        Script.from_json(json.dumps(data))
    assert sentence in str(refused.value)
