"""Gestures of the studio, each as a person makes it: menus, keys, dragging, pending edits, states, files."""

import re
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.browser.by_hand import (
    SLOW,
    apply,
    block,
    expect_selected,
    on_canvas,
    parent_on_shelf,
    plan,
    plan_two,
)
from tests.browser.processes import kernels
from tests.tested import child_path
from tools.chromium import DRAWN, DRAWN_MS
from tools.serve import Studio

AXE = Path(__file__).parents[2] / "widgets" / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
SERIOUS = """async () => {
    const { violations } = await axe.run(document.querySelector(".ms-studio"));
    return violations.filter((found) => ["serious", "critical"].includes(found.impact))
        .map((found) => `${found.id}: ${found.nodes.map((node) => node.target.join(" ")).join(", ")}`);
}"""


def test_the_palette_runs_every_command_by_keyboard(studio_page: Page) -> None:
    """Ctrl-K, a few letters, Enter; what does not fit says why; `?` lists the keys, Escape closes."""
    page = studio_page
    block(page, "model.layers.3").click()
    page.keyboard.press("Control+k")
    palette = page.get_by_role("dialog", name="All commands")
    expect(palette.get_by_role("option", name="Remove")).to_be_visible()
    expect(palette.get_by_role("option", name="Swap select two blocks")).to_be_visible()
    page.keyboard.type("same role")
    page.keyboard.press("Enter")
    expect(palette).to_have_count(0)
    expect(page.locator(".ms-inspector h2")).to_have_text("10 blocks", timeout=SLOW)
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    expect(keys).to_contain_text("Zoom to the selection")
    page.keyboard.press("Escape")
    expect(keys).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.locator(".ms-inspector h2")).to_have_text("Nothing selected", timeout=SLOW)


def test_the_menu_at_a_node_offers_what_fits(studio_page: Page) -> None:
    """By the right button on the graph, and by Shift-F10 in the outline."""
    page = studio_page
    page.mouse.click(*on_canvas(page, "model.layers.4", range(120, 260, 30)), button="right")
    menu = page.get_by_role("menu")
    expect(menu.get_by_role("menuitem", name="Remove")).to_be_visible(timeout=SLOW)
    expect(menu.get_by_role("menuitem", name=re.compile("^Swap"))).to_have_count(0)
    menu.get_by_role("menuitem", name="Remove").click()
    expect(page.locator(".ms-dry")).to_contain_text('s.remove("model.layers[4]")', timeout=SLOW)
    block(page, "model.layers.2").click()
    page.keyboard.press("Shift+F10")
    expect(menu).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Escape")
    expect(menu).to_have_count(0)
    expect_selected(page, "model.layers.2")


def test_pending_edits_are_ghosts_until_they_are_applied(studio_page: Page) -> None:
    """Costed together, reordered by keys, dropped, applied and evaluated at once."""
    page, pending = studio_page, studio_page.get_by_role("region", name="Pending edits")
    plan_two(page)
    expect(pending).to_contain_text("−295 k together", timeout=SLOW)
    expect(block(page, "model.layers.1")).to_contain_text("will be removed")
    expect(page.locator(".ms-figures")).to_contain_text("1.51 M")
    steps = pending.locator(".ms-pending-step")
    steps.nth(1).focus()
    page.keyboard.press("Alt+ArrowUp")
    expect(steps.first).to_contain_text("tie", timeout=SLOW)
    page.get_by_role("textbox", name="Seconds to spend").fill("1")
    apply_both = pending.get_by_role("button", name="Apply both and evaluate")
    expect(apply_both).to_be_enabled(timeout=SLOW)
    apply_both.click()
    expect(pending).to_have_count(0, timeout=SLOW)
    expect(page.locator(".ms-figures")).to_contain_text("Perplexity", timeout=SLOW)
    expect(page.locator(".ms-history")).to_contain_text("remove layers[1]")


def test_a_block_is_dragged_onto_another(studio_page: Page) -> None:
    """The drop offers what fits both, at the place of the drop."""
    page = studio_page
    rows = range(120, 260, 30)
    start, end = on_canvas(page, "model.layers.2", rows), on_canvas(page, "model.layers.6", rows)
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(start[0] + 12, start[1] + 4)
    page.mouse.move(*end, steps=4)
    page.mouse.up()
    menu = page.get_by_role("menu")
    expect(menu.get_by_role("menuitem", name=re.compile("^Swap"))).to_be_visible(timeout=SLOW)
    menu.get_by_role("menuitem", name=re.compile("^Tie T")).click()
    line = 's.tie("model.layers[2]", to="model.layers.6")'
    expect(page.locator(".ms-dry")).to_contain_text(line, timeout=SLOW)


def test_states_are_named_compared_and_forgotten(studio_page: Page) -> None:
    """Side by side with the current one; the other branch can go."""
    page = studio_page
    block(page, "model.layers.3").click()
    page.keyboard.press("p")
    apply(page, "remove")
    rows = page.locator(".ms-states > li")
    rows.nth(1).hover()
    page.get_by_role("button", name="Name remove layers[3]").click()
    page.get_by_role("textbox", name="Name of the state").fill("shorter")
    page.keyboard.press("Enter")
    expect(rows.nth(1)).to_contain_text("shorter", timeout=SLOW)
    rows.nth(0).hover()
    page.get_by_role("button", name="Compare Original with the current state").click()
    view = page.get_by_role("region", name="Two states compared")
    expect(view).to_contain_text("Original → shorter", timeout=SLOW)
    expect(view).to_contain_text("model.layers.3")
    page.keyboard.press("Escape")
    expect(view).to_have_count(0, timeout=SLOW)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".ms-figures")).to_contain_text("1.51 M", timeout=SLOW)
    rows.nth(1).hover()
    page.get_by_role("button", name="Forget shorter").click()
    expect(rows).to_have_count(1, timeout=SLOW)


def test_another_model_and_what_a_killed_kernel_left(
    page: Page, studio: Studio, console_errors: list[str]
) -> None:
    """The file panel opens a demonstration; edits of a kernel that was killed are offered, and restored."""
    page.goto(studio.url, wait_until="commit")
    page.wait_for_selector(DRAWN, timeout=DRAWN_MS)
    page.keyboard.press("Control+o")
    files = page.get_by_role("dialog", name="Open a model or script")
    files.get_by_role("button", name="demo-cnn").click()
    expect(block(page, "stage1.1")).to_be_visible(timeout=SLOW)
    block(page, "stage1.1").click()
    page.keyboard.press("p")
    apply(page, "remove")
    expect(block(page, "stage1.2")).to_have_count(0)
    for kernel in (killed := kernels(studio)):
        kernel.kill()
    psutil.wait_procs(killed, 30)
    page.goto(studio.url, wait_until="commit")
    page.wait_for_selector(DRAWN, timeout=DRAWN_MS)
    console_errors.clear()  # the page that was left may have said that its kernel was gone
    page.keyboard.press("Control+o")
    files.get_by_role("button", name="demo-cnn").first.click()
    expect(page.locator(".ms-restore")).to_contain_text("remove stage1[1]", timeout=SLOW)
    page.get_by_role("button", name="Restore").click()
    expect(page.locator(".ms-topbar")).to_contain_text("1 step restored", timeout=SLOW)
    expect(block(page, "stage1.2")).to_have_count(0)
    page.close(run_before_unload=True)


def test_measures_are_taken_where_they_are_shown(studio_page: Page) -> None:
    """Tabs by arrow keys: layers compared, values of the selected module spread."""
    page, report = studio_page, studio_page.locator(".ms-report")
    block(page, "model.layers.3").click()
    page.keyboard.press("p")
    apply(page, "remove")
    page.get_by_role("tab", name="Layers").click()
    page.get_by_role("textbox", name="Seconds to spend").fill("1")
    report.get_by_role("button", name="Compare the layers").click()
    expect(report.locator(".ms-bars li")).to_have_count(9, timeout=SLOW)
    report.locator(".ms-bars li button").nth(5).click()
    expect(page.locator(".ms-inspector h2")).to_have_text("layers.5", timeout=SLOW)
    page.get_by_role("tab", name="Layers").press("ArrowRight")
    expect(report).to_contain_text("Weights of model.layers.5", timeout=SLOW)
    report.get_by_role("button", name="Show what it gives").click()
    expect(report).to_contain_text("What model.layers.5 gives", timeout=SLOW)


def test_the_parents_shelf_merges(studio_page: Page, studio: Studio) -> None:
    """A checkpoint beside the model, weighed, tried out and measured; nothing is saved."""
    page, folder = studio_page, Path(psutil.Process(studio.pid).cwd())
    shelf = parent_on_shelf(page, folder)
    attempt = shelf.get_by_role("button", name=re.compile("Try"))
    expect(attempt).to_be_enabled(timeout=SLOW)
    attempt.click()
    expect(page.locator(".ms-history")).to_contain_text("task_arithmetic", timeout=SLOW)
    expect(page.locator(".ms-figures")).to_contain_text("Perplexity", timeout=SLOW)


def test_names_are_text(start_studio: Callable[..., Studio], page: Page, tmp_path: Path) -> None:
    """A module called like an image tag is shown as it is called, and nothing of it runs."""
    name = "<img src=x onerror=ran()>"
    page.add_init_script("window.ran = () => { window.broken = true }")
    (tmp_path / "odd_names.py").write_text(
        "from torch import nn, ones\n"
        "def made():\n"
        f"    model = nn.Sequential(); model.add_module({name!r}, nn.Linear(2, 2))\n"
        "    return model, ones(1, 2)\n"
    )
    studio = start_studio("odd_names:made", PYTHONPATH=child_path(tmp_path))
    page.goto(studio.url, wait_until="commit")
    page.wait_for_selector(DRAWN, timeout=DRAWN_MS)
    row = page.locator('[role="treeitem"]').nth(1)
    expect(row).to_contain_text(name)
    row.click()
    page.keyboard.press("p")
    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog", name="All commands")).to_be_visible()
    assert page.locator(".ms-studio img").count() == 0 and page.evaluate("window.broken") is None
    page.close(run_before_unload=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(studio_page: Page, scheme: str) -> None:
    """In every main state of the studio, in both themes."""
    page = studio_page
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.add_script_tag(path=AXE)

    def check(state: str) -> None:
        assert page.evaluate(SERIOUS) == [], state

    check("open")
    block(page, "model.layers.3").click()
    page.keyboard.press("p")
    expect(page.get_by_role("button", name="Apply remove")).to_be_enabled(timeout=SLOW)
    check("form")
    plan(page, "remove")
    expect(page.get_by_role("button", name="Apply it and evaluate")).to_be_enabled(timeout=SLOW)
    check("pending")
    for keys, name in (("Control+k", "All commands"), ("?", "Keys"), ("Control+o", "Open a model or script")):
        page.keyboard.press(keys)
        expect(page.get_by_role("dialog", name=name)).to_be_visible(timeout=SLOW)
        check(name)
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog", name=name)).to_have_count(0, timeout=SLOW)
    page.get_by_role("button", name="Apply without evaluating").click()
    expect(page.locator(".ms-history")).to_contain_text("remove layers[3]", timeout=SLOW)
    page.locator(".ms-states > li").first.hover()
    page.get_by_role("button", name="Compare Original with the current state").click()
    expect(page.get_by_role("region", name="Two states compared")).to_be_visible(timeout=SLOW)
    check("compare")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Parents", exact=True).click()
    expect(page.get_by_role("region", name="Parents")).to_be_visible(timeout=SLOW)
    check("shelf")
    for tab in ("Costs", "Layers", "Values", "Speed"):
        page.get_by_role("tab", name=tab).click()
        check(tab)
    page.get_by_role("textbox", name="Seconds to spend").fill("1")
    page.get_by_role("button", name="Evaluate").click()
    expect(page.locator(".ms-area-chart .js-plotly-plot")).to_be_visible(timeout=SLOW)
    check("evaluated")
