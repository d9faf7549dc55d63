"""Who gets in, with a password, through a proxy or under another name; and what is said when it fails."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.browser.processes import wait_until
from tests.browser.proxy import passed_on
from tests.browser.visitor import Visitor, message
from tools.chromium import DRAWN, DRAWN_MS
from tools.serve import Studio
from widgets.panels import FAILED

PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def locked(start_studio: Callable[..., Studio], tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """A server with a password."""
    return start_studio("--no-spare", SURGERY_PASSWORD=PASSWORD)


def test_a_password_opens_the_studio(page: Page, locked: Studio, console_errors: list[str]) -> None:
    """The form comes first, a wrong one is said and asked again, the right one leads on."""
    assert "token" not in locked.url
    page.goto(locked.url)
    page.get_by_label("Password of this studio").fill("wrong")
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_role("alert")).to_contain_text("not the password")
    console_errors.clear()  # the browser notes the 401
    page.get_by_label("Password of this studio").fill(PASSWORD)
    page.get_by_role("button", name="Open").click(no_wait_after=True)
    page.wait_for_selector(DRAWN, timeout=DRAWN_MS)
    page.close(run_before_unload=True)


def test_a_password_is_all_that_opens_it(locked: Studio) -> None:
    """No token does, nor an empty one, and a form from another site is refused."""
    visitor = Visitor(locked)
    assert visitor.ask("GET", "/") == 302 and visitor.headers["location"] == "/login"
    assert visitor.ask("GET", "/?token=") == 302
    assert visitor.ask("GET", f"/?token={PASSWORD.replace(' ', '+')}") == 302
    assert visitor.ask("POST", "/login", {"password": PASSWORD}) == 403
    assert visitor.ask("GET", "/login") == 200
    form = {"password": PASSWORD, "_xsrf": visitor.cookies["_xsrf"]}
    assert visitor.ask("POST", "/login", form, Origin="http://attacker.example") in (403, 404)
    assert visitor.ask("POST", "/login", form) == 302
    assert visitor.ask("GET", "/healthz") == 200 and "visitors" in visitor.body


def test_a_hash_in_a_file_does_as_well(start_studio: Callable[..., Studio], tmp_path: Path) -> None:
    """The password itself need be nowhere on the server."""
    from jupyter_server.auth.security import passwd

    file = tmp_path / "password"
    file.write_text(passwd(PASSWORD) + "\n")
    visitor = Visitor(start_studio("--no-spare", "--password-file", str(file)))
    visitor.ask("GET", "/login")
    for said, status in (("wrong", 401), (PASSWORD, 302)):
        assert visitor.ask("POST", "/login", {"password": said, "_xsrf": visitor.cookies["_xsrf"]}) == status


def test_health_is_for_everybody(studio: Studio) -> None:
    """Without the token it says that it is well and no more; with it, how many are here."""
    stranger = Visitor(studio, host="10.0.0.7:8866")
    assert stranger.ask("GET", "/healthz") == 200
    assert stranger.body == '{"status": "ok"}'
    assert stranger.cookies == {}
    assert stranger.ask("GET", f"/healthz?token={studio.token}") == 200
    assert '"at_most": 32' in stranger.body


def test_cookies_are_out_of_reach(studio: Studio) -> None:
    """The visitor's cookie is hidden from scripts and not sent along from other sites."""
    visitor = Visitor(studio)
    visitor.ask("GET", f"/healthz?token={studio.token}")
    cookie = visitor.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie and "path=/" in cookie


def test_a_forged_cookie_is_nobody(studio: Studio) -> None:
    """A visitor's name without the server's signature is worth nothing."""
    visitor = Visitor(studio)
    visitor.ask("GET", f"/healthz?token={studio.token}")
    (name,) = (name for name in visitor.cookies if name.startswith("username"))
    visitor.cookies[name] = visitor.cookies[name][:-6] + "000000"
    assert visitor.ask("GET", "/") == 403


def test_the_studio_below_a_path_behind_a_proxy(
    page: Page, start_studio: Callable[..., Studio], tmp_path: Path
) -> None:
    """Pages, sockets, cookies and the farewell keep to the base URL; a reload still finds the session."""
    studio = start_studio("--no-spare", "--base-url", "/team/studio/")
    direct, query = studio.url.split("//")[1].split("/", 1)
    assert query.startswith("team/studio/?token=")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    with passed_on(direct) as address:
        page.goto(f"http://{address}/{query}", wait_until="commit")
        page.wait_for_selector(DRAWN, timeout=DRAWN_MS)
        page.get_by_role("treeitem", name="lm_head").click()
        page.reload(wait_until="commit")
        page.wait_for_selector(DRAWN, timeout=DRAWN_MS)
        assert page.url == f"http://{address}/team/studio/"
        cookies = page.context.cookies()
        assert {cookie["path"] for cookie in cookies} == {"/team/studio/"}
        inside = [url for url in asked if not url.startswith(("data:", "blob:"))]
        assert [url for url in inside if f"://{address}/team/studio/" not in url] == []
        assert any(url.startswith("ws://") for url in inside)
        page.close(run_before_unload=True)
        stranger = Visitor(studio)
        assert stranger.ask("GET", "/") == 404
        assert stranger.ask("GET", "/healthz") == 200
        assert stranger.ask("GET", "/team/studio/healthz") == 200
        assert wait_until(lambda: _visitors(studio) == 0)


def _visitors(studio: Studio) -> int:
    visitor = Visitor(studio)
    visitor.ask("GET", f"/team/studio/healthz?token={studio.token}")
    return int(json.loads(visitor.body)["visitors"])


def test_only_the_names_given_are_answered(start_studio: Callable[..., Studio], tmp_path: Path) -> None:
    """A name that a proxy has for it is let in, with folders given; any other is not."""
    for name in ("models", "out"):
        (tmp_path / name).mkdir()
    folders = ("--models", str(tmp_path / "models"), "--out", str(tmp_path / "out"))
    studio = start_studio("--no-spare", "--name", "studio.example", *folders)
    for host, status in (("studio.example", 404), ("attacker.example", 403)):
        visitor = Visitor(studio, host=host)
        assert visitor.ask("GET", f"/nothing?token={studio.token}") == status
        assert ("does not go by that name" in visitor.body) is (status == 403)


def test_a_failing_handler_says_a_sentence(start_studio: Callable[..., Studio]) -> None:
    """The page shows that it failed, the traceback is in the log alone, and the studio goes on."""
    studio = start_studio("--no-spare")
    visitor = Visitor(studio)
    kernel = visitor.enter()
    (*_, told) = visitor.talk(kernel, message("comm_info_request"), until="comm_info_reply")
    wrong = {"method": "custom", "content": {"type": "goto", "id": "no number"}}
    sent = [message("comm_msg", comm_id=comm, data=wrong) for comm in told["content"]["comms"]]
    heard = visitor.talk(kernel, *sent, until=lambda said: FAILED in json.dumps(said))
    assert "Traceback" not in json.dumps(heard) and "no number" not in json.dumps(heard)
    assert wait_until(lambda: "ValueError: invalid literal" in "\n".join(studio.log))
    assert "Traceback (most recent call last):" in studio.log
    assert visitor.talk(kernel, message("kernel_info_request"), until="kernel_info_reply")


def test_the_window_is_a_browser_with_a_profile_of_its_own(
    start_studio: Callable[..., Studio], tmp_path: Path
) -> None:
    """It shows the page alone; once a person closes it the server ends, and the profile is gone."""
    programs, told = tmp_path / "bin", tmp_path / "told"
    programs.mkdir()
    browser = programs / "chromium"
    browser.write_text(f'#!/bin/sh\necho "$@" > {told}.new\nmv {told}.new {told}\nexec sleep 600\n')
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    path = f"{programs}:{os.environ['PATH']}"
    studio = start_studio("--no-spare", "--window", PATH=path, TMPDIR=str(tmp_path))
    assert wait_until(told.is_file)
    words = told.read_text().split()
    assert f"--app={studio.url}" in words
    (profile,) = (word.partition("=")[2] for word in words if word.startswith("--user-data-dir="))
    assert Path(profile).is_dir()
    (window,) = (child for child in psutil.Process(studio.pid).children() if "sleep" in child.name())
    window.terminate()
    assert studio.process.wait(60) == 0
    assert not Path(profile).exists()


def test_a_message_is_answered_after_nonsense(studio: Studio) -> None:
    """What is no message ends the socket at most; the kernel answers the next."""
    visitor = Visitor(studio)
    kernel = visitor.enter()
    for nonsense in (b"", b"\xff" * 64, {"channel": "shell"}, {"channel": "none", **message("comm_msg")}):
        visitor.talk(kernel, nonsense)
    lost = message("comm_msg", comm_id="none", data={"method": "custom", "content": {"type": "?"}})
    assert visitor.talk(kernel, lost, message("kernel_info_request"), until="kernel_info_reply")
