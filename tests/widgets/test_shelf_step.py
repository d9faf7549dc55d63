"""The step that the shelf makes: what code would make, method by method, weight by weight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import surgery
from surgery import SurgeryError
from surgery.operation import Operation
from surgery.registry import operation_named
from surgery.script import python_of
from tests.surgery.merging.parents import family, tensors
from tests.surgery.merging.test_adapters import adapter
from tests.widgets.shelves import Bench
from widgets.shelf.curves import preset, read, remainder
from widgets.shelf.method import offered


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Two parents of one base on the shelf."""
    base, parents = family(tmp_path, 2)
    bench = Bench.on(base)
    bench.add(parents[0], "one")
    bench.add(parents[1], "two")
    return bench


def by_code(bench: Bench, name: str, **fields: Any) -> Operation:
    """The step as a person writes it."""
    parents = [str(row.parent) for row in bench.shelf.rows]
    return operation_named(name).of("", parents=parents, **fields)


def test_weights_and_gradients_become_schedules(bench: Bench) -> None:
    """One number or anchors per parent: the very step, and the line of code that says it."""
    bench.send("weight", alias="one", values=[0.5])
    state = bench.send("weight", alias="two", values=[0, 1, 0.25])
    step = bench.shelf.step()
    assert step == by_code(bench, "task_arithmetic", weights=[0.5, [0.0, 1.0, 0.25]])
    assert state["python"] == python_of(step) and state["rows"][1]["weight"] == [0.0, 1.0, 0.25]


def test_parents_share_evenly_until_somebody_weighs_them(bench: Bench) -> None:
    """With this model; what was set by hand stays."""
    assert [row["weight"] for row in bench.panel.state["rows"]] == [[0.3333], [0.3333]]
    bench.send("weight", alias="one", values=[0.9])
    assert bench.send("remove", alias="two")["rows"][0]["weight"] == [0.9]


def test_every_method_is_offered_and_makes_its_step(bench: Bench) -> None:
    """All merging operations with parents; where two are too many, the sentence says so."""
    names = [option["name"] for option in bench.panel.state["method"]["options"]]
    assert {"merge", "soup", "slerp", "ties", "dare", "task_arithmetic", "model_stock"} <= set(names)
    assert "adopt" not in names
    made, refused = list[str](), dict[str, str]()
    for name in names:
        state = bench.send("method", name=name)
        if state["can_step"]:
            bench.session.preview(bench.shelf.step())
            made.append(name)
        else:
            refused[name] = state["problem"]["text"]
    assert set(refused) == {"slerp", "nearswap", "arcee_fusion", "rebasin", "otfusion"}
    assert refused["slerp"] == "slerp merges with one parent; got 2." and len(made) == len(names) - 5


def test_of_one_parent_the_place_between_is_the_weight(bench: Bench) -> None:
    """SLERP's t, and soup's, over depth."""
    bench.send("counts", alias="two", on=False)
    bench.send("weight", alias="one", values=[0.2, 0.8])
    bench.send("method", name="slerp")
    parents = [str(bench.shelf.rows[0].parent)]
    assert bench.shelf.step() == operation_named("slerp").of("", parents=parents, t=[0.2, 0.8])
    state = bench.send("method", name="soup")
    assert bench.shelf.step() == operation_named("soup").of("", parents=parents, t=[0.2, 0.8])
    assert "t" not in [field["name"] for field in state["method"]["fields"]]


def test_this_model_has_a_weight_where_the_method_says_so(bench: Bench) -> None:
    """First in the list: what the parents leave of 1, until it is set."""
    bench.send("weight", alias="one", values=[0, 1])
    bench.send("weight", alias="two", values=[0.25, 0, 0.25])
    assert bench.panel.state["own"] is None
    state = bench.send("method", name="merge")
    assert state["own"] == [0.75, 0.5, 0.0]
    assert bench.shelf.step() == by_code(
        bench, "merge", weights=[[0.75, 0.5, 0.0], [0.0, 1.0], [0.25, 0.0, 0.25]]
    )
    assert bench.send("weight", alias="", values=[0.5])["own"] == [0.5]
    assert bench.send("method", name="nuslerp")["own"] is None


def test_a_method_without_weights_says_so(bench: Bench) -> None:
    """And its step has none."""
    assert not bench.send("method", name="model_stock")["weighted"]
    assert bench.shelf.step() == by_code(bench, "model_stock")


def test_fields_of_the_method_are_entered(bench: Bench) -> None:
    """Numbers, choices, flags and schedules, each refused in its own words."""
    bench.send("method", name="ties")
    bench.send("field", name="densities", value="0.3, [0.2, 0.6]")
    bench.send("field", name="elect", value="count")
    bench.send("field", name="normalize", value=False)
    state = bench.send("field", name="scale", value="0.5")
    expected = by_code(
        bench, "ties", weights=[0.3333] * 2, densities=[0.3, [0.2, 0.6]], elect="count", normalize=False,
        scale=0.5,
    )  # fmt: skip
    assert bench.shelf.step() == expected
    fields = {field["name"]: field["value"] for field in state["method"]["fields"]}
    assert fields["densities"] == "0.3, [0.2, 0.6]" and fields["elect"] == "count"
    assert {"targets", "parents", "weights", "tokens"}.isdisjoint(fields)
    state = bench.send("field", name="densities", value="much")
    assert state["problem"]["text"].startswith("ties.densities does not fit") and not state["can_step"]
    assert bench.send("field", name="densities", value="")["can_step"]


def test_presets(bench: Bench) -> None:
    """Curves by name; `only this parent` leaves nothing for the others."""
    assert preset("even", 4) == (0.25,) and preset("middle", 2) == (0.0, 1.0, 0.0)
    assert bench.send("preset", alias="one", name="down")["rows"][0]["weight"] == [1.0, 0.0]
    assert [row["weight"] for row in bench.send("preset", alias="two", name="whole")["rows"]] == [
        [0.0],
        [1.0],
    ]
    start, other = tensors(bench.session.opened.source), tensors(bench.shelf.rows[1].source)  # type: ignore[arg-type]
    bench.session.apply(bench.shelf.step())
    for name, parameter in bench.session.model.named_parameters():
        torch.testing.assert_close(parameter.detach(), other[name], msg=name)
        assert start.keys() == other.keys()


def test_one_block_gets_a_weight_of_its_own(bench: Bench) -> None:
    """The curve has an anchor per block then, and all others stay where they were."""
    bench.send("weight", alias="one", values=[0, 0.9])
    state = bench.send("weight_at", alias="one", path="model.layers.1", value=0.75)
    assert state["rows"][0]["weight"] == [0.0, 0.75, 0.6, 0.9]
    assert bench.send("weight_at", alias="one", path="model.norm", value=0.5)["rows"][0]["weight"] == [0.5]


@pytest.mark.parametrize("values", [None, [], ["1"], [True], [float("nan")], [0.0] * 2000, 3])
def test_what_is_no_curve_changes_nothing(bench: Bench, values: Any) -> None:
    """The browser is not trusted."""
    assert read(values) is None
    assert bench.send("weight", alias="one", values=values)["rows"][0]["weight"] == [0.3333]


def test_malformed_messages_change_nothing(bench: Bench) -> None:
    """Names that nobody has, values of another kind."""
    before = bench.panel.state
    bench.send("weight_at", alias="one", path="nowhere", value=1)
    bench.send("weight_at", alias="one", path="model.layers.1", value="1")
    bench.send("preset", alias="one", name="no such")
    bench.send("method", name="remove")
    bench.send("where", name="moon")
    bench.send("figure", name="taste")
    bench.send("field", name="parents", value=["/etc"])
    bench.send("counts", alias=3, on=True)
    assert bench.send("remove", alias="nobody") == before


def test_where_it_is_merged(bench: Bench) -> None:
    """The whole model where all fit, the blocks alone if that is chosen."""
    assert bench.shelf.step().targets.select == ""  # type: ignore[attr-defined]
    bench.send("where", name="blocks")
    assert bench.shelf.step().targets.select == "model.layers[0:4]"  # type: ignore[attr-defined]


def test_preparing_and_trying_hand_the_step_on(bench: Bench) -> None:
    """Nothing is applied here; why there is none is said."""
    bench.send("prepare")
    bench.send("try")
    assert bench.prepared == bench.tried == [bench.shelf.step()] and not bench.session.steps
    bench.send("counts", alias="one", on=False)
    bench.send("counts", alias="two", on=False)
    state = bench.send("prepare")
    assert state["problem"]["text"].startswith("the step needs a parent") and len(bench.prepared) == 1


def test_adapters_are_adopted_with_their_weights(bench: Bench, tmp_path: Path) -> None:
    """Adapters alone, one number each; as parents of a merge they are among the others."""
    adapter(tmp_path / "adapter", 1)
    bench.add(tmp_path / "adapter", "style")
    assert len(bench.shelf.step().parents) == 3  # type: ignore[attr-defined]
    bench.send("method", name="adopt")
    bench.send("weight", alias="style", values=[0.5])
    source = f"style={tmp_path / 'adapter'}"
    assert bench.shelf.step() == operation_named("adopt").of([source], weights=[0.5])
    bench.session.preview(bench.shelf.step())
    state = bench.send("weight", alias="style", values=[0.5, 1])
    assert state["problem"]["text"] == "style: adopt takes one weight for all depths; got a gradient of 2."


def test_what_the_parents_leave() -> None:
    """At every depth, and nothing below zero."""
    assert remainder([]) == (1.0,)
    assert remainder([(0.5,), (0.7,)]) == (0.0,)
    assert remainder([(0.0, 1.0), (0.0, 0.0, 0.0)]) == (1.0, 0.5, 0.0)


def test_all_that_merges_with_parents_is_offered() -> None:
    """Whatever the register has of the kind."""
    assert [cls.name for cls in offered(adapters=True)][-1] == "adopt"
    assert all(any(spec.kind == "parents" for spec in cls.specs) for cls in offered(adapters=True))


def test_the_step_is_replayed(bench: Bench, tmp_path: Path) -> None:
    """From the script, to the same bits."""
    bench.send("weight", alias="two", values=[0, 1])
    bench.session.apply(bench.shelf.step())
    script = bench.session.script.write(tmp_path / "edits.json")
    assert surgery.replay(script).fingerprint() == bench.session.fingerprint()


def test_no_step_without_parents() -> None:
    """An empty shelf has nothing to say."""
    from surgery.sources import open as open_model
    from tests.surgery.merging.parents import base_model
    from widgets.background import Background
    from widgets.shelf import Shelf

    shelf = Shelf(open_model(base_model()), Background(), print, print, lambda: None)
    with pytest.raises(SurgeryError, match="needs a parent"):
        shelf.step()
