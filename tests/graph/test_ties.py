"""Ties read from live modules."""

import torch
from torch import nn

from graph import extract, ties
from tests.zoo import llama, siamese


def test_tied_embedding_is_one_parameter_tie() -> None:
    """A head that is the embedding is one parameter tie, and both nodes know it."""
    graph = extract(llama()[0])
    expected = [("parameter", ("model.embed_tokens.weight", "lm_head.weight"))]
    assert [(tie.kind, tie.paths) for tie in graph.ties] == expected
    assert graph["lm_head"].tensors[0].tie == graph["model.embed_tokens"].tensors[0].tie == 0


def test_ties_on_meta_go_by_identity() -> None:
    """On meta there is no storage; parameters that are one object are tied all the same."""
    model = nn.Sequential(nn.Linear(2, 2, device="meta"), nn.Linear(2, 2, device="meta"))
    model[1].weight = model[0].weight
    assert [(tie.kind, tie.paths) for tie in ties(model)] == [("parameter", ("0.weight", "1.weight"))]


def test_reused_module_is_listed_once() -> None:
    """A module at two paths is one module tie; its parameters aren't listed but carry its index."""
    graph = extract(siamese()[0])
    assert [(tie.kind, tie.paths) for tie in graph.ties] == [("module", ("left", "right"))]
    assert graph["left"].tie == graph["right"].tie == 0
    assert {tensor.tie for tensor in graph["right.2"].tensors} == {0}
    assert graph["right.2"].tie is None


def test_child_tied_elsewhere_is_its_own_tie() -> None:
    """A child of a reused module that sits in a third place is a tie of its own at all its paths."""
    model = nn.Module()
    model.a = nn.Sequential(nn.Linear(2, 2))
    model.b = model.a
    model.c = model.a[0]
    assert [tie.paths for tie in ties(model)] == [("a", "b"), ("a.0", "b.0", "c")]


def test_overlapping_views_are_a_storage_tie() -> None:
    """Different parameters over the same memory are tied by storage; neighbours in a buffer aren't."""
    model = nn.Module()
    whole = torch.zeros(4, 2)
    model.whole = nn.Parameter(whole)
    model.alias = nn.Parameter(whole)
    other = torch.zeros(4, 2)
    model.upper, model.lower = nn.Parameter(other[:2]), nn.Parameter(other[2:])
    assert [(tie.kind, tie.paths) for tie in ties(model)] == [("storage", ("whole", "alias"))]


def test_buffers_tie_by_identity() -> None:
    """A buffer registered twice is a tie like a parameter."""
    model = nn.Module()
    model.register_buffer("one", torch.zeros(3))
    model.register_buffer("two", model.one)
    assert [(tie.kind, tie.paths) for tie in ties(model)] == [("parameter", ("one", "two"))]


def test_nothing_tied_gives_nothing() -> None:
    """A model without sharing has no ties."""
    assert ties(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))) == ()
