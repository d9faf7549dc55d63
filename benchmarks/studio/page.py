"""The whole page on a 70B skeleton: first paint, bytes, how soon an edit is seen, memory over many edits."""

import json
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from playwright.sync_api import CDPSession, Page, WebSocket, sync_playwright

from benchmarks.tables import Table
from tools.chromium import DRAWN, DRAWN_MS, WINDOW, find, launch
from tools.serve import SERVE, Studio
from widgets.server.mother.birth import MOTHER

EDITS, WARM = 200, 20
LIMITS = {"paint_s": 1.5, "bytes": 1_500_000, "edit_ms": 150, "bundle": 500_000}
STATIC = Path(__file__).parents[2] / "widgets" / "static"

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "vocab_size": 128_256,
    "tie_word_embeddings": False,
    "dtype": "bfloat16",
}

# From the press of a button until the frame that shows another current state, in milliseconds.
SEEN = """(name) => new Promise((seen) => {
    const panel = document.querySelector(".ms-history");
    const now = () => panel.querySelector(".ms-state.ms-current")?.textContent;
    const before = now();
    const start = performance.now();
    const look = new MutationObserver(() => {
        if (now() === before) return;
        look.disconnect();
        requestAnimationFrame(() => requestAnimationFrame(() => seen(performance.now() - start)));
    });
    look.observe(panel, { childList: true, subtree: true, characterData: true, attributes: true });
    document.querySelector(`.ms-topbar [aria-label="${name}"]`).click();
})"""


@dataclass
class Heard:
    """What came over the page's sockets: bytes in all, and when the first picture's state came."""

    received: int = 0
    state_s: float | None = None
    sockets: list[WebSocket] = field(default_factory=list)

    def listen(self, socket: WebSocket) -> None:
        """Counts what the server sends."""
        self.sockets.append(socket)
        socket.on("framereceived", self._note)

    def _note(self, payload: str | bytes) -> None:
        self.received += len(payload)
        text = payload if isinstance(payload, str) else payload.decode(errors="replace")
        if self.state_s is None and '"overview"' in text:
            self.state_s = time.monotonic()


def tables() -> list[Table]:
    """One table; none where there is no browser."""
    if find() is None:
        return []
    with tempfile.TemporaryDirectory(prefix="surgery-page-") as folder:
        config = Path(folder) / "config.json"
        config.write_text(json.dumps(CONFIG))
        with Studio((*SERVE, str(config))) as studio, sync_playwright() as playwright:
            browser = launch(playwright)
            rows = _measured(browser.new_page(viewport=WINDOW), studio, _built_s(config))
            browser.close()
    bundle = sum(file.stat().st_size for file in STATIC.iterdir() if file.suffix in (".js", ".css"))
    rows.append(("front end, plotly aside", f"{bundle / 1000:.0f} kB", "500 kB"))
    promise = "A Llama of 70B as a skeleton, in the web app and headless Chromium; medians."
    return [Table("The page", promise, ("70B", "measured", "at most"), tuple(rows))]


def _built_s(config: Path) -> float:
    """How long the panels take to be filled once the graph is there."""
    import surgery
    from widgets.studio import Studio as Screen

    session = surgery.open(config)
    assert session.graph.modules
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        Screen(session)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def _measured(page: Page, studio: Studio, built_s: float) -> list[tuple[str, ...]]:
    heard = Heard()
    page.on("websocket", heard.listen)
    page.goto(studio.url, wait_until="commit")
    page.wait_for_selector(DRAWN, timeout=DRAWN_MS)
    drawn_s = time.monotonic()
    page.wait_for_load_state("networkidle")
    first_bytes = heard.received
    paint_s = built_s + (drawn_s - (heard.state_s or drawn_s))
    page.locator('[role="treeitem"][data-path="model.layers.5"]').click()
    page.keyboard.press("p")
    button = page.get_by_role("button", name="Apply remove")
    button.and_(page.locator(":enabled")).click(timeout=DRAWN_MS)
    button.wait_for(state="detached")
    cdp, processes = page.context.new_cdp_session(page), psutil.Process(studio.pid).children(recursive=True)
    kernels = [process for process in processes if process.name() != MOTHER]
    taken: list[float] = []
    early = (0.0, 0.0)
    for number in range(EDITS):
        taken.append(page.evaluate(SEEN, "Undo" if number % 2 == 0 else "Redo"))
        if number + 1 == WARM:
            early = _memory(cdp, kernels)
    late = _memory(cdp, kernels)
    return [
        ("first paint, from the graph on", f"{paint_s:.2f} s", f"{LIMITS['paint_s']} s"),
        ("sent to the browser until then", f"{first_bytes / 1e6:.2f} MB", "1.5 MB"),
        (
            f"an edit seen, of {EDITS}",
            f"{statistics.median(taken):.0f} ms, 95th {sorted(taken)[int(0.95 * len(taken))]:.0f} ms",
            f"{LIMITS['edit_ms']} ms beyond its computing",
        ),
        (f"page's heap after {WARM} and {EDITS}", f"{early[0]:.1f} → {late[0]:.1f} MB", "no growth"),
        (f"kernel's memory after {WARM} and {EDITS}", f"{early[1]:.0f} → {late[1]:.0f} MB", "no growth"),
    ]


def _memory(cdp: CDPSession, kernels: list[psutil.Process]) -> tuple[float, float]:
    """Megabytes of the page's heap after a collection, and of the kernels."""
    cdp.send("HeapProfiler.collectGarbage")
    heap = cdp.send("Runtime.getHeapUsage")["usedSize"] / 1e6
    return heap, max(kernel.memory_info().rss for kernel in kernels) / 1e6
