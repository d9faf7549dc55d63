"""What is dropped on the graph becomes a selection or a draft, and nothing is made before Apply."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import surgery
from tests.surgery.merging.parents import family
from tests.widgets.test_studio import send
from tests.zoo import ZOO
from widgets.studio import Studio


@pytest.fixture
def studio() -> Studio:
    """The small Llama with a tie."""
    studio = Studio(surgery.open(*ZOO["llama"]()))
    studio.session.tie("model.layers[2]", to="model.layers[1]")
    studio.refresh()
    return studio


def python(studio: Studio) -> Any:
    """The line that the dry run shows."""
    studio.background.settle(60)
    return studio.right.state["dry_run"]["python"]


def test_a_block_on_a_block_offers_what_fits(studio: Studio) -> None:
    """The one dropped on is kept: tied and merged to it, or replaced by the one dragged."""
    send(studio.centre, type="drop", sources=["model.layers.3"], target="model.layers.0")
    assert studio.desk.selection == ["model.layers.0", "model.layers.3"] and studio.desk.draft is None
    said = {
        "tie": 's.tie("model.layers[3]", to="model.layers.0")',
        "merge": 's.merge("model.layers[0], model.layers[3]")',
        "swap": 's.swap(target="model.layers.0", other="model.layers.3")',
        "replace": 's.replace("model.layers[0]", by="model.layers.3")',
    }
    for name, line in said.items():
        send(studio.menu, type="run", name=f"operation:{name}")
        assert python(studio) == line
    send(studio.centre, type="drop", sources=["no such"], target="model.layers.0")
    send(studio.centre, type="drop", sources=["model.layers.0"], target="model.layers.0")
    assert studio.desk.selection == ["model.layers.0", "model.layers.3"]


def test_the_end_of_a_tie_pulled_off_unties(studio: Studio) -> None:
    """As a draft."""
    send(studio.centre, type="untie", paths=["model.layers.2"])
    assert python(studio) == 's.untie("model.layers[2]")' and len(studio.session.steps) == 1


def test_a_pressed_card_goes_where_the_selection_is(studio: Studio) -> None:
    """Each of the shelf's new adapters; of several places, or none, it says that it needs one."""
    send(studio.top, type="run", name="parents")
    kinds = studio.parents.state["kinds"]
    assert [kind["title"] for kind in kinds] == ["LoRA", "DoRA", "(IA)³"]
    card = {"kind": "operation", "name": "attach", "values": {"adapter": kinds[0]["adapter"]}}
    send(studio.parents, type="take", card=card)
    assert "a card needs one place; got 0 selected" in studio.top.state["notice"]["text"]
    send(studio.centre, type="select", paths=["model.layers.0.mlp.up_proj"], mode="set")
    send(studio.parents, type="take", card=card)
    assert python(studio) == 's.attach("model.layers.0.mlp.up_proj")'


def test_a_card_is_an_operation_with_values(studio: Studio) -> None:
    """An adapter of some rank on a module; one that does not fit says why."""
    card = {"kind": "operation", "name": "attach", "values": {"rank": 4}}
    send(studio.centre, type="card", card=card, target="model.layers.0.mlp")
    assert python(studio) == 's.attach("model.layers.0.mlp.**:Linear", rank=4)'
    send(studio.right, type="cancel")
    send(studio.centre, type="card", card={**card, "name": "swap"}, target="model.layers.0")
    assert studio.top.state["notice"]["text"] == "model.layers.0: select two blocks."
    for odd in ("text", {"kind": "no such"}, {"kind": "operation"}):
        send(studio.centre, type="card", card=odd, target="model.layers.0")
    assert studio.desk.draft is None


def test_a_block_of_a_parent_takes_its_place(tmp_path: Path) -> None:
    """From the shelf onto the graph, tried out at once where that is asked for."""
    base, (other,) = family(tmp_path, 1)
    studio = Studio(surgery.open(base))
    assert studio.parents.state == {"hidden": True}
    send(studio.top, type="run", name="parents")
    assert not studio.parents.state.get("hidden") and studio.top.state["shelf"]
    send(studio.parents, type="add", source=other, alias="other")
    studio.background.settle(60)
    card = {"kind": "block", "parent": "other", "path": "model.layers.1"}
    send(studio.centre, type="card", card=card, target="model.layers.1")
    studio.background.settle(60)
    assert studio.right.state["form"]["can_apply"] and studio.right.state["dry_run"]["error"] is None
    send(studio.right, type="apply")
    assert len(studio.session.steps) == 1
    send(studio.parents, type="try")
    studio.background.settle(60)
    studio.background.settle(60)
    assert len(studio.session.steps) == 2 and studio.session.history.current.report is not None
