"""What a server may be: on one's own machine anything, for others only what was said."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from surgery.fence import Fence
from widgets.server.command import options_of, parser
from widgets.server.options import Options, base_url_of, is_loopback


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Two that are there."""
    found = {name: tmp_path / name for name in ("models", "out")}
    for folder in found.values():
        folder.mkdir()
    return found


def test_by_default_it_is_this_machine_s_user_alone() -> None:
    """Loopback, a new token each time, the user's own rights, and nothing to refuse."""
    options = options_of([])
    assert options.host == "127.0.0.1" and not options.is_open and not options.is_fenced
    assert options.refusal() is None and options.fence() is None
    assert len(options.token) >= 32 and options.token != options_of([]).token


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "--models"),
        (["--host", "::"], "--models"),
        (["--host", "192.168.1.7"], "--models"),
        (["--name", "studio.example"], "--models"),
        (["--host", "0.0.0.0", "--models", "{models}"], "--out"),
        (["--host", "0.0.0.0", "--models", "{models}", "--out", "/no/such"], "no such folder"),
        (["--visitors", "0"], "--visitors"),
        (["--upload-limit", "0"], "--upload-limit"),
        (["--script", "/no/such.surgery.json"], "--script"),
    ],
)
def test_a_server_for_others_says_what_they_may_do(
    words: list[str], said: str, folders: dict[str, Path]
) -> None:
    """Another address, or a name of a proxy, is refused without folders, in a sentence with the way out."""
    refusal = options_of([word.format(**folders) for word in words]).refusal()
    assert refusal is not None and said in refusal


def test_a_server_for_others_is_fenced(folders: dict[str, Path]) -> None:
    """With both folders it may listen anywhere, and its visitors keep to them."""
    words = ["--host", "0.0.0.0", "--models", str(folders["models"]), "--out", str(folders["out"])]
    options = options_of(words)
    assert options.refusal() is None
    assert options.fence() == Fence.of((folders["models"],), (folders["out"],))
    assert options_of(["--models", str(folders["models"])]).is_fenced  # on loopback too, if asked


def test_no_token_is_no_way_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token of one's own is long enough; an empty one, or an empty password, starts nothing."""
    for said in ("", "short"):
        monkeypatch.setenv("SURGERY_TOKEN", said)
        refusal = options_of([]).refusal()
        assert refusal is not None and refusal.startswith("SURGERY_TOKEN: is too short")
    monkeypatch.setenv("SURGERY_TOKEN", "x" * 16)
    assert options_of([]).refusal() is None
    monkeypatch.setenv("SURGERY_PASSWORD", "")
    with pytest.raises(SystemExit, match="the password is empty"):
        options_of([])


def test_secrets_are_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was in the environment is taken out, and never is on the command line."""
    monkeypatch.setenv("SURGERY_PASSWORD", "correct horse")
    assert options_of([]).password == "correct horse"
    assert "SURGERY_PASSWORD" not in os.environ
    assert not any("password" in flag or "token" in flag for flag in _flags() if flag != "--password-file")


def _flags() -> list[str]:
    return [flag for action in parser()._actions for flag in action.option_strings]


def test_a_password_comes_from_a_file(tmp_path: Path) -> None:
    """Its first line; a file that is not there is named."""
    (tmp_path / "password").write_text("correct horse\n\n")
    assert options_of(["--password-file", str(tmp_path / "password")]).password == "correct horse"
    with pytest.raises(SystemExit, match="No such file"):
        options_of(["--password-file", str(tmp_path / "none")])


def test_places_are_where_they_are(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A model in a folder by its whole path, since visitors work elsewhere; other names stay names."""
    monkeypatch.chdir(folders["models"].parent)
    assert options_of(["models"]).model == str(folders["models"].resolve())
    assert options_of(["owner/name"]).model == "owner/name"
    assert options_of(["timm:resnet18"]).model == "timm:resnet18"


def test_what_it_was_started_with_may_be_opened(folders: dict[str, Path]) -> None:
    """Within a fence too, by place or by name, and no other."""
    base = Options(models=(str(folders["models"]),), out=str(folders["out"]))
    placed = replace(base, model=str(folders["out"].parent)).fence()
    named = replace(base, model="package:made").fence()
    assert placed is not None and folders["out"].parent.resolve() in placed.read
    assert named is not None and named.names == ("package:made",)


@pytest.mark.parametrize(
    ("host", "is_here"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("studio.localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("192.168.0.1", False),
        ("localhost.attacker.example", False),
    ],
)
def test_loopback_is_told_from_other_addresses(host: str, is_here: bool) -> None:
    """By address or name; what is not known counts as open."""
    assert is_loopback(host) is is_here


def test_base_urls_have_their_slashes() -> None:
    """However they are given; what is no path is refused."""
    assert {base_url_of(text) for text in ("studio", "/studio", "/studio/")} == {"/studio/"}
    assert base_url_of("/") == base_url_of("") == "/"
    for text in ("http://x/", "/a b/", "/a?b", "/(.*)/"):
        with pytest.raises(SystemExit, match="--base-url"):
            options_of(["--base-url", text])


def test_devices_are_known() -> None:
    """By their names; anything else is refused before a kernel starts."""
    assert options_of(["--device", "cuda:1"]).device == "cuda:1"
    with pytest.raises(SystemExit, match="--device"):
        options_of(["--device", "gpu"])
