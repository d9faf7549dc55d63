"""The studio as a person meets it: a real server, a real Chromium, and no way off this machine."""

import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect, sync_playwright

from tools import chromium
from tools.serve import SERVE, Studio

# Tests started in the background may have Ctrl-C ignored, and the servers they start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

expect.set_options(timeout=30_000)  # the usual five seconds are those of a machine with nothing else to do

RESULTS = Path(__file__).parents[2] / "test-results"
FAILED = pytest.StashKey[bool]()
JUPYTER_FOLDERS = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "HOME")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies here; without a Chromium skip it in one sentence, unless CI or the caller refuses to."""
    here = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    for item in here:
        item.add_marker("browser")
    if not here or chromium.find() is not None:
        return
    if os.environ.get("CI") == "true" or os.environ.get("SURGERY_REQUIRE_BROWSER") == "1":
        raise pytest.UsageError("No Chromium found, and this run may not do without. Try: install chromium.")
    reason = "no Chromium found: install one, or name it in SURGERY_CHROMIUM"
    for item in here:
        item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note whether the test failed, for the traces kept below."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


@pytest.fixture(scope="session")
def start_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Studio]]:
    """`start_studio(*arguments, **variables)`: a server in a folder and with Jupyter folders of its own.

    `variables` are of its environment. What was closed is kept for a second, unless they say otherwise.
    """
    started: list[Studio] = []

    def start(*arguments: str, **variables: str) -> Studio:
        root = tmp_path_factory.mktemp("studio")
        folder = root / "work"
        folder.mkdir()
        # What a careless or hostile folder may hold: none of it may run.
        for name in ("graph.py", "surgery.py", "voila.py", "jupyter_config.py"):
            (folder / name).write_text("raise SystemExit('a file of the working folder was run')\n")
        environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
        environment.pop("SURGERY_MODEL", None)
        environment |= {name: str(root / name.lower()) for name in JUPYTER_FOLDERS}
        environment |= variables
        # Pages that a test lost are given up after five minutes; meanwhile others come in.
        command = (*SERVE, "--keep", "1", "--visitors", "32", *arguments)
        started.append(Studio(command, folder=folder, environment=environment))
        return started[-1]

    yield start
    for studio in started:
        studio.stop()


@pytest.fixture(scope="session")
def studio(start_studio: Callable[..., Studio]) -> Studio:
    """The server that the tests share, open on the demonstration."""
    return start_studio()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for the session."""
    with sync_playwright() as playwright:
        browser = chromium.launch(playwright)
        yield browser
        browser.close()


def picture(page: Page, test: str, name: str = "page") -> None:
    """A screenshot for whoever reads about the failed test."""
    folder = RESULTS / test
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(Error):  # a page that is just closing
        page.screenshot(path=folder / f"{name}.png")


@pytest.fixture
def context(browser: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """A fresh context; the test fails if any request would have left this machine."""
    context = chromium.fresh(browser)
    left = chromium.guard(context)
    yield context
    if request.node.stash.get(FAILED, False):
        for number, page in enumerate(context.pages):
            picture(page, request.node.name, f"page-{number}")
    context.close()
    if left:
        pytest.fail(f"Requests to other hosts: {', '.join(left)}", pytrace=False)


@pytest.fixture
def console_errors() -> list[str]:
    """What the page complained of; `page` fails the test over it, so one that provokes errors clears it."""
    return []


@pytest.fixture
def page(context: BrowserContext, console_errors: list[str]) -> Iterator[Page]:
    """An empty page whose console errors and uncaught exceptions fail the test."""
    page = context.new_page()
    page.on("pageerror", lambda error: console_errors.append(str(error)))
    page.on("console", lambda said: console_errors.append(said.text) if said.type == "error" else None)
    yield page
    if console_errors:
        pytest.fail("The page's console: " + " | ".join(console_errors), pytrace=False)


@pytest.fixture
def studio_page(page: Page, studio: Studio, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The studio on the demonstration, drawn; closed as a person closes a tab, which ends its kernel."""
    # What tests before this one left unsaved is not offered to it.
    shutil.rmtree(Path(psutil.Process(studio.pid).cwd()).parent / "jupyter_data_dir", ignore_errors=True)
    page.goto(studio.url, wait_until="commit")
    page.wait_for_selector(chromium.DRAWN, timeout=chromium.DRAWN_MS)
    yield page
    if request.node.stash.get(FAILED, False):
        picture(page, request.node.name)  # now: once it is closed there is nothing to see
    if not page.is_closed():
        page.close(run_before_unload=True)
