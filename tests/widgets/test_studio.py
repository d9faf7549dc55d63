"""The studio without a browser: gestures come in as messages, states go out."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from tests.zoo import ZOO
from widgets.panels import Panel
from widgets.studio import Studio


def send(panel: Panel, **message: Any) -> None:
    """A custom message as the browser sends it."""
    panel._handle_custom_msg(message, [])


@pytest.fixture
def studio() -> Studio:
    """The studio on the small Llama of four blocks."""
    model, inputs = ZOO["llama"]()
    return Studio(surgery.open(model, inputs))


def select(studio: Studio, *paths: str, mode: str = "set") -> None:
    """Selects on the canvas."""
    send(studio.centre, type="select", paths=list(paths), mode=mode)


def cells(studio: Studio) -> list[dict[str, Any]]:
    """The cells of all strips."""
    return [cell for node in studio.centre.state["overview"]["nodes"] for cell in node["cells"]]


def test_opening_shows_strip_and_tie(studio: Studio) -> None:
    """Four cells, the tied head as a thread, the whole tree in the outline."""
    assert [cell["path"] for cell in cells(studio)] == [f"model.layers.{index}" for index in range(4)]
    assert studio.centre.state["ties"] == [
        {"index": 1, "ends": ["model.embed_tokens", "lm_head"], "pending": False}
    ]
    assert [row["path"] for row in studio.left.lasting["rows"]] == list(studio.session.graph.by_path)


def test_selecting_enables_what_fits(studio: Studio) -> None:
    """One block can be pruned, adapted and merged with other checkpoints; tying asks for two, and says so."""
    select(studio, "model.layers.1")
    groups = {group["name"]: group for group in studio.right.state["groups"]}
    assert {name: group["enabled"] for name, group in groups.items()} == {
        "tie": False,
        "untie": False,
        "merge": True,
        "prune": True,
        "arrange": True,
        "attach": True,
        "adjust": True,
    }
    assert groups["tie"]["reason"] == "select two modules or more"
    assert "merge" not in [item["name"] for item in groups["merge"]["operations"]]
    assert "ties" in [item["name"] for item in groups["merge"]["operations"]]
    select(studio, "model.layers.2", mode="toggle")
    assert studio.right.state["title"] == "2 blocks"
    assert studio.right.state["detail"] == "model.layers[1:3]"


def test_every_gesture_is_the_step_that_code_would_make(studio: Studio) -> None:
    """Dry run, marks and Python line before; the same script as the API afterwards."""
    select(studio, "model.layers.1")
    send(studio.centre, type="key", key="P")
    studio.background.settle(60)
    assert [cell["path"] for cell in cells(studio) if cell["mark"] == "remove"] == ["model.layers.1"]
    assert studio.right.state["dry_run"]["python"] == 's.remove("model.layers[1]")'
    assert studio.right.state["form"]["can_apply"]
    assert len(studio.session.steps) == 0
    send(studio.right, type="apply")
    assert len(cells(studio)) == 3
    model, inputs = ZOO["llama"]()
    by_code = surgery.open(model, inputs)
    by_code.remove("model.layers[1]")
    assert studio.session.script.to_json() == by_code.script.to_json()


FORMS: list[tuple[str, tuple[str, ...], str]] = [
    ("tie", ("model.layers.1", "model.layers.2"), 's.tie("model.layers[2]", to="model.layers.1")'),
    ("merge", ("model.layers.1", "model.layers.2"), 's.merge("model.layers[1:3]")'),
    ("keep", ("model.layers.0", "model.layers.1"), 's.keep("model.layers[0:2]")'),
    ("move", ("model.layers.2", "model.layers.0"), 's.move("model.layers[2]", to="model.layers.0")'),
    ("swap", ("model.layers.0", "model.layers.3"), 's.swap(target="model.layers.0", other="model.layers.3")'),
    ("duplicate", ("model.layers.1", "model.layers.2"), 's.duplicate("model.layers[1:3]")'),
    ("sparsify", ("model.layers.1", "model.layers.3"), 's.sparsify("model.layers[1], model.layers[3]")'),
    ("attach", ("model.layers.0",), 's.attach("model.layers.0.**:Linear")'),
    ("insert", ("model.layers.1",), 's.insert(to="model.layers.1", module="linear")'),
    ("replace", ("model.layers.1",), 's.replace("model.layers[1]", module="identity")'),
    (
        "replace",
        ("model.layers.2", "model.layers.0"),
        's.replace("model.layers[2]", by="model.layers.0")',
    ),
    ("wrap", ("model.layers.1.mlp",), 's.wrap("model.layers.1.mlp")'),
    ("skip", ("model.layers.1", "model.layers.2"), 's.skip("model.layers[1:3]")'),
    ("cast", ("",), 's.cast("")'),
    ("freeze", ("model.layers.0",), 's.freeze("model.layers[0]")'),
    ("attach", ("model.layers.0.mlp.up_proj",), 's.attach("model.layers.0.mlp.up_proj")'),
]


@pytest.mark.parametrize(("operation", "selection", "python"), FORMS)
def test_form_makes_the_step(studio: Studio, operation: str, selection: tuple[str, ...], python: str) -> None:
    """The form starts from the selection, its dry run has figures, and Apply makes one state."""
    select(studio, *selection)
    send(studio.right, type="operation", name=operation)
    studio.background.settle(60)
    dry_run = studio.right.state["dry_run"]
    assert dry_run["python"] == python and dry_run["error"] is None and dry_run["rows"]
    send(studio.right, type="apply")
    assert studio.right.state["form"] is None
    assert [state["current"] for state in studio.past.state["states"]] == [False, True]


def test_a_form_has_the_chart_of_its_values(studio: Studio) -> None:
    """Its mark follows the field; an operation without a chart has none, and nothing is left of it."""
    select(studio, "model.layers.1")
    send(studio.right, type="operation", name="sparsify")
    studio.background.settle(60)
    first = studio.right.state["chart"]
    assert first["title"].startswith("Magnitude") and first["svg"].startswith("<svg")
    send(studio.right, type="field", name="ratio", value=0.9)
    studio.background.settle(60)
    assert studio.right.state["chart"]["svg"] != first["svg"]
    send(studio.right, type="operation", name="remove")
    studio.background.settle(60)
    assert studio.right.state["chart"] is None


def test_one_field_takes_the_place_of_another(studio: Studio) -> None:
    """A form begins with one of them, which fits; another that is filled in empties it."""
    select(studio, "model.layers.0", "model.layers.1", "model.layers.2")
    send(studio.right, type="operation", name="shorten")
    studio.background.settle(60)
    assert studio.right.state["form"]["can_apply"]
    send(studio.right, type="field", name="size", value=0.5)
    studio.background.settle(60)
    values = {item["name"]: item["value"] for item in studio.right.state["form"]["fields"]}
    assert values["count"] is None and values["size"] == 0.5
    assert studio.right.state["dry_run"]["error"] is None
    select(studio, "model.layers.0", "model.layers.1")
    studio.background.settle(60)
    assert "size=0.5" in studio.right.state["dry_run"]["python"]


def test_field_that_does_not_fit_is_marked(studio: Studio) -> None:
    """The error sits at the field, Apply is off, and a value that fits brings it back."""
    select(studio, "model.layers.1")
    send(studio.right, type="operation", name="sparsify")
    send(studio.right, type="field", name="ratio", value=7)
    studio.background.settle(60)
    fields = {field["name"]: field for field in studio.right.state["form"]["fields"]}
    assert fields["ratio"]["error"] == "at least 0.01 and at most 1"
    assert not studio.right.state["form"]["can_apply"]
    send(studio.right, type="field", name="ratio", value=0.25)
    studio.background.settle(60)
    assert studio.right.state["form"]["can_apply"]


def test_refusal_is_shown_at_its_node(studio: Studio) -> None:
    """Applying what is refused puts the sentence at the node and leaves model and history alone."""
    select(studio, *[f"model.layers.{index}" for index in range(4)])
    send(studio.right, type="operation", name="remove")
    studio.background.settle(60)
    send(studio.right, type="apply")
    assert studio.centre.state["alert"]["path"] == "model.layers"
    assert "would leave no block" in studio.centre.state["alert"]["text"]
    assert studio.top.state["notice"]["tone"] == "bad"
    assert len(studio.session.steps) == 0


def test_undo_redo_and_travel(studio: Studio) -> None:
    """The buttons and the history panel move between states."""
    studio.session.remove("model.layers[1]")
    studio.refresh()
    send(studio.top, type="undo")
    assert len(cells(studio)) == 4 and studio.top.state["can_redo"]
    send(studio.top, type="redo")
    assert len(cells(studio)) == 3 and not studio.top.state["can_redo"]
    send(studio.past, type="goto", id="0")
    assert len(cells(studio)) == 4
    send(studio.top, type="undo")
    assert studio.top.state["notice"]["text"] == "there is nothing to undo."


def test_evaluating_fills_report_history_and_chart(studio: Studio) -> None:
    """After the worker is done there are figures, a metric in the history and a point in the chart."""
    studio.session.remove("model.layers[1]")
    send(studio.top, type="evaluate", budget_s=0.3)
    studio.background.settle(60)
    assert studio.top.state["evaluating"] is None
    assert "agreement" in studio.report.state["sentence"]
    assert studio.past.state["states"][1]["metric"]
    assert list(studio.chart.figure.data[0].customdata) == [0, 1]


def test_a_classifier_is_evaluated_on_its_digits() -> None:
    """Accuracy in the report, the history and the chart."""
    studio = Studio(surgery.open("demo-cnn"))
    studio.session.remove("stage1[1]")
    send(studio.top, type="evaluate", budget_s=0.3)
    studio.background.settle(60)
    assert studio.report.state["sentence"].startswith("accuracy ")
    assert "digits, held out: not your data" in studio.report.state["note"]
    assert studio.past.state["states"][1]["metric"].endswith(" %")
    assert list(studio.chart.figure.data[0].customdata) == [0, 1]


def test_stop_ends_an_evaluation(studio: Studio) -> None:
    """Stop is said, and no figure is shown."""
    send(studio.top, type="evaluate", budget_s=60)
    send(studio.top, type="stop")
    studio.background.settle(60)
    assert studio.top.state["notice"]["text"] == "Evaluating: stopped."
    assert studio.report.state["sentence"] is None


def test_saving_says_the_fingerprint(studio: Studio, tmp_path: Path) -> None:
    """Script and model are written, and the notice shows the fingerprint of what was saved."""
    studio.session.remove("model.layers[1]")
    send(studio.top, type="save_script", path=str(tmp_path / "edits.surgery.json"))
    studio.background.settle(60)
    fingerprint = studio.session.fingerprint()
    assert studio.top.state["notice"]["hint"] == f"fingerprint {fingerprint}"
    assert surgery.Script.read(tmp_path / "edits.surgery.json").result == fingerprint
    send(studio.top, type="save_model", path=str(tmp_path / "edits.surgery.json"))
    studio.background.settle(60)
    assert studio.top.state["notice"]["tone"] == "bad"


def test_saving_over_a_model_needs_the_tick(studio: Studio, tmp_path: Path) -> None:
    """What is there is kept, and the way out that the refusal names is on the page."""
    for overwrite, tone in ((False, "good"), (False, "bad"), (True, "good")):
        studio.session.sparsify("lm_head", ratio=0.5)
        send(studio.top, type="save_model", path=str(tmp_path / "out"), overwrite=overwrite)
        studio.background.settle(60)
        assert studio.top.state["notice"]["tone"] == tone
    saved = json.loads((tmp_path / "out" / "surgery.json").read_text(encoding="utf-8"))["fingerprint"]
    assert (
        studio.top.state["notice"]["hint"]
        == f"fingerprint {saved}"
        == f"fingerprint {studio.session.fingerprint()}"
    )


def test_old_figures_are_not_those_of_new_values(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between a change and its dry run there is nothing to apply and no line to copy."""
    select(studio, "model.layers.1")
    send(studio.right, type="operation", name="remove")
    studio.background.settle(60)
    held, preview = threading.Event(), studio.session.preview
    monkeypatch.setattr(studio.session, "preview", lambda step: held.wait(60) and preview(step))
    send(studio.right, type="field", name="targets", value="model.layers[0:2]")
    dry_run = studio.right.state["dry_run"]
    assert (dry_run["caption"], dry_run["stale"], dry_run["python"]) == ("computing …", True, "")
    assert not studio.right.state["form"]["can_apply"]
    held.set()
    studio.background.settle(60)
    assert studio.right.state["dry_run"]["python"] == 's.remove("model.layers[0:2]")'
    assert studio.right.state["form"]["can_apply"]


def test_dry_run_that_breaks_says_so(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that is no refusal ends the computing too."""

    def broken(step: object) -> object:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(studio.session, "preview", broken)
    select(studio, "model.layers.1")
    send(studio.right, type="operation", name="remove")
    studio.background.settle(60)
    dry_run = studio.right.state["dry_run"]
    assert not dry_run["stale"] and "ZeroDivisionError: a bug" in dry_run["error"]["text"]
    assert not studio.right.state["form"]["can_apply"]


def test_applying_that_breaks_says_so(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in applying is a notice, and the form stays."""

    def broken(step: object) -> object:
        raise ZeroDivisionError("a bug")

    select(studio, "model.layers.1")
    send(studio.right, type="operation", name="remove")
    studio.background.settle(60)
    monkeypatch.setattr(studio.session, "apply", broken)
    send(studio.right, type="apply")
    assert "ZeroDivisionError: a bug" in studio.top.state["notice"]["text"]
    assert not studio.right.state["form"]["can_apply"]


def test_gestures_do_not_wait_for_a_long_save(studio: Studio) -> None:
    """While another thread holds the session, selecting, opening and searching are still drawn."""
    held, release = threading.Event(), threading.Event()

    def long_save() -> None:
        with studio.session.lock:
            held.set()
            release.wait(60)

    saving = threading.Thread(target=long_save)
    saving.start()
    try:
        assert held.wait(60)
        drawing = threading.Thread(target=lambda: _look_around(studio), daemon=True)
        drawing.start()
        drawing.join(30)
        assert not drawing.is_alive()
    finally:
        release.set()
        saving.join()
    assert studio.centre.state["open"]["path"] == "model.layers.1"
    assert studio.left.state["matches"] == 2


def _look_around(studio: Studio) -> None:
    select(studio, "model.layers.1")
    send(studio.centre, type="open", path="model.layers.1")
    send(studio.left, type="search", text="layers[1:3]", submit=False)


def test_facts_of_a_selection(studio: Studio) -> None:
    """Shapes of the weights, activations in and out; several together count every tensor once."""

    def facts(*paths: str) -> dict[str, str]:
        select(studio, *paths)
        return {fact["label"]: fact["value"] for fact in studio.right.state["facts"]}

    up = facts("model.layers.1.mlp.up_proj")
    assert (up["weight"], up["Activations"]) == ("48 × 32", "2 × 8 × 32 → 2 × 8 × 48")
    assert facts("model.layers.1")["Activations"] == "2 × 8 × 32 → 2 × 8 × 32"
    whole = facts("")["Parameters"]
    assert facts("", "model.layers.1", "lm_head", "model.embed_tokens")["Parameters"] == whole
    hover = studio.centre.state["facts"]["model.layers.1"]["lines"]
    assert "2 × 8 × 32 → 2 × 8 × 32" in hover


def test_a_form_asks_what_the_kind_of_adapter_has(studio: Studio) -> None:
    """Another kind has other fields; what was entered for one that is gone is in the way of nothing."""
    studio.session.attach("model.layers.0.mlp.up_proj")
    select(studio, "model.layers.0.mlp.up_proj")
    send(studio.right, type="operation", name="attach")
    send(studio.right, type="field", name="called", value="gates")
    send(studio.right, type="field", name="rank", value=4)
    names = [field["name"] for field in studio.right.state["form"]["fields"]]
    assert names == ["targets", "adapter", "rank", "alpha", "seed", "called", "ties"]
    send(studio.right, type="field", name="adapter", value="ia3")
    studio.background.settle(60)
    assert studio.right.state["dry_run"]["error"] is None and studio.right.state["chart"]["title"]
    fields = {field["name"]: field for field in studio.right.state["form"]["fields"]}
    assert list(fields) == ["targets", "adapter", "called", "ties", "side"]
    assert {"value": "ia3", "label": "(IA)³"} in fields["adapter"]["choices"]


def test_a_form_offers_what_suits_the_targets(studio: Studio) -> None:
    """Of PEFT's types those that go around a linear layer, with a word on what is not the identity."""
    select(studio, "model.layers.0.mlp.up_proj")
    send(studio.right, type="operation", name="attach")
    studio.background.settle(120)
    fields = {field["name"]: field for field in studio.right.state["form"]["fields"]}
    choices = {choice["value"]: choice["label"] for choice in fields["adapter"]["choices"]}
    assert {"lora", "bottleneck", "peft:loha", "peft:oft"} <= choices.keys()
    assert not {"scse", "peft:ia3", "peft:prefix_tuning", "peft:vera"} & choices.keys()
    assert choices["peft:c3a"] == "peft:c3a (not the identity at first)"
    send(studio.right, type="field", name="adapter", value="peft:lokr")
    send(studio.right, type="field", name="options", value="decompose_both=true, alpha=3")
    studio.background.settle(60)
    fields = {field["name"]: field for field in studio.right.state["form"]["fields"]}
    assert list(fields) == ["targets", "adapter", "rank", "alpha", "seed", "called", "ties", "options"]
    assert (fields["options"]["kind"], fields["options"]["value"]) == ("text", "decompose_both=true, alpha=3")
    assert studio.right.state["dry_run"]["error"] is None
    send(studio.right, type="apply")
    studio.background.settle(60)
    assert studio.session.steps[0].options.data == {"decompose_both": True, "alpha": 3}


def test_a_form_offers_what_suits_a_convolution() -> None:
    """Other types than for a linear layer, and gates for its channels."""
    studio = Studio(surgery.open(*ZOO["cnn"]()))
    select(studio, "stem.0")
    send(studio.right, type="operation", name="attach")
    studio.background.settle(120)
    fields = {field["name"]: field for field in studio.right.state["form"]["fields"]}
    offered = [choice["value"] for choice in fields["adapter"]["choices"]]
    assert {"lora", "scse", "peft:loha", "peft:lokr"} <= set(offered)
    assert not {"dora", "peft:road", "peft:c3a"} & set(offered)


def test_choices_say_what_they_mean(studio: Studio) -> None:
    """The label is for people; the value that is stored is the script's."""
    select(studio, "model.layers.1", "model.layers.2")
    send(studio.right, type="operation", name="tie")
    (start,) = [field for field in studio.right.state["form"]["fields"] if field["name"] == "start"]
    assert start["choices"][0] == {"value": "to", "label": "the kept module's"}
    assert start["value"] == "to"


MALFORMED: list[Callable[[Studio], None]] = [
    lambda studio: send(studio.centre, type="select", paths=["no.such", 7], mode="set"),
    lambda studio: send(studio.centre, type="open", path="no.such"),
    lambda studio: send(studio.right, type="operation", name="no_such"),
    lambda studio: send(studio.right, type="field", name="ratio", value=1),
    lambda studio: send(studio.right, type="apply"),
    lambda studio: send(studio.past, type="goto", id="99"),
    lambda studio: send(studio.left, type="search", text="model.layers["),
]


@pytest.mark.parametrize("gesture", MALFORMED)
def test_malformed_gestures_change_nothing(studio: Studio, gesture: Callable[[Studio], None]) -> None:
    """Unknown paths, operations and states leave session and desk as they were."""
    gesture(studio)
    assert len(studio.session.steps) == 0
    assert studio.desk.selection == [] and studio.desk.opened is None and studio.desk.draft is None


def test_search_selects_only_on_enter(studio: Studio) -> None:
    """Typing counts and marks what matches; Enter selects it."""
    select(studio, "model.norm")
    send(studio.left, type="search", text="model.layers[1:3]", submit=False)
    assert studio.left.state["matches"] == 2
    assert studio.left.state["found"] == ["model.layers.1", "model.layers.2"]
    assert studio.desk.selection == ["model.norm"]
    send(studio.left, type="search", text="model.layers[1:3]", submit=True)
    assert studio.desk.selection == ["model.layers.1", "model.layers.2"]


def test_new_selection_keeps_typed_values(studio: Studio) -> None:
    """Only the selectors follow the selection: a ratio that was typed stays."""
    select(studio, "model.layers.1")
    send(studio.right, type="operation", name="sparsify")
    send(studio.right, type="field", name="ratio", value=0.1)
    send(studio.left, type="search", text="layers[2:4]", submit=True)
    studio.background.settle(60)
    assert studio.right.state["dry_run"]["python"] == 's.sparsify("model.layers[2:4]", ratio=0.1)'
    send(studio.right, type="operation", name="remove")
    send(studio.right, type="operation", name="sparsify")
    assert "ratio" not in studio.desk.draft.values  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ZOO)
def test_studio_opens_every_zoo_model(name: str) -> None:
    """Every model has a scene with nodes, and all of it can be opened but what the overview shows open."""
    model, inputs = ZOO[name]()
    studio = Studio(surgery.open(model, inputs))
    nodes = studio.centre.state["overview"]["nodes"]
    assert nodes
    strips = [node["path"] for node in nodes if node["kind"] == "strip"]
    for path, node in studio.session.graph.by_path.items():
        if node.children:
            send(studio.centre, type="open", path=path)
            opened = studio.centre.state["open"]
            assert (opened is None) == (path in strips)
            assert opened is None or opened["path"] == path


def test_adapted_block_is_drawn_as_before(studio: Studio) -> None:
    """An adapter is one node with what it adapts, marked; opened itself, it shows its inside."""

    def drawn(path: str) -> tuple[list[tuple[str, bool]], int]:
        send(studio.centre, type="open", path=path)
        block = studio.centre.state["open"]
        return [(node["title"], node["adapted"]) for node in block["nodes"]], len(block["edges"])

    before, edges = drawn("model.layers.1")
    studio.session.attach("model.layers.1.self_attn.{q,v}_proj")
    after, edges_after = drawn("model.layers.1")
    assert [title for title, _ in after] == [title for title, _ in before]
    assert {title for title, adapted in after if adapted} == {"q_proj", "v_proj"}
    assert edges_after == edges
    inside, _ = drawn("model.layers.1.self_attn.q_proj")
    assert ("base", True) in inside


def test_a_note_on_how_the_model_was_opened_is_shown() -> None:
    """Without example inputs the top bar says so, and how to pass them; it can be dismissed."""
    studio = Studio(surgery.open(ZOO["cnn"]()[0]))
    notice = studio.top.state["notice"]
    assert notice["tone"] == "note"
    assert "surgery.open(model, inputs=" in notice["text"]
    send(studio.top, type="dismiss")
    assert studio.top.state["notice"] is None


def test_a_failing_module_marks_the_card_it_is_in() -> None:
    """The node says what its forward raised, though the module lies deeper than what is drawn."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU(), nn.Sequential(nn.Linear(3, 3))))
    studio = Studio(surgery.open(model, torch.ones(1, 2)))
    assert studio.graph.problem is not None
    assert studio.graph.problem.path == "1.1.0"
    marked = {
        node["path"]: node["error"] for node in studio.centre.state["overview"]["nodes"] if node["error"]
    }
    assert list(marked) == ["1"]
    assert "RuntimeError" in marked["1"]


def test_a_retrace_in_code_reaches_the_studio() -> None:
    """What code traced anew is what is drawn next."""
    session = surgery.open(*ZOO["llama"]())
    studio = Studio(session)
    session.retrace({"input_ids": torch.zeros(1, 5, dtype=torch.long)}, real=False)
    assert studio.graph.tokens == 5


def test_a_forward_that_fails_is_said_at_once() -> None:
    """The top bar names module and error when the studio opens."""
    studio = Studio(surgery.open(nn.Sequential(nn.Linear(2, 2), nn.Linear(3, 3)), torch.ones(1, 2)))
    notice = studio.top.state["notice"]
    assert notice["tone"] == "bad"
    assert notice["text"].startswith("1: the forward fails: RuntimeError")


def test_numbered_modules_are_not_new() -> None:
    """Only what a step made is marked so, whatever the modules of the base are called."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    studio = Studio(surgery.open(model, torch.ones(1, 2)))
    assert [row["mark"] for row in studio.left.lasting["rows"]] == [None, None, None]
    studio.session.attach("[1]", "lora", rank=1)
    studio.refresh()
    assert {row["path"]: row["mark"] for row in studio.left.lasting["rows"]}["1"] == "new"


def test_the_first_minute_is_for_models_with_blocks() -> None:
    """What to try speaks of a strip of blocks; without one it isn't shown."""
    assert Studio(surgery.open(*ZOO["llama"]())).top.state["first_minute"]
    assert not Studio(surgery.open(*ZOO["siamese"]())).top.state["first_minute"]
