"""The pages in docs/operations run as they stand, in an empty folder each, and make their charts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.pages import FOLDER, PAGES, blocks, images, run


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_it_runs_and_makes_its_charts(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python in one session, then commands; every image is a chart that the page writes, and is there."""
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    assert blocks(text), "no example"
    run(page)
    shown = images(text)
    assert shown, "no chart"
    for name in shown:
        assert re.search(r"<svg .*</svg>\s*\Z", (tmp_path / name).read_text("utf-8"), re.DOTALL)
        assert (FOLDER / "images" / name).is_file()


def test_every_image_belongs_to_a_page() -> None:
    """None is left of a page that is gone."""
    shown = {name for page in PAGES for name in images(page.read_text(encoding="utf-8"))}
    assert {path.name for path in (FOLDER / "images").glob("*")} == shown
