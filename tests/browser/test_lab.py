"""The studio in a cell of JupyterLab: gestures and code see each other, its keys are not the notebook's."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.by_hand import SLOW, apply, block, plan_two, verb
from tools import chromium
from tools.lab import Lab

CELLS = (
    'import surgery\n\ns = surgery.open("demo")\ns.view()',
    "print(len(s.steps), 'steps')",
    's.remove("model.layers[0]")\nprint("cut in code")',
    "report = s.evaluate(0)\nprint('measured in code')",
)
NOTEBOOK = "jupyterapp.shell.currentWidget"
READY = f"{NOTEBOOK}.context.ready.then(() => {NOTEBOOK}.sessionContext.ready).then(() => null)"
KINDS = f"{NOTEBOOK}.content.widgets.map((cell) => cell.model.type + ' ' + cell.model.sharedModel.source)"
RUN = f"""(place) => {{
    {NOTEBOOK}.content.activeCellIndex = place;
    return jupyterapp.commands.execute('notebook:run-cell').then(() => null);
}}"""
THEME = "(theme) => jupyterapp.commands.execute('apputils:change-theme', { theme }).then(() => null)"
OUTSIDE = """(part) => {
    const [inner, outer] = [part, part.closest(".ms-studio")].map((box) => box.getBoundingClientRect());
    return ["left", "top"].some((side) => inner[side] < outer[side])
        || ["right", "bottom"].some((side) => inner[side] > outer[side]);
}"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab on a folder with one notebook, with settings and kernels of its own."""
    root = tmp_path_factory.mktemp("lab")
    folder = root / "work"
    folder.mkdir()
    write_notebook(folder / "studio.ipynb")
    with Lab(folder, root, {"HF_HUB_OFFLINE": "1"}) as lab:
        yield lab


@pytest.fixture
def notebook(page: Page, lab: Lab) -> Page:
    """The notebook with its first cell run and the studio in it drawn."""
    page.goto(lab.notebook("studio.ipynb"), wait_until="commit")
    page.locator(".jp-Notebook .jp-Cell .cm-content").first.wait_for(timeout=chromium.DRAWN_MS)
    page.evaluate(READY)
    page.locator(".jp-Cell .cm-content").first.click()
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(chromium.DRAWN, timeout=chromium.DRAWN_MS)
    return page


def write_notebook(path: Path) -> None:
    """A notebook of the cells above."""
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "id": f"cell-{place}",
            "execution_count": None,
            "metadata": {},
            "outputs": [],
            "source": source,
        }
        for place, source in enumerate(CELLS)
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    made = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(made), encoding="utf-8")


def ran(page: Page, place: int) -> Locator:
    """What a cell printed when it was run now."""
    page.evaluate(RUN, place)
    return page.locator(f'.jp-Cell[data-windowed-list-index="{place}"] .jp-OutputArea-output')


def test_gestures_and_code_see_each_other(notebook: Page) -> None:
    """Cut with its dry run, plan, measure, undo by hand; the next cell sees it, and is seen when it cuts."""
    page, figures = notebook, notebook.locator(".ms-figures")
    expect(figures).to_contain_text("1.51 M")
    block(page, "model.layers.3").click()
    verb(page, "Prune").click()
    expect(page.locator(".ms-dry")).to_contain_text('s.remove("model.layers[3]")', timeout=SLOW)
    apply(page, "remove")
    expect(figures).to_contain_text("1.36 M")
    expect(ran(page, 1)).to_have_text("1 steps\n", timeout=SLOW)

    plan_two(page)
    page.get_by_role("textbox", name="Seconds to spend").fill("1")
    both = page.get_by_role("button", name="Apply both and evaluate")
    expect(both).to_be_enabled(timeout=SLOW)
    both.click()
    expect(figures).to_contain_text("Perplexity", timeout=SLOW)
    expect(page.locator(".ms-area-chart .js-plotly-plot")).to_be_visible(timeout=SLOW)
    page.get_by_role("button", name="Undo").click()
    expect(figures).to_contain_text("1.21 M", timeout=SLOW)
    expect(ran(page, 1)).to_have_text("2 steps\n", timeout=SLOW)

    # And the other way round.
    block(page, "model.layers.5").click()
    expect(ran(page, 2)).to_have_text("cut in code\n", timeout=SLOW)
    expect(figures).to_contain_text("1.07 M", timeout=SLOW)
    expect(page.locator(".ms-history")).to_contain_text("remove layers[0]")
    expect(page.locator(".ms-inspector h2")).to_have_text("layers.4")  # the same block, by its name now
    expect(ran(page, 3)).to_have_text("measured in code\n", timeout=SLOW)
    expect(figures).to_contain_text("Perplexity", timeout=SLOW)

    # In a dark notebook it is dark, whatever the browser prefers.
    scheme = "(part) => getComputedStyle(part).colorScheme"
    assert page.locator(".ms-studio").evaluate(scheme) == "light"
    page.evaluate(THEME, "JupyterLab Dark")
    page.locator('body[data-jp-theme-light="false"]').wait_for(state="attached", timeout=SLOW)
    assert page.locator(".ms-studio").evaluate(scheme) == "dark"


def test_keys_and_menus_are_the_studios(notebook: Page) -> None:
    """No letter in the studio changes a cell, wherever it was pressed; menus and sheets lie within it."""
    page, cells = notebook, notebook.evaluate(KINDS)
    page.locator(".ms-history").get_by_text("History").click()  # no control: the panel has the focus
    for key in ("a", "b", "m", "y", "r", "x", "z", "d", "d", "0", "Escape", "Shift+m"):
        page.keyboard.press(key)
    block(page, "model.layers.3").click()
    for key in ("m", "b", "a", "t", "p", "Escape", "d", "d", "Enter", "Control+Shift+c"):
        page.keyboard.press(key)
    block(page, "model.layers.3").click()
    page.keyboard.press("p")
    apply(page, "remove")  # the pressed button is gone, and keys still mean the studio
    page.keyboard.press("d")
    page.keyboard.press("d")
    page.keyboard.press("Control+z")
    expect(page.locator(".ms-figures")).to_contain_text("1.51 M", timeout=SLOW)

    for key, name in (("Control+k", "All commands"), ("?", "Keys"), ("Control+o", "Open a model or script")):
        page.keyboard.press(key)
        sheet = page.get_by_role("dialog", name=name)
        expect(sheet).to_be_visible(timeout=SLOW)
        assert not sheet.evaluate(OUTSIDE), name
        page.keyboard.press("Escape")
        expect(sheet).to_have_count(0, timeout=SLOW)

    menu = page.get_by_role("menu", name="Operations on model.layers.9")
    block(page, "model.layers.9").click(button="right")
    expect(menu.get_by_role("menuitem", name="Remove")).to_be_visible(timeout=SLOW)
    assert not menu.evaluate(OUTSIDE)
    expect(page.locator(".lm-Menu:not(.lm-MenuBar-menu)")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(menu).to_have_count(0)
    assert page.evaluate(KINDS) == cells
    assert page.locator(".jp-Dialog").count() == 0
