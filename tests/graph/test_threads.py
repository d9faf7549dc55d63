"""Ties as threads between what is drawn."""

from __future__ import annotations

from graph import extract
from graph.threads import numbers, threads
from tests.zoo import gpt2, resnet18


def test_a_tie_holds_on_to_what_is_drawn_around_it() -> None:
    """Its ends are lifted to visible paths; every owner knows the thread's number."""
    graph = extract(*gpt2())
    (tie,) = graph.ties
    owners = [path.rpartition(".")[0] for path in tie.paths]
    (thread,) = threads(graph, set(owners))
    assert thread.index == 1 and set(thread.ends) == set(owners)
    assert numbers([thread]) == {owner: [1] for owner in owners}


def test_within_one_thing_the_modules_themselves_are_the_ends() -> None:
    """And where nothing is tied there is no thread."""
    graph = extract(*gpt2())
    (thread,) = threads(graph, {""})
    assert len(thread.ends) == 2 and "" not in thread.ends
    assert threads(extract(*resnet18()), set()) == []
