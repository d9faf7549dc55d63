"""The whole story on the page: see, cut, tie, measure, undo, save; then replay it with no screen."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.browser.by_hand import SLOW, apply, block, on_canvas, save, verb
from tools.serve import Studio

PLOT_FITS = """() => {
    const find = (at) => document.querySelector(`.ms-area-chart${at}`);
    const [place, plot] = [find(""), find(" .nsewdrag")];
    return plot && plot.getBoundingClientRect().right <= place.getBoundingClientRect().right;
}"""


def test_first_cut(studio_page: Page, studio: Studio) -> None:
    """Every gesture shows real figures, and the script replays to the fingerprint the page showed."""
    page, folder = studio_page, Path(psutil.Process(studio.pid).cwd())
    figures, history = page.locator(".ms-figures"), page.locator(".ms-history")
    expect(figures).to_contain_text("1.51 M")

    # Cut a block: dry run first, nothing changed by it.
    block(page, "model.layers.3").click()
    verb(page, "Prune").click()
    dry_run = page.locator(".ms-dry")
    expect(dry_run).to_contain_text("−148 k (−9.8 %)", timeout=SLOW)
    expect(dry_run).to_contain_text('s.remove("model.layers[3]")')
    expect(block(page, "model.layers.9")).to_be_visible()
    apply(page, "remove")
    expect(figures).to_contain_text("1.36 M")
    expect(block(page, "model.layers.9")).to_have_count(0)

    # Tie two blocks, chosen with the keyboard's modifier and key.
    block(page, "model.layers.4").click()
    block(page, "model.layers.5").click(modifiers=["Control"])
    expect(page.locator(".ms-inspector")).to_contain_text("2 blocks")
    page.keyboard.press("t")
    apply(page, "tie")
    expect(figures).to_contain_text("1.21 M")

    # Measure.
    page.get_by_role("textbox", name="Seconds to spend").fill("1")
    page.get_by_role("button", name="Evaluate").click()
    report = page.locator(".ms-report")
    sentence = re.compile(
        r"perplexity 2\.\d+ → \d+\.\d+, \+\d+\.\d+ ± \d+\.\d+ \(95 % half-width of the paired change\), "
        r"agreement \d+ %, 1\.51 M → 1\.21 M parameters"
    )
    expect(report).to_contain_text(sentence, timeout=SLOW)
    expect(page.locator(".ms-area-chart .js-plotly-plot")).to_be_visible(timeout=SLOW)
    page.wait_for_function(PLOT_FITS, timeout=SLOW)

    # Undo, redo, untie, and one refusal on the way.
    page.get_by_role("button", name="Undo").click()
    expect(figures).to_contain_text("1.36 M")
    page.get_by_role("button", name="Redo").click()
    expect(figures).to_contain_text("1.21 M")
    block(page, "model.layers.5").click()
    verb(page, "Untie").click()
    apply(page, "untie")
    expect(figures).to_contain_text("1.36 M")
    expect(history).to_contain_text("untie")

    # Save both into the server's folder, and read the fingerprint the page shows.
    save(page, "Save script")
    script = page.locator(".ms-topbar").get_by_text("fingerprint blake3:")
    expect(script).to_be_visible(timeout=SLOW)
    shown = re.search(r"blake3:[0-9a-f]{64}", script.inner_text())
    assert shown is not None
    page.get_by_role("button", name="Dismiss").click()
    save(page, "Save model")
    expect(page.locator(".ms-topbar")).to_contain_text("Model saved to out", timeout=SLOW)
    expect(page.locator(".ms-topbar")).to_contain_text(f"fingerprint {shown[0]}")
    saved = json.loads((folder / "out" / "surgery.json").read_text(encoding="utf-8"))
    assert saved["fingerprint"] == shown[0]

    # Again into the same folder: refused, and the box that lets it is there.
    page.get_by_role("button", name="Dismiss").click()
    save(page, "Save model")
    expect(page.get_by_role("alert")).to_contain_text("exists and is not empty", timeout=SLOW)
    save(page, "Save model", replace=True)
    expect(page.locator(".ms-topbar")).to_contain_text("Model saved to out", timeout=SLOW)

    # No screen from here on.
    replayed = run(folder, "-m", "surgery.cli", "replay", "edits.surgery.json", "--out", "replayed")
    assert f"fingerprint {shown[0]}" in replayed
    for saved_in in ("out", "replayed"):
        printed = run(folder, "-c", f"import surgery; print(surgery.load({saved_in!r}))")
        assert "9 x LlamaDecoderLayer" in printed


def test_what_would_each_block_cost(studio_page: Page) -> None:
    """The strip gets colours and a legend, and the cheapest edit is one click from its dry run."""
    page = studio_page
    page.get_by_role("textbox", name="Seconds for all blocks").fill("1")
    page.get_by_role("button", name="What would each cost?").click()
    legend, best = page.locator(".ms-legend"), page.get_by_role("button", name="Best: remove layers.")
    expect(best).to_be_visible(timeout=SLOW)
    expect(legend).to_contain_text(re.compile(r"perplexity after remove\+\d+\.\d+\+\d+\.\d+"))
    best.click()
    expect(page.locator(".ms-dry")).to_contain_text("−148 k (−9.8 %)", timeout=SLOW)
    apply(page, "remove")
    expect(page.locator(".ms-figures")).to_contain_text("1.36 M")
    expect(page.get_by_role("button", name="What would each cost?")).to_be_visible()


def test_refusal_is_shown_and_changes_nothing(studio_page: Page) -> None:
    """A selector that matches nothing is said in the form; Apply stays out of reach; the model stays."""
    page = studio_page
    block(page, "model.layers.2").click()
    page.keyboard.press("p")
    field = page.get_by_role("textbox", name="Targets")
    expect(field).to_have_value("model.layers[2]", timeout=SLOW)
    field.fill("model.layers[42]")
    expect(page.locator(".ms-dry")).to_contain_text("matches nothing in this state", timeout=SLOW)
    expect(page.locator(".ms-dry")).to_contain_text("model.layers has 10 children, 0 to 9")
    expect(page.get_by_role("button", name="Apply remove")).to_be_disabled()
    expect(page.locator(".ms-figures")).to_contain_text("1.51 M")


def test_canvas_selects_and_opens(studio_page: Page) -> None:
    """Clicking a cell of the strip selects that block; a double click opens it, whole in view."""
    page = studio_page
    first = page.get_by_role("region", name="Things to try")
    expect(first).to_be_visible()
    place = on_canvas(page, "model.layers.4", range(120, 260, 30))
    page.mouse.click(*place)
    selected = page.locator('[role="treeitem"][aria-selected="true"]')
    expect(selected).to_have_attribute("data-path", "model.layers.4", timeout=SLOW)
    page.mouse.dblclick(*place)
    crumbs = page.locator(".ms-canvas .ms-crumbs")
    expect(crumbs.locator('[aria-current="location"]')).to_have_text("4", timeout=SLOW)
    expect(crumbs).to_have_text("model›layers›4")
    expect(first).to_have_count(0)
    page.wait_for_selector('.ms-canvas[data-settled="true"]')  # laid out, and slid into view
    for name in ("input_layernorm", "mlp.down_proj"):  # its left end and its right
        on_canvas(page, f"model.layers.4.{name}", range(300, 540, 14))


def test_search_marks_then_selects(studio_page: Page) -> None:
    """The box takes ends of paths and says so; Enter selects, and the form keeps its values."""
    page = studio_page
    block(page, "model.layers.2").click()
    verb(page, "Prune").click()
    page.get_by_role("toolbar", name="Ways to prune").get_by_role("button", name="Sparsify").click()
    page.get_by_role("textbox", name="Ratio").fill("0.1")
    expect(page.locator(".ms-dry")).to_contain_text("ratio=0.1", timeout=SLOW)
    box = page.locator(".ms-search input")
    box.fill("layers[8:10]")
    expect(page.locator(".ms-search")).to_contain_text("2 match", timeout=SLOW)
    expect(page.locator(".ms-search")).to_contain_text("read as **.layers[8:10]")
    expect(page.locator(".ms-inspector h2")).to_have_text("layers.2")
    box.press("Enter")
    expect(page.locator(".ms-inspector h2")).to_have_text("2 blocks", timeout=SLOW)
    expect(page.locator(".ms-dry")).to_contain_text(
        's.sparsify("model.layers[8:10]", ratio=0.1)', timeout=SLOW
    )


@pytest.mark.parametrize(("operation", "blocks"), [("tie", (4, 5)), ("attach", (4,))])
def test_whole_form_is_above_the_fold(studio_page: Page, operation: str, blocks: tuple[int, ...]) -> None:
    """At 1440 × 900 the Python line and Apply are seen without scrolling, and a field's help on focus."""
    page = studio_page
    for index, number in enumerate(blocks):
        block(page, f"model.layers.{number}").click(modifiers=["Control"] if index else [])
    expect(page.locator(".ms-inspector h2")).to_have_text("2 blocks" if len(blocks) > 1 else "layers.4")
    verb(page, operation.capitalize()).click()
    button = page.get_by_role("button", name=f"Apply {operation}")
    expect(button).to_be_enabled(timeout=SLOW)
    fold = page.locator(".ms-area-right").bounding_box()
    assert fold is not None
    for part in (page.locator(".ms-python"), button):
        box = part.bounding_box()
        assert box is not None and box["y"] + box["height"] <= fold["y"] + fold["height"]
    page.get_by_role("textbox", name="Targets").focus()
    expect(page.locator(".ms-about .ms-on")).to_contain_text("the ")
    expect(page.locator(".ms-about .ms-on b")).to_have_text("Targets")


def run(folder: Path, *arguments: str) -> str:
    """Runs Python in the studio's folder, as a person in a terminal would; standard output."""
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
