"""What a run knows of its model after each step is what a look at the model finds."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from graph.layouts import layout_of
from graph.standing import arranged
from graph.tree import sites
from surgery.adapters.lora import LoraLinear
from surgery.aliases import _held_outside, holding_nothing
from surgery.edits import PlaceModule, SetAttribute, SetModule, Site, places_after
from surgery.journal import Journal
from surgery.lazy import Held
from surgery.preview import Sketch, sketch
from surgery.registry import operation_named
from surgery.runs import carry_out
from tests.surgery.cases import DECODERS, OTHERS
from tests.surgery.contract import MODELS, Case


def step(name: str, *values: Any, **fields: Any) -> Any:
    """An operation, unresolved."""
    return operation_named(name).of(*values, **fields)


def knows_it_as_it_is(drawn: Sketch) -> bool:
    """Whether the run knows where the modules are; what it says it knows is compared with the model."""
    found, run = sites(drawn.model), drawn.run
    assert run.places is None or run.places == found
    for _, module, _, _ in found:
        assert run.layouts.get(module) in (None, layout_of(module))
        outside: dict[Any, Any] = {}
        list(_held_outside([("", module, "", module)], outside))
        assert run.outside.get(module) in (None, outside[module])
    return run.places is not None


@pytest.mark.parametrize("case", DECODERS + OTHERS, ids=str)
def test_after_every_operation(case: Case) -> None:
    """Sites, layouts and what leads past the tree are known rightly, or not at all."""
    session = case.session()
    drawn = sketch(session.model)
    assert drawn.run.layouts
    carry_out(
        case.step().with_measure(session.patient, session.data),
        drawn.model,
        Journal(),
        drawn.run,
        *session._came_along,
    )
    knows_it_as_it_is(drawn)


STEPS = (
    step("remove", "model.layers[1]"),
    step("attach", "**.{q,v}_proj"),
    step("duplicate", "model.layers[0]"),
    step("swap", "model.layers[0]", "model.layers[1]"),
    step("narrow", "model.layers[0]", "neurons", ratio=0.5),
)


@pytest.mark.parametrize("order", list(permutations(range(5)))[::12], ids=str)
def test_after_each_of_several_steps(order: tuple[int, ...]) -> None:
    """So they are after each step of a chain, and the graph is that of the steps made one by one."""
    session = surgery.open(*MODELS["llama"]())
    chain = [STEPS[index] for index in order]
    drawn, kept = sketch(session.model), []
    for item in chain:
        try:
            carry_out(item, drawn.model, Journal(), drawn.run)
        except surgery.SurgeryError:
            assert item.name == "narrow" and any(made.name == "attach" for made, _ in kept)
            continue
        kept.append((item, knows_it_as_it_is(drawn)))
    assert all(known == (made.name not in ("attach", "duplicate")) for made, known in kept)
    went = [made for made, _ in kept]
    found = session.preview(*went).graph
    for item in went:
        session.apply(item)
    for part in ("calls", "edges", "spans", "ties", "problem"):
        assert getattr(found, part) == getattr(session.graph, part)
    assert [node.path for node in found.modules] == [node.path for node in session.graph.modules]


ORDERS = [(), (0,), (1, 0), (2, 1, 0), (0, 0, 1), (1, 2), (2, 2, 2, 0)]


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_a_list_in_another_order(name: str, order: tuple[int, ...]) -> None:
    """Each list and sequence of each model: the sites are those that a walk finds afterwards."""
    model = sketch(MODELS[name]()[0]).model
    for path, module, _, _ in sites(model):
        held = module._modules
        if not isinstance(module, nn.ModuleList | nn.Sequential) or len(held) <= max(order, default=0):
            continue
        expected = arranged(sites(model), path, order)
        before, items = dict(held), list(held.values())
        held.clear()
        held.update({str(number): items[index] for number, index in enumerate(order)})
        if expected is None:
            assert [site[1] for site in sites(model)].count(module) != 1 or None in items
        else:
            assert expected == sites(model)
        held.clear()
        held.update(before)


def awkward() -> nn.Module:
    """A list with an empty slot, one at two paths, one that holds what is around it, and one in another."""
    model = nn.Module()
    model.empty = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])
    model.empty._modules["0"] = None
    model.twice = model.again = nn.ModuleList([nn.Linear(1, 1), nn.ReLU()])
    model.around = nn.ModuleList([nn.Linear(1, 1), nn.ReLU()])
    model.around._modules["0"] = model
    inner = nn.Sequential(nn.Sequential(nn.Linear(1, 1)), nn.ReLU())
    inner[0].register_module("up", inner)
    model.outer = nn.ModuleList([nn.Tanh(), inner, inner])
    model.last = nn.Linear(1, 1)
    return model


def test_awkward_lists() -> None:
    """Those with empty slots, at several paths or in a circle are looked at again, what is in one is not."""
    model = awkward()
    places = sites(model)
    again = ("empty", "twice", "again", "around", "none")
    assert [arranged(places, name, (1,)) for name in again] == [None] * 5
    found = arranged(places, "outer", (2, 0, 1))
    items = list(model.outer._modules.values())
    model.outer._modules.update({"0": items[2], "1": items[0], "2": items[1]})
    assert found == sites(model) != places


class Elsewhere:
    """An edit that nobody has heard of: it gives every module another attribute."""

    def apply(self, site: Site) -> None:
        for module in site.model.modules():
            module.__dict__["other"] = object()


class Odd:
    """An operation that makes given edits."""

    name = "odd"

    def __init__(self, *edits: Any) -> None:
        self.edits = edits

    def resolved(self, patient: Any) -> Any:
        return self

    def plan(self, patient: Any) -> Any:
        return self.edits


def also_inside(module: nn.Module) -> nn.Module:
    """The module, with an attribute of another kind in what it holds."""
    for below in module.modules():
        below.__dict__["training"] = None
    return module


ODD: dict[str, tuple[Any, ...]] = {
    "of no known kind": (Elsewhere(),),
    "a module built from within": (SetModule("blocks.1", also_inside),),
    "an attribute of another class": (SetAttribute("blocks.0.up", "in_features", 4.0),),
    "a new attribute": (SetAttribute("blocks.0.up", "fresh", 1),),
    "a module put in place": (PlaceModule("blocks.1", nn.Linear(2, 2)),),
    "a module taken out": (PlaceModule("blocks.1", None),),
}


@pytest.mark.parametrize("edits", ODD.values(), ids=ODD)
def test_after_odd_edits(edits: tuple[Any, ...]) -> None:
    """What they may have changed is not known any more."""
    drawn = sketch(MODELS["tied_head"]()[0])
    carry_out(Odd(*edits), drawn.model, Journal(), drawn.run)  # type: ignore[arg-type]
    knows_it_as_it_is(drawn)


def test_a_step_that_fails_leaves_nothing_known_of_places() -> None:
    """An edit that raises may have come after another that moved a module."""

    def failing(module: nn.Module) -> nn.Module:
        raise RuntimeError

    drawn = sketch(MODELS["tied_head"]()[0])
    drawn.places()
    with pytest.raises(RuntimeError):
        carry_out(
            Odd(PlaceModule("blocks.0", None), SetModule("blocks.1", failing)),  # type: ignore[arg-type]
            drawn.model,
            Journal(),
            drawn.run,
        )
    assert drawn.run.places is None and drawn.places() == sites(drawn.model)


def test_places_stay_where_only_tensors_and_numbers_change() -> None:
    """The very list is handed on; with a module built, none is."""
    places = sites(nn.Sequential(nn.ReLU()))
    assert places_after([SetAttribute("0", "x", 1)], places) is places
    assert places_after([SetModule("0", nn.Sequential)], places) is None


def test_an_adapter_has_what_attributes_set_one_by_one_give() -> None:
    """Its attributes, children and parameters are those of a module that sets them as torch would."""

    class Plainly(nn.Module):
        def __init__(self, base: nn.Linear) -> None:
            super().__init__()
            self.base = base
            self.rank, self.alpha, self.scale = 3, 6.0, 2.0
            self.in_features, self.out_features = 4, 5
            self.lora_A = nn.Parameter(torch.empty(3, 4, dtype=torch.float64, device="meta"))
            self.lora_B = nn.Parameter(torch.empty(5, 3, dtype=torch.float64, device="meta"))
            self.training = base.training

    base = nn.Linear(4, 5, dtype=torch.float64).eval()
    made, plain = LoraLinear(base, 3, 6.0), Plainly(base)
    assert list(made.__dict__) == list(plain.__dict__)
    for name, value in plain.__dict__.items():
        if name == "_parameters":
            assert list(made._parameters) == list(value)
            for key, tensor in value.items():
                own = made._parameters[key]
                assert isinstance(own, nn.Parameter) and own.is_meta and own.requires_grad
                assert (own.shape, own.dtype) == (tensor.shape, tensor.dtype)
        else:
            assert made.__dict__[name] == value


def test_what_leads_elsewhere_is_looked_at() -> None:
    """Modules with hooks, methods of others and lists of modules are not among those that hold nothing."""
    model = nn.Sequential(*(nn.Linear(2, 2) for _ in range(5)))
    model[1].register_forward_hook(lambda *_: None)
    model[2].others = [model[0]]
    model[3].__dict__["other"] = model[0]
    object.__setattr__(model[4], "call", model[0].extra_repr)
    drawn = sketch(model)
    assert list(drawn.run.outside) == [drawn.model, drawn.model[0]]
    assert holding_nothing({}) == {}


def test_lineage_says_what_a_sketch_was_drawn_from() -> None:
    """Each parameter stands for the very one of the model; nothing is said of a stranger."""
    model = MODELS["tied_head"]()[0]
    drawn = sketch(model)
    for new, old in zip(drawn.model.parameters(), model.parameters(), strict=True):
        said = drawn.run.lineage.of(new)
        assert isinstance(said, Held) and said.parameter is old and drawn.run.lineage[id(new)] is said
    assert drawn.run.lineage.of(torch.zeros(1)) is None
    assert [held.parameter for held in drawn.real] == list(model.parameters())


def test_what_there_is_no_memory_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As any step: with its size, and with the way that needs less; the model stays as it is."""
    session = surgery.open(*MODELS["llama"]())
    before = session.model.model.layers[0].mlp.up_proj.weight

    def full(*_: Any) -> torch.Tensor:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 64 bytes.")

    monkeypatch.setattr("surgery.runs.compute", full)
    with pytest.raises(surgery.SurgeryError, match=r"too little memory.*shape \[.*--memory"):
        session.sparsify("model.layers[0]", 0.5)
    assert session.model.model.layers[0].mlp.up_proj.weight is before
