"""What a person does on the studio's page, for the tests that do it."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tools import chromium

SLOW = 60_000
CANVAS = ".ms-canvas canvas"
TOLD = "document.querySelector('.ms-canvas .ms-tip b')?.innerText === wanted"
GRABS = "canvas.style.cursor === 'grab'"
# What hovers is said with the next picture. Within the page, since hundreds of places may be asked.
SEEK = """async (canvas, [places, wanted]) => {
    const box = canvas.getBoundingClientRect();
    for (const [x, y] of places) {
        if (x >= box.width || y >= box.height) continue;
        const at = { clientX: box.x + x, clientY: box.y + y, pointerType: "mouse", bubbles: true };
        canvas.dispatchEvent(new PointerEvent("pointermove", at));
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        if (%s) return [at.clientX, at.clientY];
    }
    return null;
}"""


def block(page: Page, path: str) -> Locator:
    """The outline's row of a module."""
    return page.locator(f'[role="treeitem"][data-path="{path}"]')


def verb(page: Page, name: str) -> Locator:
    """A verb of the inspector."""
    return page.get_by_role("toolbar", name="Operations").get_by_role("button", name=name, exact=True)


def apply(page: Page, operation: str) -> None:
    """Waits for the dry run, applies, and waits until the form is gone."""
    button = page.get_by_role("button", name=f"Apply {operation}")
    expect(button).to_be_enabled(timeout=SLOW)
    button.click()
    expect(button).to_have_count(0, timeout=SLOW)


def on_canvas(page: Page, path: str, rows: range) -> tuple[float, float]:
    """A place on the canvas whose hover tells about `path`, sought on these rows of pixels."""
    tip = page.locator(".ms-canvas .ms-tip b")
    columns = range(10, chromium.WINDOW["width"], 24)
    place = _hovered(page, [(x, y) for y in rows for x in columns], TOLD, path)
    assert place is not None, f"no place on the canvas shows {path}"
    page.mouse.move(*place)
    expect(tip.first).to_have_text(path)
    return place


def loose_end(page: Page, cell: tuple[float, float]) -> tuple[float, float]:
    """The end of a thread at a cell, above or below: there the pointer becomes a hand."""
    box = page.locator(CANVAS).first.bounding_box()
    assert box is not None
    x, y = int(cell[0] - box["x"]), int(cell[1] - box["y"])
    around = [(x + right, y + down) for down in range(-45, 45, 3) for right in range(-6, 48, 4)]
    place = _hovered(page, around, GRABS, "")
    assert place is not None, "no thread ends here"
    page.mouse.move(*place)
    return place


def _hovered(
    page: Page, places: list[tuple[int, int]], holds: str, wanted: str
) -> tuple[float, float] | None:
    """The first of the canvas's `places` where `holds` is true for a pointer there, on the page."""
    found = page.locator(CANVAS).first.evaluate(SEEK % holds, [places, wanted])
    return (float(found[0]), float(found[1])) if found else None


def save(page: Page, action: str, *, replace: bool = False) -> None:
    """Opens the Save popover and presses one of its rows."""
    page.get_by_role("button", name="Save", exact=False).first.click()
    popover = page.get_by_role("dialog", name="Save")
    if replace:
        popover.get_by_role("checkbox").check()
    popover.get_by_role("button", name=action).click()


def expect_selected(page: Page, *paths: str) -> None:
    """Waits until of the rows that are drawn just these are selected; the kernel says which."""
    rows = page.locator('[role="treeitem"][aria-selected="true"]')
    expect(rows).to_have_count(len(paths), timeout=SLOW)
    for place, path in enumerate(paths):
        expect(rows.nth(place)).to_have_attribute("data-path", path, timeout=SLOW)


def plan(page: Page, operation: str) -> None:
    """Adds the draft of an operation to what is pending."""
    expect(page.get_by_role("button", name=f"Apply {operation}")).to_be_enabled(timeout=SLOW)
    page.get_by_role("button", name="Add to pending").click()
    expect(page.get_by_role("button", name=f"Apply {operation}")).to_have_count(0, timeout=SLOW)


def plan_two(page: Page) -> None:
    """A removal and a tie are pending."""
    block(page, "model.layers.1").click()
    page.keyboard.press("p")
    plan(page, "remove")
    block(page, "model.layers.4").click()
    block(page, "model.layers.5").click(modifiers=["Control"])
    page.keyboard.press("t")
    plan(page, "tie")


def parent_on_shelf(page: Page, folder: Path) -> Locator:
    """The model with its first block scaled is saved in `folder`, and put beside the model: the shelf."""
    block(page, "model.layers.0").click()
    verb(page, "Adjust").click()
    page.get_by_role("toolbar", name="Ways to adjust").get_by_role("button", name="Scale").click()
    apply(page, "scale")
    page.get_by_role("button", name="Save", exact=False).first.click()
    popover = page.get_by_role("dialog", name="Save")
    popover.get_by_role("textbox", name="Model folder").fill("parent")
    if (folder / "parent").exists():
        popover.get_by_role("checkbox").check()
    popover.get_by_role("button", name="Save model").click()
    expect(page.locator(".ms-topbar")).to_contain_text("Model saved to parent", timeout=SLOW)
    assert (folder / "parent" / "config.json").is_file()
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Parents", exact=True).click()
    shelf = page.get_by_role("region", name="Parents")
    shelf.get_by_role("textbox").first.fill("parent")
    page.keyboard.press("Enter")
    expect(shelf.get_by_role("button", name=re.compile("Try"))).to_be_enabled(timeout=SLOW)
    return shelf
