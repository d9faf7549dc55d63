"""A sweep gives what applying and evaluating each edit by itself gives, and leaves the session as it was."""

from __future__ import annotations

import json
import math
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import surgery
from graph.shell import shell
from surgery import SurgeryError
from surgery.evaluate import Evaluator, Stopped, token_windows
from surgery.evaluate.data import tensors
from surgery.evaluate.sweep import SweepReport, candidates
from surgery.registry import operation_named
from surgery.script import step_data
from tests.surgery.evaluate.conftest import decoder, tokens
from tests.surgery.states import snapshot
from tests.zoo import ATLAS

EXAMPLES = token_windows(tokens(24))


@pytest.fixture
def session() -> surgery.Session:
    """Four blocks of width 32."""
    return surgery.open(decoder(blocks=4).eval())


def by_hand(session: surgery.Session, report: SweepReport, budget_s: float = math.inf) -> list[Any]:
    """The figures of each row from an evaluation of its own, of edits applied and undone one by one."""
    base = shell(session.model).model
    evaluator = Evaluator(base, examples=EXAMPLES, device="cpu", tape_bytes=0)
    found = []
    for row in report:
        session.apply(row.step)
        found.append(evaluator.evaluate(session.model, budget_s).results)
        session.undo()
    return found


SWEEPS: list[tuple[str, str, dict[str, Any], int]] = [
    ("remove", "model.layers[*]", {}, 4),
    ("remove", "model.layers[*]", {"of": 2}, 3),
    ("tie", "model.layers[*]", {}, 3),
    ("swap", "model.layers[*]", {}, 3),
    ("sparsify", "**.mlp.up_proj", {"ratio": 0.5}, 4),
    ("narrow", "model.layers[*]", {"units": "neurons", "ratio": 0.25}, 4),
    ("skip", "model.layers.*.mlp", {}, 4),
]


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("name, select, fields, count", SWEEPS)
def test_a_sweep_finds_what_single_evaluations_find(
    session: surgery.Session, name: str, select: str, fields: dict[str, Any], count: int, exact: bool
) -> None:
    """Bit for bit, interval and all, whether the candidates share a pass or not."""
    found = session.sweep(name, select, examples=EXAMPLES, budget_s=math.inf, exact=exact, **fields)
    assert len(found.measured) == count
    assert all(row.shared is not exact for row in found)
    assert [row.figures for row in found] == by_hand(session, found)
    assert [row.cost("perplexity") for row in found] == sorted(row.cost("perplexity") for row in found)


@pytest.mark.parametrize("name, blocks", [("gemma3", "model.layers"), ("bert", "bert.encoder.layer")])
def test_models_of_other_kinds(name: str, blocks: str) -> None:
    """Blocks that are given masks of their own kinds are found out by the probe and run by themselves."""
    model, inputs = ATLAS[name]()
    session = surgery.open(model, inputs)
    vocabulary = int(model.config.vocab_size)
    examples = token_windows(tokens(6, window=8, vocabulary=vocabulary))
    for step in ("remove", "swap"):
        shared, alone = (
            session.sweep(step, f"{blocks}[*]", examples=examples, budget_s=0, exact=exact, device="cpu")
            for exact in (False, True)
        )
        for one, two in zip(shared, alone, strict=True):
            assert step_data(one.step) == step_data(two.step)
            assert [f.value for f in one.figures] == pytest.approx([f.value for f in two.figures], rel=1e-5)


def test_each_head_and_each_expert_in_turn() -> None:
    """One candidate per unit, which alone is gone."""
    model, inputs = ATLAS["mixtral"]()
    session = surgery.open(model, inputs)
    count = model.config.num_local_experts * model.config.num_hidden_layers
    steps = candidates(session.patient, "narrow", "model.layers[*]", each=True, units="experts")
    assert len(steps) == count
    assert {len(step.kept) for step in steps} == {model.config.num_local_experts - 1}  # type: ignore[attr-defined]
    groups = model.config.num_key_value_heads * model.config.num_hidden_layers
    assert len(candidates(session.patient, "narrow", "**", each=True, units="heads")) == groups


def test_the_session_stays_as_it_was(session: surgery.Session) -> None:
    """Its model, its history, the opened model."""
    opened, current, history = snapshot(session.opened.model), snapshot(session.model), len(session.steps)
    session.sweep("remove", "model.layers[*]", examples=EXAMPLES, budget_s=0)
    assert (opened, current, history) == (
        snapshot(session.opened.model),
        snapshot(session.model),
        len(session.steps),
    )


def test_a_sweep_starts_from_the_state_the_session_is_in(session: surgery.Session) -> None:
    """Costs are those beside the edited model, not beside the opened one."""
    session.remove("model.layers.1")
    found = session.sweep("remove", "model.layers[*]", examples=EXAMPLES, budget_s=math.inf)
    assert len(found) == 3
    assert [row.figures for row in found] == by_hand(session, found)


class Chain(nn.Module):
    """Classifies; its blocks have a residual between them, so that candidates share nothing."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(6, 6), nn.Tanh()) for _ in range(3)])
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = x + block(x)
        out: Tensor = self.head(x)
        return out


def test_blocks_with_something_between_them_run_one_after_another() -> None:
    """And what is refused is listed with its reason, last."""
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    session = surgery.open(Chain().eval(), (x[:2],))
    labels = session.model(x).argmax(1)
    examples = tensors(x, labels)
    found = session.sweep("sparsify", "**", examples=examples, budget_s=0, ratio=0.9)
    assert found.by == "accuracy"
    assert not any(row.shared for row in found)
    assert found.measured[0].cost("accuracy") <= found.measured[-1].cost("accuracy")
    assert all(row.refused for row in found.rows[len(found.measured) :])


def test_batches_that_fill_a_processor_are_not_made_larger(
    session: surgery.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The candidates run one after another over the tape, and cost what they cost together."""
    shared = session.sweep("remove", "model.layers[*]", examples=EXAMPLES, budget_s=0, device="cpu")
    monkeypatch.setattr("surgery.evaluate.sweep.sweeper.FILLS_CPU", 8 * 16)
    alone = session.sweep("remove", "model.layers[*]", examples=EXAMPLES, budget_s=0, device="cpu")
    assert all(row.shared for row in shared) and not any(row.shared for row in alone)
    assert [row.figures for row in alone] == [row.figures for row in shared]


def test_ranks_and_scores(session: surgery.Session) -> None:
    """What cannot be told apart shares a rank; a path has the least cost that was found at it."""
    found = session.sweep("sparsify", "model.layers[*]", examples=EXAMPLES, budget_s=0, ratio=0.01)
    assert sorted(found.scores) == [f"model.layers.{number}" for number in range(4)]
    assert found.ranks[0] == 1 and sorted(found.ranks) == list(found.ranks)
    twice = SweepReport((found[0], found[0], found[1]), found.by, 1, "window", 0.0, "cpu", "")
    assert twice.ranks[:2] == (1, 1)


def test_the_best_edits_make_a_script(session: surgery.Session, tmp_path: Path) -> None:
    """Edits that differ in their place alone are one step: removing one would rename the others."""
    found = session.sweep("remove", "model.layers[*]", examples=EXAMPLES, budget_s=0)
    (step,) = found.best(2)
    session.apply(step)
    assert session.model.config.num_hidden_layers == 2
    assert len(session.sweep("tie", "model.layers[*]", examples=EXAMPLES, budget_s=0).best(1)) == 1
    with pytest.raises(SurgeryError, match="no such number of edits"):
        found.best(5)


def test_stopping_gives_what_is_known_and_resuming_goes_on(
    session: surgery.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of the first run are not measured again, and the whole is what one run would have given."""
    monkeypatch.setattr("surgery.evaluate.sweep.sweeper.GROUP", 2)
    file, stop = tmp_path / "sweep.json", threading.Event()
    whole = session.sweep("remove", "model.layers[*]", examples=EXAMPLES, budget_s=0)

    def after_two(fraction: float, label: str) -> None:
        if fraction >= 0.5:
            stop.set()

    first = session.sweep(
        "remove", "model.layers[*]", examples=EXAMPLES, budget_s=0, resume=file, progress=after_two, stop=stop
    )
    assert first.stopped and len(first) == 2
    assert "2 of 4 edits were measured" in str(first)
    told: list[float] = []
    rest = session.sweep(
        "remove",
        "model.layers[*]",
        examples=EXAMPLES,
        budget_s=0,
        resume=file,
        progress=lambda fraction, label: told.append(fraction),
    )
    assert min(told) > 0.5 and told == sorted(told) and told[-1] == 1.0
    assert [(row.step, row.figures) for row in rest] == [(row.step, row.figures) for row in whole]
    assert "4 of 4 edits shared a pass, bit-equal to evaluations of their own (2 as an earlier" in str(rest)
    data = json.loads(file.read_text())
    for row in list(data["rows"].values())[:3]:
        del row["equal"]  # as a file written before has it
    file.write_text(json.dumps(data))
    read = session.sweep("remove", "model.layers[*]", examples=EXAMPLES, budget_s=0, resume=file)
    assert "nothing says how near 3 of them" in str(read) and not read.equal


def test_a_sweep_that_is_stopped_at_once_has_nothing(session: surgery.Session) -> None:
    """Stopped, as an evaluation is."""
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        session.sweep("remove", "model.layers[*]", examples=EXAMPLES, stop=stop)


def test_going_on_with_another_sweep_is_refused(session: surgery.Session, tmp_path: Path) -> None:
    """Another model, other examples; a file that is none."""
    file = tmp_path / "sweep.json"
    session.sweep("remove", "model.layers[*]", examples=EXAMPLES, budget_s=0, resume=file)
    with pytest.raises(SurgeryError, match="of another model"):
        session.sweep("remove", "model.layers[*]", examples=token_windows(tokens(5)), resume=file)
    file.write_text(json.dumps({"rows": 3}))
    with pytest.raises(SurgeryError, match="no sweep"):
        session.sweep("remove", "model.layers[*]", examples=EXAMPLES, resume=file)


@pytest.mark.parametrize(
    "name, select, fields, sentence",
    [
        ("remove", "model.layers[9]", {}, "matches nothing"),
        ("tie", "model.layers[0]", {}, "nothing to sweep tie over"),
        ("remove", "model.layers[*]", {"each": True}, "one by one"),
        ("fold", "model.layers[*]", {}, "could be measured"),
        ("nonsense", "**", {}, "nonsense"),
    ],
)
def test_bad_sweeps(
    session: surgery.Session, name: str, select: str, fields: dict[str, Any], sentence: str
) -> None:
    """Refused with a sentence."""
    with pytest.raises(SurgeryError, match=sentence):
        session.sweep(name, select, examples=EXAMPLES, budget_s=0, **fields)


def test_operations_named_in_a_row_are_data(session: surgery.Session) -> None:
    """A report is JSON, steps and figures in it."""
    found = session.sweep("remove", "model.layers[1:3]", examples=EXAMPLES, budget_s=0)
    data = json.loads(json.dumps(found.to_dict()))
    assert data["rows"][0]["step"] == step_data(found[0].step)
    assert operation_named("remove").of("model.layers[1]").name == data["rows"][0]["step"]["operation"]
