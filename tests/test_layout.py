"""The house rules that a machine can check: who may import whom, and how long a file may grow."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRODUCT = ("graph", "surgery", "widgets")
SCREEN = {
    "IPython",
    "anywidget",
    "ipykernel",
    "ipywidgets",
    "jupyter_client",
    "plotly",
    "tornado",
    "traitlets",
    "voila",
}
MOST_LINES = 300
LONGER = {
    # path: why it is better in one piece
}


def sources(package: str) -> list[Path]:
    """The package's Python files, without the front end's and built ones."""
    return [path for path in sorted((ROOT / package).rglob("*.py")) if "node_modules" not in path.parts]


def imports(path: Path) -> set[str]:
    """The top-level names that a file imports, anywhere in it and also under TYPE_CHECKING."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            found.add(path.relative_to(ROOT).parts[0])
    return found


def named(path: Path) -> str:
    """The path as the repository knows it."""
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", sources("graph"), ids=named)
def test_graph_imports_only_torch_networkx_and_python(path: Path) -> None:
    """The graph knows modules, and nothing of sessions, files or screens."""
    assert imports(path) - set(sys.stdlib_module_names) - {"graph", "networkx", "torch"} == set()


@pytest.mark.parametrize("path", sources("surgery"), ids=named)
def test_surgery_imports_no_screen(path: Path) -> None:
    """A script replays where there is no screen: neither our widgets nor anybody's."""
    assert imports(path) & (SCREEN | {"widgets", "tests", "tools"}) == set()


@pytest.mark.parametrize("path", sources("widgets"), ids=named)
def test_widgets_import_nothing_beside_the_product(path: Path) -> None:
    """What is installed does not reach for what is only in a checkout."""
    assert imports(path) & {"tests", "tools", "benchmarks", "app"} == set()


def test_no_drawer_for_odds_and_ends() -> None:
    """Every file is named after its subject."""
    files = [path for package in PRODUCT for path in sources(package)]
    assert [
        named(path) for path in files if path.stem in ("utils", "util", "helpers", "misc", "common")
    ] == []


def test_files_stay_short() -> None:
    """A file is read in a few screens; a longer one is listed above with its reason."""
    files = [path for package in PRODUCT for path in sources(package)]
    for frontend in (ROOT / "widgets" / "frontend" / "src", ROOT / "widgets" / "lab" / "src"):
        files += sorted([*frontend.rglob("*.ts"), *frontend.rglob("*.tsx")])
    lines = {named(path): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {path: count for path, count in lines.items() if count > MOST_LINES and path not in LONGER} == {}
    assert [path for path in LONGER if lines.get(path, 0) <= MOST_LINES] == []
