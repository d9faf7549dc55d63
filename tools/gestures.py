"""What a person does on the studio's page, for the stories that pictures are taken of.

Each waits for what it asked for, never for time.
"""

import json
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

SLOW_MS = 120_000

CONFIGS = {
    "llama-70b": {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "bfloat16",
        "hidden_size": 8192,
        "intermediate_size": 28_672,
        "num_hidden_layers": 80,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "vocab_size": 128_256,
    },
    "t5-small": {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
        "d_model": 512,
        "d_ff": 2048,
        "d_kv": 64,
        "num_layers": 6,
        "num_heads": 8,
        "vocab_size": 32_128,
    },
}
"""Models of which a config is enough: without weights a skeleton is opened."""


def row(page: Page, path: str) -> Locator:
    """A module's row in the outline."""
    return page.locator(f'[role="treeitem"][data-path="{path}"]')


def select(page: Page, *paths: str) -> None:
    """Selects modules in the outline."""
    for place, path in enumerate(paths):
        row(page, path).click(modifiers=["Control"] if place else [])


def drafted(page: Page, operation: str) -> Locator:
    """Waits for the dry run of an operation; its button."""
    button = page.get_by_role("button", name=f"Apply {operation}")
    expect(button).to_be_enabled(timeout=SLOW_MS)
    return button


def apply(page: Page, operation: str) -> None:
    """Applies the draft of an operation."""
    button = drafted(page, operation)
    button.click()
    expect(button).to_have_count(0, timeout=SLOW_MS)


def open_model(page: Page, source: str) -> None:
    """Opens another model by what is typed into the file panel."""
    title = page.locator(".ms-topbar strong").first
    before = title.inner_text()
    page.keyboard.press("Control+o")
    files = page.get_by_role("dialog", name="Open a model or script")
    files.get_by_role("textbox").first.fill(source)
    page.keyboard.press("Enter")
    expect(files).to_have_count(0, timeout=SLOW_MS)
    expect(title).not_to_have_text(before, timeout=SLOW_MS)


def write_configs(folder: Path) -> None:
    """Models that are a config alone, in folders of their names."""
    for name, config in CONFIGS.items():
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "config.json").write_text(json.dumps(config))


def settle(page: Page) -> None:
    """Waits until nothing moves any more, with the pointer out of the way."""
    page.mouse.move(0, 0)
    page.wait_for_selector('.ms-canvas[data-settled="true"]', timeout=SLOW_MS)
    page.wait_for_load_state("networkidle")
    page.evaluate("document.fonts.ready.then(() => new Promise(requestAnimationFrame)).then(() => null)")


def evaluate(page: Page) -> None:
    """Measures the current state."""
    page.get_by_role("button", name="Evaluate").click()
    stop = page.get_by_role("button", name="Stop")
    stop.wait_for(timeout=SLOW_MS)
    expect(stop).to_have_count(0, timeout=SLOW_MS)
    page.locator(".ms-area-chart .js-plotly-plot").wait_for(timeout=SLOW_MS)
