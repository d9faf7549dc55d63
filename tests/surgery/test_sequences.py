"""Any sequence of operations, undo, redo and goto keeps what the contract promises of each single one.

The ordinary run makes a hundred repeatable examples over all models; `make check-long` makes 2,000 at random.
"""

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from torch import nn

import surgery
from graph.costs import costs
from surgery import Script, SurgeryError
from surgery.fields import FieldSpec
from surgery.fingerprint import Fingerprinter
from surgery.operation import Operation
from surgery.recipes import one_thread
from surgery.registry import operation_named, operations
from tests.surgery.contract import parent_of
from tests.surgery.states import run, snapshot, untouched
from tests.zoo import ZOO

EXAMPLES = os.environ.get("SURGERY_EXAMPLES")

# What a field may hold, where its kind alone would seldom give something that fits.
FITTING: dict[tuple[str, str], st.SearchStrategy[Any]] = {
    ("merge", "weights"): st.sampled_from([(), (0.75, 0.25), (0.5, 0.25, 0.25)]),
    ("sparsify", "ratio"): st.sampled_from([0.01, 0.5, 1.0]),
    ("narrow", "ratio"): st.sampled_from([None, 0.25, 0.5]),
    ("narrow", "count"): st.sampled_from([None, None, 2]),
    ("narrow", "kept"): st.sampled_from([(), (), (), (0, 1)]),
    ("pad", "count"): st.sampled_from([None, 4, 60]),
    ("attach", "rank"): st.integers(1, 3),
    ("attach", "alpha"): st.none(),
    ("insert", "module"): st.sampled_from(["identity", "linear", "rmsnorm"]),
    ("replace", "module"): st.sampled_from([None, "linear"]),
    ("wrap", "wrapper"): st.sampled_from(["scale", "residual", "prenorm", "postnorm"]),
    ("combine", "called"): st.sampled_from(["default", "default, combined"]),
    ("narrow", "found"): st.none(),
    ("shorten", "count"): st.sampled_from([None, 1, 2]),
    ("low_rank", "rank"): st.sampled_from([None, 4]),
    ("low_rank", "size"): st.sampled_from([None, 0.5]),
    ("prune", "to"): st.sampled_from(["", "-10 %"]),
    ("prune", "ratio"): st.sampled_from([None, 0.25]),
    ("tucker", "energy"): st.sampled_from([None, 0.6]),
    ("cast", "dtype"): st.sampled_from(["float64", "float32"]),
}

BLOCKWISE = (
    "remove",
    "keep",
    "move",
    "swap",
    "duplicate",
    "tie",
    "merge",
    "replace",
    "insert",
    "skip",
    "wrap",
)


def _values(spec: FieldSpec, name: str) -> st.SearchStrategy[Any]:
    """Values of a field that selects nothing."""
    if (name, spec.name) in FITTING:
        return FITTING[name, spec.name]
    if spec.choices:
        return st.sampled_from(spec.choices)
    if spec.kind == "flag":
        return st.booleans()
    if spec.kind == "integer" and (spec.default is not None or spec.required):
        least = int(spec.minimum or 0)
        return st.integers(least, max(least, 3))
    return st.just(spec.default)


@cache
def _opened(name: str) -> tuple[nn.Module, Any, list[Any]]:
    """The model for all examples, since none may touch it, its inputs, and what it must still be."""
    model, inputs = ZOO[name]()
    return model, inputs, untouched(model)


def _known(model: nn.Module, inputs: Any) -> Any:
    """The inputs with the last token in place of those that a narrowed vocabulary does not have any more."""
    if not isinstance(inputs, dict) or "input_ids" not in inputs:
        return inputs
    vocabulary = model.get_input_embeddings().num_embeddings
    return {**inputs, "input_ids": inputs["input_ids"].clamp_max(vocabulary - 1)}


# Most moves are operations; the rest walks in the history.
MOVES = ["operate"] * 8 + ["undo", "undo", "redo", "goto", "keep_and_load"]


class Surgery(RuleBasedStateMachine):
    """A session on one model of the zoo, with what each of its states was."""

    model_name: ClassVar[str]
    blocks: ClassVar[str]
    selectors: ClassVar[tuple[str, ...]] = ("**:Linear", "**.{q_proj,up}")

    def __init__(self) -> None:
        super().__init__()
        self.opened, self.inputs, self.before = _opened(self.model_name)
        self.session = surgery.open(self.opened, self.inputs)
        self.session.data = [self.inputs]
        self.known: dict[int, Any] = {0: self.now()}

    def now(self) -> Any:
        """Objects, key order, aliases, config and output of the present state."""
        model = self.session.model
        return snapshot(model), run(model, _known(model, self.inputs)).numpy().tobytes()

    def target(self, data: st.DataObject, name: str, *, one: bool = False) -> str:
        """Mostly what the operation is for: blocks, or many modules; else any module there is now."""
        if data.draw(st.integers(0, 3)) == 3:
            paths = [path for path, _ in self.session.model.named_modules(remove_duplicate=False) if path]
            return str(data.draw(st.sampled_from(paths)))
        if one or name in BLOCKWISE:
            start, length = data.draw(st.integers(0, 3)), 1 if one else data.draw(st.integers(1, 3))
            return f"{self.blocks}[{start}]" if length == 1 else f"{self.blocks}[{start}:{start + length}]"
        return str(data.draw(st.sampled_from(["**", *self.selectors, f"{self.blocks}.*"])))

    def step(self, data: st.DataObject) -> Operation:
        """An operation with drawn targets and fields."""
        cls = operation_named(data.draw(st.sampled_from(list(operations()))))
        fields = {}
        for spec in cls.specs:
            if spec.kind in ("path", "paths"):
                fields[spec.name] = self.target(data, cls.name, one=spec.kind == "path")
            elif spec.kind == "parents" and spec.required:
                fields[spec.name] = [parent_of(self.model_name), parent_of(self.model_name, 0.5)][
                    : data.draw(st.integers(1, 2))
                ]
            elif spec.kind not in ("parents", "measured"):
                fields[spec.name] = data.draw(_values(spec, cls.name))
        if cls.name == "replace" and fields["module"]:
            del fields["by"]  # one of them
        return cls.from_fields(fields)

    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        """One rule for all, as hypothesis would leave out rules at random, and operations with them."""
        name = data.draw(st.sampled_from(MOVES))
        if name in ("operate", "goto"):
            getattr(self, name)(data)
        else:
            getattr(self, name)()

    def operate(self, data: st.DataObject) -> None:
        """Previewed and applied, a step costs the same; refused, it changes nothing and says why."""
        step = self.step(data)
        sentences, figures = [], []
        bounds: frozenset[str] | None = None
        measures = step.awaits_measure
        here, before = self.session.history.current, self.known[self.session.history.current.id]
        for act in (self.session.preview, self.session.apply):
            try:
                done = act(step)
            except SurgeryError as error:
                sentences.append(str(error))
                assert "\n" not in str(error)
                assert self.session.history.current is here and self.now() == before
            else:
                if act == self.session.preview:
                    bounds = done.bounds
                figures.append(done.after if act == self.session.preview else costs(self.session.graph))
        note(f"{step}: {sentences or 'done'}")
        if sentences:
            # What a measure finds out no preview can know; what a preview refuses is refused all the same.
            assert (measures and len(sentences) == 1) or (sentences == [sentences[0]] * 2 and not figures)
            assert self.session.history.current is here
            return
        for name in bounds or ():
            assert getattr(figures[1], name) <= getattr(figures[0], name), name
        assert bounds is not None or figures[0] == figures[1]
        self.known[self.session.history.current.id] = self.now()

    def undo(self) -> None:
        """The state before, or a refusal at the base."""
        here = self.session.history.current
        if here.parent is None:
            with pytest.raises(SurgeryError, match="nothing to undo"):
                self.session.undo()
        else:
            assert self.session.undo() is here.parent

    def redo(self) -> None:
        """A child of the present state, or a refusal where nothing was undone."""
        here = self.session.history.current
        if self.session.history.can_redo:
            assert self.session.redo().parent is here
        else:
            with pytest.raises(SurgeryError, match="nothing to redo"):
                self.session.redo()

    def goto(self, data: st.DataObject) -> None:
        """Any state made so far."""
        state = data.draw(st.sampled_from(sorted(self.known)))
        assert self.session.goto(state).id == state

    @invariant()
    def state_is_as_it_was_left(self) -> None:
        """Objects, order, aliases and outputs are those this state had when it was made."""
        assert self.now() == self.known[self.session.history.current.id]

    @invariant()
    def script_round_trips(self) -> None:
        """JSON and back, whatever the steps."""
        script = self.session.script
        assert Script.from_json(script.to_json()) == script

    @invariant()
    def opened_model_is_untouched(self) -> None:
        """Values, flags, hooks and config."""
        assert untouched(self.opened) == self.before

    def teardown(self) -> None:
        """Undo leads all the way back; the script replays to the same bits, a saved folder loads to them."""
        here, found = self.session.history.current, self.session.fingerprint()
        while self.session.history.current.parent is not None:
            self.session.undo()
        assert self.now() == self.known[0]
        self.session.goto(here)
        self.keep_and_load()
        assert self.session.fingerprint() == found

    def keep_and_load(self) -> None:
        """The script replays to the same bits; a saved folder loads to them."""
        found = self.session.fingerprint()
        with tempfile.TemporaryDirectory() as folder:
            script = self.session.script.write(Path(folder) / "edits.surgery.json")
            assert surgery.replay(script, self.opened, inputs=self.inputs).fingerprint() == found
            self.session.save(Path(folder) / "out")
            into = None if self.session.patient.model_type else self.opened
            assert Fingerprinter()(surgery.load(Path(folder) / "out", into=into)) == found


class OnLlama(Surgery):
    """A transformers decoder: tied head, grouped queries, config and cache follow."""

    model_name, blocks = "llama", "model.layers"


class OnPlainTorch(Surgery):
    """Residual blocks in a list, the head used by a function."""

    model_name, blocks = "tied_head", "blocks"


class OnConvolutions(Surgery):
    """Batch norms with running statistics, which measures and merges change."""

    model_name, blocks, selectors = "cnn", "stage2", ("**:Conv2d", "**:BatchNorm2d")


@pytest.mark.parametrize(("machine", "share"), [(OnLlama, 0.4), (OnPlainTorch, 0.3), (OnConvolutions, 0.3)])
def test_any_sequence_keeps_the_contract(machine: type[Surgery], share: float) -> None:
    """Random steps, refusals, undo, redo, walks in the history, replays and saved folders."""
    with one_thread():  # models this small are slower where threads wait for each other
        run_state_machine_as_test(machine, settings=_settings(share))


def _settings(share: float) -> settings:
    return settings(
        max_examples=round(share * int(EXAMPLES or 100)),
        stateful_step_count=8,
        deadline=None,
        derandomize=EXAMPLES is None,
        database=None,
        suppress_health_check=list(HealthCheck),
        # To make a failing sequence shorter takes minutes; the long run has them.
        phases=[phase for phase in Phase if EXAMPLES or phase not in (Phase.shrink, Phase.explain)],
    )
