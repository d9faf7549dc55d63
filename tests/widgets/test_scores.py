"""A sweep's colours in the studio."""

from __future__ import annotations

import surgery
from widgets.studio import Studio


def test_the_studio_shows_the_last_sweep_of_its_state() -> None:
    """Another state has none until it is swept itself."""
    session = surgery.open("demo")
    studio = Studio(session)
    assert studio.centre.state["scores"] is None
    session.sweep("remove", "model.layers[8:10]", budget_s=0)
    studio.refresh()
    assert set(studio.centre.state["scores"]) == {"model.layers.8", "model.layers.9"}
    assert studio.centre.state["legend"]["title"] == "perplexity after remove"
    assert any(
        "remove: perplexity" in line for line in studio.centre.state["facts"]["model.layers.8"]["lines"]
    )
    session.remove("model.layers.8")
    studio.refresh()
    assert studio.centre.state["scores"] is None
