"""Visitors of one server: each has a kernel, nobody has another's, and nothing is left of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.processes import kernels, mother, wait_until
from tests.browser.visitor import Visitor, message
from tools.chromium import DRAWN, DRAWN_MS, fresh
from tools.serve import Studio

STATES = ".ms-history .ms-state"


@pytest.fixture(scope="module")
def served(start_studio: Callable[..., Studio]) -> Studio:
    """A server for several visitors, that keeps what was closed for long, and has no spare kernel."""
    return start_studio("--no-spare", "--keep", "60")


@pytest.fixture(scope="module")
def two(served: Studio) -> Iterator[tuple[Visitor, str, Visitor, str]]:
    """Two who came in, each with the id of their kernel."""
    first, second = Visitor(served), Visitor(served)
    yield first, first.enter(), second, second.enter()


def test_each_visitor_has_a_kernel(two: tuple[Visitor, str, Visitor, str], served: Studio) -> None:
    """Two are two processes; whoever comes again comes to the same."""
    first, one, second, other = two
    assert one != other
    assert len(kernels(served)) == 2
    assert first.enter() == one
    assert second.ask("GET", "/") == 200 and second.kernel() == other
    assert len(kernels(served)) == 2


def test_nobody_reaches_another_s_kernel(two: tuple[Visitor, str, Visitor, str], served: Studio) -> None:
    """Not by its id over REST, the socket or a farewell, with the token or without; and it lives on."""
    first, one, second, _ = two
    stranger = Visitor(served)
    for other in (second, stranger):
        for address in (f"/api/kernels/{one}", f"/api/kernels/{one}?token={served.token}"):
            assert other.ask("GET", address) == 403
            assert other.ask("DELETE", address, {"_xsrf": other.cookies.get("_xsrf", "")}) in (403, 405)
        assert other.talk(one, message("kernel_info_request"), until="kernel_info_reply") == 403
        assert other.leave(one) == 403
        other.cookies = {key: value for key, value in other.cookies.items() if key != "_xsrf"}
        assert other.ask("POST", f"/voila/api/shutdown/{one}?token={served.token}", {}) == 403
    assert first.ask("GET", f"/api/kernels/{one}") == 200
    assert first.talk(one, message("kernel_info_request"), until="kernel_info_reply")


def test_an_unknown_kernel_is_refused_alike(two: tuple[Visitor, str, Visitor, str]) -> None:
    """Whether an id exists is not to be found out."""
    first, _, _, other = two
    unknown = "00000000-0000-0000-0000-000000000000"
    assert first.ask("GET", f"/api/kernels/{other}") == first.ask("GET", f"/api/kernels/{unknown}") == 403


def test_nothing_is_listed_or_started(two: tuple[Visitor, str, Visitor, str]) -> None:
    """There is no list of kernels, no way to start, interrupt or end one by hand, no files, no contents."""
    first, one, _, _ = two
    for method, path in (
        ("GET", "/api/kernels"),
        ("POST", "/api/kernels"),
        ("POST", f"/api/kernels/{one}/interrupt"),
        ("DELETE", f"/api/kernels/{one}"),
        ("GET", "/api/contents"),
        ("GET", "/voila/files/graph.py"),
        ("GET", "/api/terminals"),
    ):
        form = {"_xsrf": first.cookies["_xsrf"]} if method != "GET" else None
        assert first.ask(method, path, form) in (403, 404, 405)
    assert first.ask("GET", f"/api/kernels/{one}") == 200


def test_a_page_runs_no_code(two: tuple[Visitor, str, Visitor, str], tmp_path: Path) -> None:
    """Messages that run code, or end the kernel, are not passed on, on no channel."""
    first, one, _, _ = two
    place = tmp_path / "ran"
    code = f"open({str(place)!r}, 'w').close()"
    asks = [
        {**message("execute_request", code=code, silent=False), "channel": channel}
        for channel in ("shell", "control", "stdin")
    ]
    ends = {**message("shutdown_request", restart=False), "channel": "control"}
    answers = first.talk(one, *asks, ends, message("kernel_info_request"), until="kernel_info_reply")
    assert "execute_reply" not in {answer["header"]["msg_type"] for answer in answers}
    assert not place.exists()
    assert first.talk(one, message("kernel_info_request"), until="kernel_info_reply")


def test_a_message_beyond_the_limit_is_not_read(start_studio: Callable[..., Studio]) -> None:
    """The socket is closed, the kernel goes on; a long request is refused before it is read."""
    studio = start_studio("--no-spare", "--upload-limit", "1")
    visitor = Visitor(studio)
    kernel = visitor.enter()
    assert visitor.talk(kernel, b"x" * 2_000_000, until="kernel_info_reply") == "closed"
    assert visitor.talk(kernel, message("kernel_info_request"), until="kernel_info_reply")
    long = {"_xsrf": visitor.cookies["_xsrf"], "more": "x" * 100_000}
    with contextlib.suppress(OSError):  # cut off while it is still sent
        assert visitor.ask("POST", f"/voila/api/shutdown/{kernel}", long) in (400, 413)
    assert visitor.ask("GET", f"/api/kernels/{kernel}") == 200


def edit(page: Page) -> None:
    """Removes block 1, as a person does."""
    page.locator('[role="treeitem"][data-path="model.layers.1"]').click()
    page.keyboard.press("p")
    button = page.get_by_role("button", name="Apply remove")
    button.and_(page.locator(":enabled")).click(timeout=DRAWN_MS)
    button.wait_for(state="detached")
    expect(page.locator(STATES)).to_have_count(2)


def drawn(page: Page, url: str) -> None:
    """The page is there, with its graph."""
    page.goto(url, wait_until="commit")
    page.wait_for_selector(DRAWN, timeout=DRAWN_MS)


def test_a_reload_finds_the_session_as_it_was(
    context: BrowserContext, start_studio: Callable[..., Studio]
) -> None:
    """The same kernel, the edit still there; another tab of this browser shows it too, and it can go on."""
    studio = start_studio("--no-spare")
    page = context.new_page()
    drawn(page, studio.url)
    edit(page)
    (kernel,) = kernels(studio)
    page.reload(wait_until="commit")
    page.wait_for_selector(DRAWN, timeout=DRAWN_MS)
    expect(page.locator(STATES)).to_have_count(2)
    tab = context.new_page()
    drawn(tab, studio.url.split("?")[0])
    tab.get_by_role("button", name="Undo").click()
    expect(page.locator(f"{STATES}.ms-current")).to_contain_text("Original")
    assert [one.pid for one in kernels(studio)] == [kernel.pid]
    tab.close(run_before_unload=True)
    page.get_by_role("button", name="Redo").click()
    expect(page.locator(f"{STATES}.ms-current")).to_contain_text("remove")
    page.close(run_before_unload=True)
    assert wait_until(lambda: not kernel.is_running())


def test_two_browsers_are_two_visitors(browser: Browser, start_studio: Callable[..., Studio]) -> None:
    """What one edits the other does not see."""
    studio = start_studio("--visitors", "2")
    one, other = fresh(browser), fresh(browser)
    page, second = one.new_page(), other.new_page()
    drawn(page, studio.url)
    edit(page)
    drawn(second, studio.url)
    expect(second.locator(STATES)).to_have_count(1)
    expect(page.locator(STATES)).to_have_count(2)
    third = fresh(browser)
    answer = (full := third.new_page()).goto(studio.url)
    assert answer is not None and answer.status == 503
    expect(full.get_by_role("status")).to_contain_text("serves 2 visitors at a time")
    one.close()
    other.close()
    third.close()


def test_a_place_becomes_free(start_studio: Callable[..., Studio]) -> None:
    """Beyond the limit there is a page that says so; whoever closed the page makes room at once."""
    studio = start_studio("--no-spare", "--visitors", "1", "--keep", "600")
    first, second = Visitor(studio), Visitor(studio)
    kernel = first.enter()
    assert first.talk(kernel, message("kernel_info_request"), until="kernel_info_reply")
    assert second.ask("GET", f"/?token={studio.token}") == 503
    assert "serves one visitor at a time" in second.body
    assert second.headers["retry-after"]
    assert first.enter() == kernel
    assert first.talk(kernel, message("kernel_info_request"), until="kernel_info_reply")
    assert first.leave(kernel) == 204
    assert second.enter() != kernel
    assert first.ask("GET", "/") == 503


def test_pages_that_load_at_once_do_not_wait_for_each_other(start_studio: Callable[..., Studio]) -> None:
    """Three tabs of one browser, while the spare kernel that they get is still being made ready."""
    studio = start_studio()
    visitors = [Visitor(studio) for _ in range(3)]
    visitors[0].ask("GET", f"/healthz?token={studio.token}")
    for visitor in visitors:
        visitor.cookies = dict(visitors[0].cookies)
    with ThreadPoolExecutor(3) as tabs:
        assert len(set(tabs.map(Visitor.enter, visitors))) == 1
    assert all("application/vnd.jupyter.widget-view+json" in visitor.body for visitor in visitors)


def test_an_idle_kernel_is_culled(start_studio: Callable[..., Studio]) -> None:
    """A page that went without a word loses its kernel after a while; the spare one stays."""
    studio = start_studio("--idle", "0.05", "--keep", "600")
    visitor = Visitor(studio)
    kernel = visitor.enter()
    assert visitor.talk(kernel, message("kernel_info_request"), until="kernel_info_reply")
    assert wait_until(lambda: visitor.ask("GET", f"/api/kernels/{kernel}") == 403)
    assert wait_until(lambda: len(kernels(studio)) <= 1)
    assert visitor.enter() != kernel


def test_visitors_leave_nothing_behind(start_studio: Callable[..., Studio], tmp_path: Path) -> None:
    """Twenty come one after another: no process stays, and no file, while it runs or after."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    studio = start_studio("--no-spare", "--keep", "0", "--visitors", "3", TMPDIR=str(temporary))
    server = psutil.Process(studio.pid)

    def left() -> list[str]:
        return [place.name for place in temporary.rglob("*")]

    handles, places = server.num_fds(), None
    for _ in range(20):
        visitor = Visitor(studio)
        kernel = visitor.enter()
        assert visitor.talk(kernel, message("kernel_info_request"), until="kernel_info_reply")
        assert visitor.leave(kernel) == 204
        if places is None:  # once the mother has imported everything
            assert wait_until(lambda: kernels(studio) == [])
            assert wait_until(lambda: not [place for place in left() if place.startswith("room-")])
            places = left()
    assert wait_until(lambda: server.children(recursive=True) == [mother(studio)])
    assert mother(studio).children() == []
    assert wait_until(lambda: sorted(left()) == sorted(places))
    assert server.num_fds() <= handles + 20
    assert studio.stop() == 0
    assert left() == []
    assert not [name for name in os.listdir("/tmp") if name.startswith("voila_") and _is_of(name, studio)]


def _is_of(name: str, studio: Studio) -> bool:
    """Whether a folder of sockets was made by this server: nobody has touched it since it ended."""
    return any(str(studio.pid) in file for file in os.listdir(f"/tmp/{name}"))
