"""The server that carries the studio: who may ask it, what it loads, and what it leaves behind."""

import signal
import subprocess
import sys
from collections.abc import Callable

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.processes import kernels, mother, wait_until
from tests.browser.visitor import Visitor, message
from tools.chromium import DRAWN, DRAWN_MS, is_local
from tools.serve import SERVE, Studio


def test_no_page_without_the_token(studio: Studio) -> None:
    """Neither the bare address nor a wrong token gets the page."""
    assert studio.get("/") == 403
    assert studio.get("/?token=" + "x" * len(studio.token)) == 403


def test_no_page_for_another_host(studio: Studio) -> None:
    """A name that someone pointed at this machine is refused even with the token."""
    assert studio.get(f"/?token={studio.token}", headers={"Host": "attacker.example"}) == 403


def test_no_files_and_no_login(studio: Studio) -> None:
    """The working folder is not served, there is no password form, other paths do not exist."""
    token = f"?token={studio.token}"
    assert studio.get(f"/voila/files/graph.py{token}") == 404
    assert studio.get(f"/login{token}") == 404
    assert studio.get(f"/anything{token}") == 404


def test_refusal_says_what_to_do(page: Page, studio: Studio, console_errors: list[str]) -> None:
    """A person without the token reads where to find it."""
    page.goto(studio.url.split("?")[0])
    expect(page.get_by_role("alert")).to_contain_text("the one that the terminal printed")
    console_errors.clear()  # the browser notes the 403


def test_everything_comes_from_this_machine(page: Page, studio: Studio) -> None:
    """From opening to drawn, each request stays here, and the page's policy allows nothing else."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    answer = page.goto(studio.url, wait_until="commit")
    page.wait_for_selector(DRAWN, timeout=DRAWN_MS)
    assert len(asked) > 20
    assert [url for url in asked if not is_local(url)] == []
    assert answer is not None
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    page.close(run_before_unload=True)


def test_waits_calmly_then_fills_the_window(page: Page, studio: Studio) -> None:
    """A waiting line shows at once; then the studio has the whole window, without scroll bars."""
    page.goto(studio.url, wait_until="commit")
    expect(page.get_by_role("status")).to_contain_text("Model Surgery")
    page.wait_for_selector(DRAWN, timeout=DRAWN_MS)
    expect(page.locator("#ms-start")).to_have_count(0)
    cells = page.locator("#rendered_cells").bounding_box()
    assert cells == {"x": 0, "y": 0, "width": 1440, "height": 900}
    size = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    assert page.evaluate(size) == [1440, 900]
    page.close(run_before_unload=True)


def test_token_leaves_the_address(studio_page: Page, studio: Studio) -> None:
    """Once the cookie is set, the address and the history no longer hold the token."""
    assert studio.token not in studio_page.url
    assert studio_page.title() == "Model Surgery"


def test_theme_follows_the_browser(studio_page: Page) -> None:
    """Dark in a dark browser, light in a light one, changing while the page is open."""
    body = studio_page.locator("body")
    studio_page.emulate_media(color_scheme="dark")
    expect(body).to_have_attribute("data-jp-theme-light", "false")
    expect(body).to_have_css("background-color", "rgb(22, 22, 26)")
    studio_page.emulate_media(color_scheme="light")
    expect(body).to_have_attribute("data-jp-theme-light", "true")
    expect(body).to_have_css("background-color", "rgb(251, 251, 250)")


def test_closed_tab_leaves_no_kernel(context: BrowserContext, start_studio: Callable[..., Studio]) -> None:
    """Each page is one process of this very Python; closing the page ends it."""
    studio = start_studio("--no-spare")
    page = context.new_page()
    page.goto(studio.url, wait_until="commit")
    page.wait_for_selector(DRAWN, timeout=DRAWN_MS)
    (kernel,) = kernels(studio)
    assert kernel.cmdline()[0] == sys.executable
    page.close(run_before_unload=True)
    assert wait_until(lambda: kernels(studio) == [])


def test_ends_with_its_kernels(context: BrowserContext, start_studio: Callable[..., Studio]) -> None:
    """Ctrl-C ends the server without an error and takes all kernels along, open pages' and the spare one."""
    studio = start_studio()
    page = context.new_page()
    page.goto(studio.url, wait_until="commit")
    assert wait_until(lambda: len(kernels(studio)) == 2)
    both = kernels(studio)
    assert studio.stop(signal.SIGINT) == 0
    assert wait_until(lambda: not any(kernel.is_running() for kernel in both))
    assert "Traceback" not in "\n".join(studio.log)


def test_nothing_outlives_a_server_that_was_killed(start_studio: Callable[..., Studio]) -> None:
    """It could end nobody any more: the mother and her kernels see for themselves that it is gone."""
    studio = start_studio("--no-spare")
    Visitor(studio).enter()
    left = [mother(studio), *kernels(studio)]
    assert len(left) == 2
    studio.process.kill()
    assert wait_until(lambda: not any(process.is_running() for process in left))


def test_a_visitor_outlives_the_mother(start_studio: Callable[..., Studio]) -> None:
    """Whoever is in stays in; for the next there is another mother."""
    studio = start_studio("--no-spare")
    first, second = Visitor(studio), Visitor(studio)
    kernel = first.enter()
    before = mother(studio)
    before.kill()
    assert wait_until(lambda: not before.is_running())
    assert first.talk(kernel, message("kernel_info_request"), until="kernel_info_reply")
    second.enter()
    assert mother(studio).pid != before.pid and len(mother(studio).children()) == 1
    assert first.enter() == kernel
    assert first.leave(kernel) == 204
    assert studio.stop() == 0


def test_busy_port_is_named(studio: Studio) -> None:
    """Asking for a port that is taken is one sentence, not a traceback."""
    port = studio.url.split(":")[2].split("/")[0]
    said = subprocess.run([*SERVE[:-1], port], capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode == 1
    assert said.stderr.startswith(f"--port: cannot listen on 127.0.0.1:{port}")
    assert "Traceback" not in said.stderr


def test_model_that_cannot_be_opened_is_said(page: Page, start_studio: Callable[..., Studio]) -> None:
    """The refusal's own sentence on a calm card, and nothing of a notebook's machinery."""
    studio = start_studio("no/such/<b>folder</b>")
    page.goto(studio.url, wait_until="commit")
    card = page.get_by_role("alert")
    expect(card).to_contain_text("The model could not be opened", timeout=DRAWN_MS)
    expect(card).to_contain_text("no/such/<b>folder</b>: there is no such folder")
    expect(card).to_contain_text("surgery app")
    expect(page.locator("body")).not_to_contain_text("show_tracebacks")
    expect(page.locator("#ms-start")).to_have_count(0)
    box = card.locator("> div").bounding_box()
    assert box is not None
    assert abs(box["y"] + box["height"] / 2 - 450) < 40
    page.close(run_before_unload=True)
