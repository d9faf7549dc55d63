"""A server that others can use keeps to its folders, whatever its page is asked for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from surgery.demo import DECODER
from tests.browser.by_hand import SLOW
from tools.chromium import DRAWN, DRAWN_MS, fresh
from tools.serve import Studio

OUTSIDE = "outside the folders that may be"


@dataclass(frozen=True)
class Disk:
    """Folders of a server: `models` to read, `out` to write, and `secret`, which is neither."""

    models: Path
    out: Path
    secret: Path

    def content(self) -> dict[str, int]:
        """All that is outside `out`, and when it was changed."""
        places = [place for folder in (self.models, self.secret) for place in folder.rglob("*")]
        return {str(place): place.lstat().st_mtime_ns for place in sorted(places)}


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """The decoder inside and outside, a link that leads out, and scripts that name what is outside."""
    found = Disk(tmp_path / "models", tmp_path / "out", tmp_path / "secret")
    for folder in (found.models, found.out):
        folder.mkdir()
    shutil.copytree(DECODER, found.models / "mine")
    shutil.copytree(DECODER, found.secret)
    (found.models / "link").symlink_to(found.secret)
    for name, source in (("code", "os:getcwd"), ("stolen", str(found.secret))):
        base = {"source": source, "class": "LlamaForCausalLM", "fingerprint": None}
        script = {"format": "surgery-script", "version": 1, "base": base, "steps": []}
        (found.models / f"{name}.surgery.json").write_text(json.dumps(script))
    step = {"operation": "merge", "targets": {"select": "model.layers.1"}, "parents": [str(found.secret)]}
    base = {"source": str(found.models / "mine"), "class": "LlamaForCausalLM", "fingerprint": None}
    crafted = {"format": "surgery-script", "version": 1, "base": base, "steps": [step]}
    (found.models / "crafted.surgery.json").write_text(json.dumps(crafted))
    return found


def ask(page: Page, source: str) -> None:
    """Asks the file panel for a source by hand."""
    page.keyboard.press("Control+o")
    files = page.get_by_role("dialog", name="Open a model or script")
    files.get_by_label("Folder, script, hub id, or timm:NAME").fill(source)
    files.get_by_role("button", name="Open", exact=True).click()


def save(page: Page, row: str, action: str, place: str) -> None:
    """Asks for something to be saved at a place."""
    page.get_by_role("button", name="Save", exact=False).first.click()
    popover = page.get_by_role("dialog", name="Save")
    popover.get_by_role("textbox", name=row).fill(place)
    popover.get_by_role("button", name=action).click()


def refused(page: Page, *words: str) -> None:
    """The page says why not, in a sentence; then it is as it was."""
    told = page.locator(".ms-topbar").get_by_role("alert")
    for word in words:
        expect(told).to_contain_text(word, timeout=SLOW)
    expect(told).not_to_contain_text("Traceback")
    page.get_by_role("button", name="Dismiss").click()
    expect(told).to_have_count(0)


def test_nothing_outside_is_opened_or_written(
    page: Page, start_studio: Callable[..., Studio], disk: Disk
) -> None:
    """By path, dots, link, address, script, code or hub id; what is inside opens, evaluates and saves."""
    studio = start_studio("--models", str(disk.models), "--out", str(disk.out))
    before = disk.content()
    page.goto(studio.url, wait_until="commit")
    page.wait_for_selector(DRAWN, timeout=DRAWN_MS)
    for source in (
        str(disk.secret),
        f"{disk.models}/../secret",
        str(disk.models / "link"),
        "../secret",
        str(disk.models / "stolen.surgery.json"),
        str(disk.models / "crafted.surgery.json"),
        "/etc",
    ):
        ask(page, source)
        refused(page, OUTSIDE)
    ask(page, f"file://{disk.secret}")
    refused(page, "there is no such folder")
    for source, words in (("os:getcwd", "is code"), ("owner/model", "nothing is fetched from the hub")):
        ask(page, source)
        refused(page, words)
    ask(page, str(disk.models / "code.surgery.json"))
    refused(page, "factory, which is code")
    for place in (str(disk.secret / "new"), "../secret/new", str(disk.models / "new"), str(disk.out)):
        save(page, "Model folder", "Save model", place)
        refused(page, OUTSIDE)
    save(page, "Script", "Save script", str(disk.secret / "x.surgery.json"))
    refused(page, OUTSIDE)
    save(page, "Report, one page of HTML", "Save report", str(disk.models / "x.html"))
    refused(page, OUTSIDE)
    save(page, "Picture of the graph, SVG", "Save picture", "../x.svg")
    refused(page, OUTSIDE)
    assert disk.content() == before
    assert list(disk.out.iterdir()) == []

    ask(page, str(disk.models / "mine"))
    # Its name as the model's: a label that it is being opened has it too.
    expect(page.locator(".ms-topbar strong").first).to_have_text("mine", timeout=SLOW)
    page.get_by_role("button", name="Evaluate").click()
    expect(page.locator(".ms-figures")).to_contain_text("Perplexity", timeout=SLOW)
    save(page, "Model folder", "Save model", "kept")
    expect(page.locator(".ms-topbar")).to_contain_text("Model saved to kept", timeout=SLOW)
    assert (disk.out / "kept" / "config.json").is_file()
    assert disk.content() == before
    page.close(run_before_unload=True)


def test_only_the_folders_given_are_listed(
    page: Page, start_studio: Callable[..., Studio], disk: Disk
) -> None:
    """The file panel begins with them, shows nothing above them, and no link that leads out."""
    studio = start_studio("--models", str(disk.models), "--out", str(disk.out))
    page.goto(studio.url, wait_until="commit")
    page.wait_for_selector(DRAWN, timeout=DRAWN_MS)
    page.keyboard.press("Control+o")
    files = page.get_by_role("dialog", name="Open a model or script")
    listed = files.get_by_role("region", name="Folders")
    expect(listed.get_by_role("listitem")).to_have_count(2)
    listed.get_by_role("listitem").get_by_role("button", name="models").click()
    expect(listed.get_by_role("listitem").get_by_role("button", name="mine")).to_be_visible()
    expect(listed.get_by_role("button", name="link")).to_have_count(0)
    above = listed.locator(".ms-files-parts").get_by_role("button")
    expect(above).to_have_text(["Folders", "models"])
    above.first.click()
    expect(listed.get_by_role("listitem")).to_have_count(2)
    page.close(run_before_unload=True)


def test_what_one_visitor_left_another_is_not_offered(
    browser: Browser, start_studio: Callable[..., Studio], disk: Disk
) -> None:
    """Steps nobody saved, and models opened lately, are each visitor's own, and there when they return."""
    studio = start_studio("--models", str(disk.models), "--out", str(disk.out), "--keep", "0")
    contexts = [fresh(browser) for _ in range(2)]
    first, second = (context.new_page() for context in contexts)
    first.goto(studio.url, wait_until="commit")
    first.wait_for_selector(DRAWN, timeout=DRAWN_MS)
    ask(first, str(disk.models / "mine"))
    expect(first.locator(".ms-topbar")).to_contain_text("mine", timeout=SLOW)
    second.goto(studio.url, wait_until="commit")
    second.wait_for_selector(DRAWN, timeout=DRAWN_MS)
    second.keyboard.press("Control+o")
    lately = second.get_by_role("navigation", name="Opened lately")
    expect(lately.get_by_role("button", name="demo", exact=True)).to_be_visible()
    expect(lately.get_by_role("button", name="mine")).to_have_count(0)
    first.close(run_before_unload=True)
    again = contexts[0].new_page()
    again.goto(studio.url, wait_until="commit")
    again.wait_for_selector(DRAWN, timeout=DRAWN_MS)
    again.keyboard.press("Control+o")
    expect(
        again.get_by_role("navigation", name="Opened lately").get_by_role("button", name="mine")
    ).to_be_visible()
    for context in contexts:
        context.close()


def test_a_model_from_elsewhere_is_opened_for_the_one_who_starts_it(
    page: Page, start_studio: Callable[..., Studio], disk: Disk
) -> None:
    """What is named on the command line may lie outside the folders that visitors choose from."""
    empty = disk.out / "models"
    empty.mkdir()
    studio = start_studio(str(disk.secret), "--models", str(empty), "--out", str(disk.out), "--no-spare")
    page.goto(studio.url, wait_until="commit")
    page.wait_for_selector(DRAWN, timeout=DRAWN_MS)
    expect(page.locator(".ms-topbar")).to_contain_text("secret")
    ask(page, str(disk.models / "mine"))
    refused(page, OUTSIDE)
    page.close(run_before_unload=True)
