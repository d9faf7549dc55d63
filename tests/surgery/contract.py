"""The contract every operation keeps, as functions over a case: a zoo model and an operation on it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

import surgery
from graph.costs import costs, kv_cache_bytes_per_token
from surgery.adapters.export import export
from surgery.checkpoint.adapter import WEIGHTS
from surgery.edits import Site
from surgery.journal import Journal
from surgery.lazy import Held, Lazy
from surgery.model import Patient
from surgery.operation import Operation
from surgery.preview import Preview, sketch
from surgery.recipes import compute
from surgery.registry import operation_named
from surgery.script import step_data, step_from
from surgery.session import Session
from tests.surgery.rewriting.models import branched
from tests.surgery.states import cached_equals_uncached, loads_again, run, snapshot, untouched
from tests.zoo import ZOO
from tests.zoo.channels import CHANNELS


def half() -> tuple[nn.Module, Any]:
    """The small Llama in bfloat16, as `from_pretrained` gives it: rotary frequencies stay float32."""
    model, inputs = ZOO["llama"]()
    for parameter in model.parameters():
        parameter.data = parameter.data.bfloat16()
    return model, inputs


def many_tokens() -> tuple[nn.Module, Any]:
    """The small Llama with enough tokens to fit a linear layer of its width."""
    model, _ = ZOO["llama"]()
    drawn = torch.Generator().manual_seed(5)
    return model, {"input_ids": torch.randint(0, 64, (8, 56), generator=drawn)}


class Repeated(nn.Module):
    """A list that holds one block twice, with a tie inside each block."""

    def __init__(self) -> None:
        super().__init__()
        first, second = (nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6)) for _ in range(2))
        for block in (first, second):
            block[1].weight = block[0].weight
        self.blocks = nn.ModuleList([first, first, second])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = x + block(x)
        return x


def repeated() -> tuple[nn.Module, Any]:
    """A `Repeated` with fixed weights."""
    torch.manual_seed(0)
    return Repeated().eval(), (torch.randn(2, 6),)


MODELS: dict[str, Callable[[], tuple[nn.Module, Any]]] = {
    **(ZOO | CHANNELS),
    **{"half": half, "many_tokens": many_tokens, "repeated": repeated, "branched": branched},
}

PARENT, PARENTS, ADAPTER, NARROWER = "<parent>", "<parents>", "<adapter>", "<narrower>"


@cache
def parent_of(model: str, ratio: float = 0.3) -> str:
    """A folder with a sparsified copy of a model, to merge with."""
    made, inputs = MODELS[model]()
    session = surgery.open(made, inputs)
    session.sparsify("**", ratio)
    return str(session.save(Path(tempfile.mkdtemp(prefix="surgery-parent-")) / "parent"))


@cache
def narrower(model: str) -> str:
    """A folder with a model that lacks a quarter of the neurons, or of the channels."""
    made, inputs = MODELS[model]()
    session = surgery.open(made, inputs)
    session.narrow("**", units="channels" if model == "cnn" else "neurons", ratio=0.25)
    return str(session.save(Path(tempfile.mkdtemp(prefix="surgery-parent-")) / "narrower"))


@cache
def adapter_of(model: str) -> str:
    """A folder with an adapter for a model's queries, in PEFT's format."""
    made, inputs = MODELS[model]()
    session = surgery.open(made, inputs)
    session.attach("**.q_proj", rank=2)
    folder = export(session, Path(tempfile.mkdtemp(prefix="surgery-adapter-")) / "adapter")
    drawn = torch.Generator().manual_seed(2)  # the state of others stays
    tensors = load_file(folder / WEIGHTS)
    values = {name: torch.randn(tensor.shape, generator=drawn) * 0.1 for name, tensor in tensors.items()}
    save_file(values, folder / WEIGHTS)
    return str(folder)


@dataclass(frozen=True)
class Case:
    """An operation on a zoo model, after `first` steps that prepare it."""

    model: str
    operation: str
    fields: dict[str, Any]
    first: tuple[tuple[str, dict[str, Any]], ...] = ()
    lossless: bool = False

    def __str__(self) -> str:
        return f"{self.model}-{self.operation}-" + "-".join(str(value) for value in self.fields.values())

    def session(self) -> Session:
        """A fresh session, prepared."""
        return self.session_on(*MODELS[self.model]())

    def session_on(self, model: nn.Module, inputs: Any) -> Session:
        """A session on this model, prepared; measures have the inputs for data."""
        session = surgery.open(model, inputs)
        session.data = [inputs]
        for name, fields in self.first:
            session.apply(operation_named(name).from_fields(fields))
        return session

    def step(self) -> Operation:
        """The operation, unresolved."""
        fields = dict(self.fields)
        if fields.get("parents") == PARENT:
            fields["parents"] = [parent_of(self.model)]
        elif fields.get("parents") == ADAPTER:
            fields["parents"] = [adapter_of(self.model)]
        elif fields.get("parents") == NARROWER:
            fields["parents"] = [narrower(self.model)]
        elif fields.get("parents") == PARENTS:
            fields["parents"] = [parent_of(self.model), parent_of(self.model, 0.5)]
        return operation_named(self.operation).from_fields(fields)


def holds(case: Case, folder: Path, *, decodes: bool = False) -> None:
    """The whole contract on one session: before the step, after it, and when it is undone.

    `folder` is empty, for what is written; of what `decodes`, cached generation is compared too.
    """
    model, inputs = MODELS[case.model]()
    opened = untouched(model)
    session = case.session_on(model, inputs)
    round_trips(case, session)
    plan_is_pure(case, session)
    shown = session.preview(case.step())
    step = undo_restores(case, session)
    preview_equals_live(shown, step, session)
    lineage_equals_live(step, session)
    replay_equals_live(case, session, folder)
    survives_saving(case, session, folder)
    if decodes:
        cached_equals_uncached(session.model)
    session.undo()
    assert untouched(model) == opened  # tensors, buffers, flags, hooks and config of what was opened


def round_trips(case: Case, session: Session) -> None:
    """A step is the same after JSON, resolved or not."""
    step = case.step()
    assert step_from(step_data(step), "step") == step
    resolved = step.resolved(session.patient)
    assert step_from(step_data(resolved), "step") == resolved


def plan_is_pure(case: Case, session: Session) -> None:
    """Planning and previewing change neither the model nor the random state."""
    before, random = snapshot(session.model), torch.get_rng_state()
    step = case.step().resolved(session.patient)
    list(step.plan(session.patient))
    assert list(step.with_measure(session.patient, session.data).plan(session.patient))
    session.preview(case.step())
    assert snapshot(session.model) == before
    assert torch.equal(torch.get_rng_state(), random)


def undo_restores(case: Case, session: Session) -> Operation:
    """Undo gives back every object, key order, alias and output; redo the very edited objects.

    Gives the step as it was applied, with what it measured; the session is left with it.
    """
    inputs = session.opened.inputs
    before, output = snapshot(session.model), run(session.model, inputs)
    step = session.apply(case.step()).step
    assert step is not None
    after, edited = snapshot(session.model), run(session.model, inputs)
    assert after != before
    session.undo()
    assert snapshot(session.model) == before
    assert torch.equal(run(session.model, inputs), output)
    session.redo()
    assert snapshot(session.model) == after
    assert torch.equal(run(session.model, inputs), edited)
    if case.lossless:
        assert torch.equal(edited, output)
    return step


def preview_equals_live(shown: Preview, step: Operation, session: Session) -> None:
    """The figures `shown` before are those of the edited model; bounds hold until it is measured."""
    figures = costs(session.graph, kv_bytes_per_token=kv_cache_bytes_per_token(session.graph))
    for name in shown.bounds or ():
        assert getattr(figures, name) <= getattr(shown.after, name), name
    if shown.bounds is not None:
        session.undo()
        shown = session.preview(step)
        session.redo()
    assert shown.bounds is None and shown.after == figures
    if shown.nonzero:
        actual = sum(int(torch.count_nonzero(parameter)) for parameter in session.model.parameters())
        assert actual <= shown.nonzero[1]


def replay_equals_live(case: Case, session: Session, folder: Path) -> None:
    """The script replays to the same bits on the same base."""
    model, inputs = MODELS[case.model]()
    script = session.script.write(folder / "edits.surgery.json")
    again = surgery.replay(script, model, inputs=inputs)
    assert again.fingerprint() == session.fingerprint()


def lineage_equals_live(step: Operation, session: Session) -> None:
    """What the skeleton remembers of each tensor computes to the bits of the live run: ready to stream."""
    session.undo()
    drawn = sketch(session.model)
    buffers = set(map(id, session.model.buffers()))  # by object: what is wrapped has another name then
    session.redo()
    for edit in list(step.plan(Patient(drawn.model, session.tracing.inputs))):
        edit.apply(Site(drawn.model, Journal(), drawn.run))
    live = dict(session.model.named_parameters(remove_duplicate=False))
    planned = dict(drawn.model.named_parameters(remove_duplicate=False))
    assert list(live) == list(planned)
    live |= session.model.named_buffers(remove_duplicate=False)
    planned |= {
        name: buffer
        for name, buffer in drawn.model.named_buffers(remove_duplicate=False)
        if id(live[name]) not in buffers  # written by the step
    }
    memo: dict[int, torch.Tensor] = {}
    grounded: dict[int, Lazy] = {}  # kept for the whole comparison: `memo` goes by the ids of its nodes
    for name, tensor in planned.items():
        node = _grounded(drawn.run.lineage[id(tensor)], drawn.run.lineage, grounded)
        assert torch.equal(compute(node, memo), live[name].detach()), name


def _grounded(node: Lazy, lineage: dict[int, Lazy], done: dict[int, Lazy]) -> Lazy:
    """`node` with every meta parameter replaced by what it stands for."""
    if isinstance(node, Held):
        return _grounded(lineage[id(node.parameter)], lineage, done) if node.parameter.is_meta else node
    if id(node) not in done:
        inputs = tuple(_grounded(item, lineage, done) for item in node.inputs)
        done[id(node)] = type(node)(**{**node.__dict__, "inputs": inputs})
    return done[id(node)]


def survives_saving(case: Case, session: Session, folder: Path) -> None:
    """Saved and loaded, the model has the same fingerprint, outputs and ties."""
    loads_again(session, folder / "out", into=None if session.patient.model_type else MODELS[case.model]()[0])
