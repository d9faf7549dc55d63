"""The main states of the studio as stories: what a person does until the page looks like that.

Each is a function of a page on which the demonstration is drawn; `STORIES` names them, and the pictures of
them. The order of the steps is part of a story.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, expect

from tools.gestures import SLOW_MS, apply, drafted, evaluate, open_model, row, select

Story = Callable[[Page, Path], None]


@dataclass(frozen=True)
class Picture:
    """A file name and how the page comes to look so."""

    name: str
    story: Story
    dark: bool = False
    in_all: bool = True
    """Whether it is made where none is named."""


def opened(page: Page, folder: Path) -> None:
    """As it is first met."""


def amid_work(page: Page, folder: Path) -> None:
    """For the README: cut, measured, a block opened, a tie prepared."""
    select(page, "model.layers.1")
    page.keyboard.press("p")
    apply(page, "remove")
    evaluate(page)
    row(page, "model.layers.4").dblclick()
    select(page, "model.layers.4", "model.layers.5")
    page.keyboard.press("t")
    drafted(page, "tie")


def selected(page: Page, folder: Path) -> None:
    """A block, and the dry run of its removal."""
    select(page, "model.layers.3")
    page.keyboard.press("p")
    drafted(page, "remove")


def charted(page: Page, folder: Path) -> None:
    """An operation whose form has a chart below its dry run, scrolled to."""
    select(page, "model.layers.3")
    page.get_by_role("button", name="Prune").click()
    page.get_by_role("button", name="Sparsify", exact=True).click()
    drafted(page, "sparsify")
    chart = page.locator(".ms-form-chart")
    chart.wait_for(timeout=SLOW_MS)
    chart.evaluate("chart => chart.scrollIntoView({ block: 'center' })")


def pending(page: Page, folder: Path) -> None:
    """Two edits planned."""
    select(page, "model.layers.1")
    page.keyboard.press("p")
    for operation in ("remove", "tie"):
        drafted(page, operation)
        page.get_by_role("button", name="Add to pending").click()
        expect(page.get_by_role("button", name=f"Apply {operation}")).to_have_count(0, timeout=SLOW_MS)
        if operation == "remove":
            select(page, "model.layers.4", "model.layers.5")
            page.keyboard.press("t")
    expect(page.get_by_role("region", name="Pending edits")).to_contain_text("together", timeout=SLOW_MS)
    expect(page.get_by_role("button", name="Apply both and evaluate")).to_be_enabled(timeout=SLOW_MS)


def palette(page: Page, folder: Path) -> None:
    """All commands for two blocks."""
    select(page, "model.layers.4", "model.layers.5")
    page.keyboard.press("Control+k")
    page.get_by_role("dialog", name="All commands").wait_for()


def evaluated(page: Page, folder: Path) -> None:
    """Three states measured on two branches."""
    for path, back in (("model.layers.3", True), ("model.layers.7", False), ("model.layers.1", False)):
        select(page, path)
        page.keyboard.press("p")
        apply(page, "remove")
        evaluate(page)
        if back:
            page.get_by_role("button", name="Undo").click()
            row(page, "model.layers.9").wait_for()
    page.keyboard.press("Escape")


def ties(page: Page, folder: Path) -> None:
    """Two pairs of tied blocks, and two tied matrices."""
    for one, other in (("2", "3"), ("5", "8")):
        select(page, f"model.layers.{one}", f"model.layers.{other}")
        page.keyboard.press("t")
        apply(page, "tie")
    select(page, "model.layers.5")


def block(page: Page, folder: Path) -> None:
    """One opened from inside."""
    row(page, "model.layers.4").dblclick()
    page.locator('.ms-crumbs [aria-current="location"]').get_by_text("4", exact=True).wait_for()


def compared(page: Page, folder: Path) -> None:
    """The original beside what two cuts and a tie made of it."""
    select(page, "model.layers.3")
    page.keyboard.press("p")
    apply(page, "remove")
    select(page, "model.layers.4", "model.layers.5")
    page.keyboard.press("t")
    apply(page, "tie")
    page.locator(".ms-states > li").first.hover()
    page.get_by_role("button", name="Compare Original with the current state").click()
    page.get_by_role("region", name="Two states compared").wait_for()


def parents(page: Page, folder: Path) -> None:
    """Two checkpoints beside the model, and what they would make of it."""
    for index, layer in enumerate(("model.layers.2", "model.layers.6"), 1):
        select(page, layer)
        verb = page.get_by_role("toolbar", name="Operations").get_by_role("button", name="Adjust", exact=True)
        verb.click()
        ways = page.get_by_role("toolbar", name="Ways to adjust")
        ways.get_by_role("button", name="Scale").click()
        page.get_by_role("textbox", name="Factor").fill("0.9")
        expect(page.locator(".ms-dry")).to_contain_text("factor=0.9", timeout=SLOW_MS)
        apply(page, "scale")
        page.get_by_role("button", name="Save", exact=False).first.click()
        popover = page.get_by_role("dialog", name="Save")
        popover.get_by_role("textbox", name="Model folder").fill(str(folder / f"parent-{index}"))
        popover.get_by_role("button", name="Save model").click()
        expect(page.locator(".ms-topbar")).to_contain_text("Model saved", timeout=SLOW_MS)
        page.get_by_role("button", name="Dismiss").click()
        page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Parents", exact=True).click()
    shelf = page.get_by_role("region", name="Parents")
    for index in (1, 2):
        if index > 1:
            shelf.get_by_role("button", name="Add").first.click()
        shelf.get_by_placeholder("folder, adapter folder").fill(str(folder / f"parent-{index}"))
        page.keyboard.press("Enter")
        shelf.get_by_role("group", name=f"Parent parent_{index}").wait_for(timeout=SLOW_MS)
    expect(shelf.get_by_role("button", name=re.compile("Try"))).to_be_enabled(timeout=SLOW_MS)
    expect(shelf).to_contain_text("of the norm", timeout=SLOW_MS)  # compared


def files(page: Page, folder: Path) -> None:
    """The file panel."""
    page.keyboard.press("Control+o")
    page.get_by_role("dialog", name="Open a model or script").wait_for()


def costs(page: Page, folder: Path) -> None:
    """What the removal of each block would cost."""
    page.get_by_role("button", name="What would each cost?").click()
    page.get_by_role("button", name="Best: remove").wait_for(timeout=SLOW_MS)
    page.get_by_role("tab", name="Costs").click()
    page.locator(".ms-report .ms-bars").wait_for(timeout=SLOW_MS)


def budget(page: Page, folder: Path) -> None:
    """Three edits of a plan, measured beside their band."""
    costs(page, folder)
    page.get_by_role("tab", name="Budget").click()
    slider = page.get_by_role("slider", name="How much to save")
    slider.wait_for(timeout=SLOW_MS)
    for _ in range(3):
        slider.press("ArrowRight")
    expect(page.locator(".ms-budget")).to_contain_text(re.compile(r"measured \d+\."), timeout=SLOW_MS)


def advised(page: Page, folder: Path) -> None:
    """How alike the blocks are, as an adviser has it."""
    page.get_by_role("tab", name="Advice").click()
    page.get_by_role("combobox", name="Adviser").select_option("similarity")
    page.get_by_role("button", name="Ask for similarity").click()
    page.locator(".ms-heat").wait_for(timeout=SLOW_MS)


def prompted(page: Page, folder: Path) -> None:
    """One prompt to both models, and which step is to blame for the first difference."""
    select(page, "model.layers.2")
    page.keyboard.press("p")
    apply(page, "remove")
    select(page, "model.layers.6", "model.layers.7")
    page.keyboard.press("t")
    apply(page, "tie")
    page.keyboard.press("q")
    bench = page.get_by_role("region", name="Prompt bench")
    bench.get_by_role("textbox", name="Prompt").fill("The with statement is used to")
    page.keyboard.press("Enter")
    expect(bench).to_contain_text("They part at position", timeout=SLOW_MS)
    bench.get_by_role("button", name=re.compile("the first difference")).first.click()
    bench.get_by_role("region", name="Blame of each step").wait_for(timeout=SLOW_MS)


def layers(page: Page, folder: Path) -> None:
    """Where the layers depart from the original."""
    select(page, "model.layers.3")
    page.keyboard.press("p")
    apply(page, "remove")
    page.get_by_role("tab", name="Layers").click()
    page.locator(".ms-report").get_by_role("button", name="Compare the layers").click()
    page.locator(".ms-report .ms-bars").wait_for(timeout=SLOW_MS)


def huge(page: Page, folder: Path) -> None:
    """A 70B decoder without weights, a block of it selected."""
    open_model(page, str(folder / "llama-70b"))
    row(page, "model.layers").wait_for(timeout=SLOW_MS)


def stages(page: Page, folder: Path) -> None:
    """An image classifier in stages."""
    open_model(page, "demo-cnn")


def encoder_decoder(page: Page, folder: Path) -> None:
    """Two strips and what goes across."""
    open_model(page, str(folder / "t5-small"))


STORIES = (
    Picture("studio-light", amid_work, in_all=False),
    Picture("studio-dark", amid_work, dark=True, in_all=False),
    Picture("open", opened),
    Picture("open-dark", opened, dark=True),
    Picture("selected", selected),
    Picture("chart", charted),
    Picture("chart-dark", charted, dark=True),
    Picture("pending", pending),
    Picture("palette", palette),
    Picture("evaluated", evaluated),
    Picture("evaluated-dark", evaluated, dark=True),
    Picture("ties", ties),
    Picture("block", block),
    Picture("compare", compared),
    Picture("parents", parents),
    Picture("files", files),
    Picture("costs", costs),
    Picture("budget", budget),
    Picture("advice", advised),
    Picture("prompt", prompted),
    Picture("prompt-dark", prompted, dark=True),
    Picture("layers", layers),
    Picture("skeleton-70b", huge),
    Picture("cnn", stages),
    Picture("encoder-decoder", encoder_decoder),
)
