"""What is dragged, kept by a name, and downloaded."""

from pathlib import Path

import psutil
from playwright.sync_api import Locator, Page, expect

from tests.browser.by_hand import (
    SLOW,
    block,
    expect_selected,
    loose_end,
    on_canvas,
    parent_on_shelf,
    plan_two,
)
from tools.serve import Studio

ROWS = range(120, 260, 30)
"""Pixels below the canvas's top among which the strip of blocks lies."""


def onto(page: Page, card: Locator, place: tuple[float, float]) -> None:
    """Drags a card from its panel to a place on the canvas, as the browser's own drag and drop."""
    canvas = page.locator(".ms-canvas canvas").first
    box = canvas.bounding_box()
    assert box is not None
    card.drag_to(canvas, target_position={"x": place[0] - box["x"], "y": place[1] - box["y"]})


def test_a_parents_block_is_dragged_into_the_model(studio_page: Page, studio: Studio) -> None:
    """It takes its own place, with a dry run; over another block it is refused in a sentence."""
    page = studio_page
    shelf = parent_on_shelf(page, Path(psutil.Process(studio.pid).cwd()))
    cell = shelf.get_by_role("button", name="model.layers.2 of parent")
    onto(page, cell, on_canvas(page, "model.layers.4", ROWS))
    expect(page.locator(".ms-topbar")).to_contain_text("takes the place that it has there", timeout=SLOW)
    page.get_by_role("button", name="Dismiss").click()
    onto(page, cell, on_canvas(page, "model.layers.2", ROWS))
    expect(page.locator(".ms-dry")).to_contain_text(
        's.soup("model.layers[2]", parents=["parent=', timeout=SLOW
    )


def test_a_new_adapter_is_dragged_onto_a_module(studio_page: Page) -> None:
    """Its form opens for that module; pressed instead, it goes to the one that is selected."""
    page, inner = studio_page, "model.layers.3.mlp.up_proj"
    page.mouse.dblclick(*on_canvas(page, "model.layers.3", ROWS))
    page.get_by_role("button", name="Parents", exact=True).click()
    page.wait_for_selector('.ms-canvas[data-settled="true"]')
    card = page.get_by_role("region", name="Parents").get_by_role("button", name="LoRA")
    onto(page, card, on_canvas(page, inner, range(160, 440, 12)))
    line = 's.attach("model.layers.3.mlp.up_proj")'
    expect(page.locator(".ms-dry")).to_contain_text(line, timeout=SLOW)
    page.keyboard.press("Escape")
    expect(page.locator(".ms-dry")).to_have_count(0, timeout=SLOW)
    onto(page, card, on_canvas(page, "model.norm", range(90, 260, 12)))
    expect(page.locator(".ms-topbar")).to_contain_text("model.norm: ", timeout=SLOW)
    page.get_by_role("button", name="Dismiss").click()
    page.keyboard.press("Escape")
    expect(page.locator(".ms-inspector h2")).to_have_text("Nothing selected", timeout=SLOW)
    card.click()
    expect(page.locator(".ms-topbar")).to_contain_text("a card needs one place", timeout=SLOW)
    block(page, "model.layers.3").press("ArrowRight")
    block(page, "model.layers.3.mlp").press("ArrowRight")
    block(page, inner).click()
    card.click()
    expect(page.locator(".ms-dry")).to_contain_text(line, timeout=SLOW)


def test_pending_edits_are_reordered_by_mouse(studio_page: Page) -> None:
    """One is dragged onto another's place."""
    plan_two(studio_page)
    steps = studio_page.get_by_role("region", name="Pending edits").locator("li")
    expect(steps.first).to_contain_text("remove")
    steps.nth(1).drag_to(steps.first)
    expect(steps.first).to_contain_text("tie", timeout=SLOW)


def test_selections_are_kept_by_a_name(studio_page: Page) -> None:
    """They follow their modules through an edit, are recalled, and forgotten."""
    page, kept = studio_page, studio_page.get_by_role("toolbar", name="Kept selections")
    block(page, "model.layers.5").click()
    block(page, "model.layers.7").click(modifiers=["Control"])
    kept.get_by_role("button", name="Keep these 2").click()
    kept.get_by_role("textbox", name="Name of the selection").fill("late")
    page.keyboard.press("Enter")
    recall = kept.get_by_role("button", name="late 2")
    expect(recall).to_be_visible(timeout=SLOW)
    block(page, "model.layers.0").click()
    page.keyboard.press("p")
    page.get_by_role("button", name="Apply remove").click(timeout=SLOW)
    expect(page.locator(".ms-figures")).to_contain_text("1.36 M", timeout=SLOW)
    recall.click()
    expect(page.locator(".ms-inspector h2")).to_have_text("2 blocks", timeout=SLOW)
    expect_selected(page, "model.layers.4", "model.layers.6")
    kept.get_by_role("button", name="Forget late").click()
    expect(recall).to_have_count(0, timeout=SLOW)


def test_a_frame_selects_and_keys_turn_it_round(studio_page: Page) -> None:
    """Shift and a drag select what the frame holds; the palette inverts it among its like."""
    page = studio_page
    start, end = on_canvas(page, "model.layers.2", ROWS), on_canvas(page, "model.layers.4", ROWS)
    page.keyboard.down("Shift")
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(end[0], end[1] + 4, steps=5)
    page.mouse.up()
    page.keyboard.up("Shift")
    expect(page.locator(".ms-inspector h2")).to_have_text("3 blocks", timeout=SLOW)
    expect_selected(page, *(f"model.layers.{number}" for number in (2, 3, 4)))
    page.keyboard.press("Control+k")
    page.keyboard.type("invert")
    page.keyboard.press("Enter")
    expect(page.locator(".ms-inspector h2")).to_have_text("7 blocks", timeout=SLOW)


def test_a_ties_end_is_dragged_off(studio_page: Page) -> None:
    """The module at that end gets parameters of its own, after a dry run."""
    page = studio_page
    block(page, "model.layers.4").click()
    block(page, "model.layers.5").click(modifiers=["Control"])
    page.keyboard.press("t")
    page.get_by_role("button", name="Apply tie").click(timeout=SLOW)
    expect(page.locator(".ms-figures")).to_contain_text("1.36 M", timeout=SLOW)
    page.wait_for_selector('.ms-canvas[data-settled="true"]')
    x, y = loose_end(page, on_canvas(page, "model.layers.5", ROWS))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 10, y + 60, steps=4)
    page.mouse.up()
    expect(page.locator(".ms-dry")).to_contain_text('s.untie("model.layers[5]")', timeout=SLOW)
    page.get_by_role("button", name="Apply untie").click(timeout=SLOW)
    expect(page.locator(".ms-figures")).to_contain_text("1.51 M", timeout=SLOW)


def test_the_picture_is_downloaded(studio_page: Page) -> None:
    """As a PNG with the whole graph, whatever is in view."""
    page = studio_page
    page.get_by_role("button", name="Save", exact=False).first.click()
    with page.expect_download(timeout=SLOW) as download:
        page.get_by_role("dialog", name="Save").get_by_role("button", name="Download the picture").click()
    written = Path(download.value.path()).read_bytes()
    assert download.value.suggested_filename.endswith(".png")
    assert written.startswith(b"\x89PNG") and len(written) > 10_000
