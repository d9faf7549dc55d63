"""The studio as a tab of JupyterLab: from launcher, files and notebooks; its kernel outlives a reload."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Request, expect

import surgery
from surgery.demo import FOLDERS
from tests.browser.by_hand import SLOW, apply, block, verb
from tests.browser.test_lab import OUTSIDE, THEME
from tools import chromium
from tools.lab import Lab

CELL = """\
import torch
from transformers import AutoModelForCausalLM

net = AutoModelForCausalLM.from_pretrained("llama")
head = torch.nn.Linear(3, 2)"""
CODE = ('s.remove("model.layers[0]")\nprint("cut in code")', 'print(len(s.steps), "steps")')
OPEN_TABS = "() => [...jupyterapp.shell.widgets('main')].map((tab) => tab.title.label)"
SESSIONS = "() => fetch('/api/sessions').then((reply) => reply.json())"
GONE = """() => fetch('/api/sessions').then((reply) => reply.json())
    .then((all) => !all.some(({ path }) => path.includes('model-surgery')))"""
KEPT = """(tabs) => fetch('/lab/api/workspaces').then((reply) => reply.json()).then(({ workspaces }) =>
    workspaces.values.map(({ data }) => (data['layout-restorer:data']?.main?.dock?.widgets ?? []).join(' '))
    .some((kept) => tabs.every((tab) => kept.includes(tab))))"""
RUN = """(place) => {
    const notebook = [...jupyterapp.shell.widgets('main')].find((tab) => tab.context?.path === 'net.ipynb');
    notebook.content.activeCellIndex = place;
    jupyterapp.shell.activateById(notebook.id);
    return jupyterapp.commands.execute('notebook:run-cell').then(() => null);
}"""
END = "() => jupyterapp.serviceManager.sessions.shutdownAll().then(() => null)"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab on a folder with a model, a script, a notebook and a folder of something else."""
    root = tmp_path_factory.mktemp("lab")
    folder = root / "work"
    shutil.copytree(FOLDERS["demo"], folder / "llama")
    (folder / "llama" / "torch.py").write_text("raise SystemExit('a file of the model folder was run')\n")
    (folder / "notes").mkdir()
    session = surgery.open("demo")
    session.remove("model.layers[3]")
    session.script.write(folder / "cut.surgery.json")
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    cells: list[dict[str, Any]] = [
        {"cell_type": "code", "id": f"cell-{place}", "source": source, "metadata": {}}
        | {"execution_count": None, "outputs": []}
        for place, source in enumerate((CELL, *CODE))
    ]
    made = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "net.ipynb").write_text(json.dumps(made), encoding="utf-8")
    settings = root / "settings" / "model-surgery" / "plugin.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text('{"budget": 1, "device": "cpu"}')
    with Lab(folder, root, {"HF_HUB_OFFLINE": "1"}) as lab:
        yield lab


@pytest.fixture
def desk(page: Page, lab: Lab, console_errors: list[str]) -> Iterator[Page]:
    """JupyterLab with its launcher and nothing else; kernels end with the test."""
    page.goto(lab.url.replace("/lab?", "/lab?reset&"), wait_until="commit")
    page.locator(".jp-LauncherCard").first.wait_for(timeout=chromium.DRAWN_MS)
    yield page
    page.evaluate(END)
    # JupyterLab's own, where a page or kernel goes while a notebook's debugger is asked how it is.
    console_errors[:] = [error for error in console_errors if "debugger state" not in error]


def drawn(page: Page) -> Locator:
    """Waits for the studio of the tab in front; the tab's content."""
    shown = page.locator(".lm-DockPanel-widget:not(.lm-mod-hidden) .ms-lab")
    shown.locator(chromium.DRAWN).wait_for(timeout=chromium.DRAWN_MS)
    expect(shown).to_have_attribute("data-state", "shown", timeout=SLOW)
    return shown


def tab(page: Page, label: str) -> Locator:
    """The handle of a tab."""
    return page.locator(".lm-DockPanel-tabBar .lm-TabBar-tab").filter(has=page.get_by_text(label, exact=True))


def status(page: Page) -> Locator:
    """The word for the kernel of the tab in front."""
    return page.locator(".lm-DockPanel-widget:not(.lm-mod-hidden) .ms-lab-status")


def reload(page: Page, label: str, *tabs: str) -> None:
    """Loads the page anew, once its layout is kept with these tabs; then brings one to the front."""
    page.wait_for_function(KEPT, arg=list(tabs), timeout=SLOW)
    page.reload(wait_until="commit")
    page.wait_for_function("() => globalThis.jupyterapp !== undefined", timeout=SLOW)
    page.evaluate("() => jupyterapp.restored.then(() => null)")
    tab(page, label).click()


def entry(page: Page, name: str) -> Locator:
    """An item of the file browser, under the pointer."""
    item = page.locator(".jp-DirListing-item").filter(has=page.get_by_text(name, exact=True))
    item.hover(timeout=SLOW)
    return item


def choose(page: Page, name: str) -> None:
    """Opens an item of the file browser by its menu."""
    entry(page, name).click(button="right")
    page.get_by_role("menuitem", name="Open with Model Surgery").click()


def test_from_the_launcher_to_a_notebook(desk: Page) -> None:
    """Card, edit, evaluation, script into a notebook; a reload loses nothing, a restart nothing for good."""
    page = desk
    page.locator(".jp-LauncherCard", has_text="Model Surgery").click()
    shown = drawn(page)
    expect(status(page)).to_have_text("idle", timeout=SLOW)
    expect(shown.get_by_role("textbox", name="Seconds to spend")).to_have_value("1")
    # It fills its tab.
    assert not shown.locator(".ms-area-report").evaluate(OUTSIDE)
    room, studio = shown.bounding_box(), shown.locator(".ms-studio").bounding_box()
    assert room and studio and studio["height"] > 0.95 * room["height"]

    block(page, "model.layers.3").click()
    verb(page, "Prune").click()
    apply(page, "remove")
    shown.get_by_role("button", name="Evaluate").click()
    figures = shown.locator(".ms-figures")
    expect(figures).to_contain_text("Perplexity", timeout=SLOW)

    page.get_by_role("button", name="Send to notebook").click()
    cell = page.locator(".jp-Notebook .jp-Cell .cm-content").first
    expect(cell).to_contain_text('s = surgery.open("demo")', timeout=SLOW)
    expect(cell).to_contain_text('s.remove("model.layers[3]")')

    kernel = next(item["kernel"]["id"] for item in page.evaluate(SESSIONS) if "model-surgery" in item["path"])
    tab(page, "Model Surgery").click()
    page.wait_for_url("**/lab")  # else the notebook that it names would come to the front
    reload(page, "Model Surgery", '"session"', "notebook:")
    shown = drawn(page)
    expect(figures).to_contain_text("1.36 M")
    expect(figures).to_contain_text("Perplexity")
    sessions = [item for item in page.evaluate(SESSIONS) if "model-surgery" in item["path"]]
    assert [item["kernel"]["id"] for item in sessions] == [kernel]

    scheme = "(part) => getComputedStyle(part).colorScheme"
    assert shown.locator(".ms-studio").evaluate(scheme) == "light"
    page.evaluate(THEME, "JupyterLab Dark")
    page.locator('body[data-jp-theme-light="false"]').wait_for(state="attached", timeout=SLOW)
    assert shown.locator(".ms-studio").evaluate(scheme) == "dark"

    page.locator('[data-jp-item-name="restart"]:visible').click()
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    expect(page.locator(".ms-restore")).to_contain_text("1 edit", timeout=chromium.DRAWN_MS)
    page.get_by_role("button", name="Restore", exact=True).click()
    expect(figures).to_contain_text("1.36 M", timeout=SLOW)

    # Closing the tab ends its kernel, and only that.
    tab(page, "Model Surgery").locator(".lm-TabBar-tabCloseIcon").click()
    page.wait_for_function(GONE, timeout=SLOW)


def test_from_the_file_browser(desk: Page, lab: Lab) -> None:
    """Folders, weights and scripts open as studios; no content is fetched, none of their code is run."""
    page, asked = desk, list[Request]()
    page.on("request", lambda request: asked.append(request))
    with page.expect_response(lambda reply: "/api/contents/notes?" in reply.url):
        entry(page, "notes")
    entry(page, "notes").click(button="right")
    page.get_by_role("menuitem", name="Rename").wait_for()
    expect(page.get_by_role("menuitem", name="Open with Model Surgery")).to_have_count(0)
    page.keyboard.press("Escape")

    choose(page, "llama")
    drawn(page)
    expect(page.locator(".ms-topbar strong")).to_have_text("llama")
    choose(page, "llama")  # it is shown, not opened again
    assert page.evaluate(OPEN_TABS).count("llama") == 1

    choose(page, "cut.surgery.json")
    shown = drawn(page)
    expect(shown.locator(".ms-figures")).to_contain_text("1.36 M")
    # What edits text still does, with the file's own text.
    entry(page, "cut.surgery.json").click(button="right")
    page.locator('.lm-Menu-item[data-type="submenu"]', has_text="Open With").hover()
    page.locator(".lm-Menu-item", has_text="Editor").first.click()
    expect(page.locator(".jp-FileEditor .cm-content")).to_contain_text("surgery-script", timeout=SLOW)

    entry(page, "llama").dblclick()
    entry(page, "model.safetensors").dblclick()
    drawn(page)
    reload(page, "model.safetensors", "model.safetensors")
    drawn(page)
    fetched = [url for url in (request.url for request in asked) if "/llama/model.safetensors" in url]
    fetched = [url for url in fetched if "/lab/tree/" not in url]
    assert fetched, "nobody asked for it"
    assert [url for url in fetched if "/api/contents/" not in url or "content=0" not in url] == []
    folder = Path(f"/proc/{lab.pid}/cwd").resolve() / "llama"
    assert not (folder / ".ipynb_checkpoints").exists()


def test_from_a_notebook(desk: Page) -> None:
    """Its button asks which of two models; what code and gestures do is one session, reload or not."""
    page = desk
    entry(page, "net.ipynb").dblclick()
    page.locator(".jp-Notebook .jp-Cell .cm-content").first.wait_for(timeout=SLOW)
    page.wait_for_function("() => jupyterapp.shell.currentWidget?.sessionContext?.isReady === true")
    page.evaluate(RUN, 0)
    button = page.locator('[data-jp-item-name="model-surgery"]')
    button.click()
    asked = page.get_by_role("dialog")
    expect(asked).to_contain_text("Open which model?", timeout=SLOW)
    options = asked.locator("option").all_inner_texts()
    assert [option.split(" — ")[0] for option in options] == ["net", "head"]
    asked.get_by_role("button", name="Open").click()
    shown = drawn(page)
    expect(shown).to_contain_text("In the notebook this session is s.")

    block(page, "model.layers.3").click()
    verb(page, "Prune").click()
    apply(page, "remove")
    figures = shown.locator(".ms-figures")
    expect(figures).to_contain_text("1.36 M")
    page.evaluate(RUN, 1)
    page.evaluate(RUN, 2)
    expect(page.locator(".jp-OutputArea-output", has_text="2 steps")).to_be_visible(timeout=SLOW)
    tab(page, "net").click()
    expect(figures).to_contain_text("1.21 M", timeout=SLOW)

    reload(page, "net", '"variable"')
    drawn(page)
    expect(figures).to_contain_text("1.21 M", timeout=SLOW)
    page.get_by_role("button", name="Send to notebook").click()
    sent = page.locator(".jp-Notebook .jp-Cell .cm-content", has_text="surgery.open(net)")
    expect(sent).to_contain_text('s.remove("model.layers[3]")', timeout=SLOW)
    assert page.evaluate(OPEN_TABS).count("net.ipynb") == 1
