"""A page that was closed is told from one that was lost, by counting."""

from __future__ import annotations

import pytest

from widgets.server.farewells import PARTING_S, Farewells


@pytest.mark.parametrize("order", ["said closed", "closed said"])
def test_a_farewell_is_its_own_socket_s(order: str) -> None:
    """In whichever order the two come."""
    farewells = Farewells()
    for now_s, event in enumerate(order.split()):
        getattr(farewells, event)(float(now_s))
    assert farewells.all_said
    farewells.closed(2.0)
    assert not farewells.all_said


def test_who_was_lost_and_is_back_is_there() -> None:
    """Their farewell is still to come."""
    farewells = Farewells()
    farewells.closed(0.0)
    assert not farewells.all_said
    farewells.opened(1.0)
    assert farewells.all_said
    farewells.closed(2.0)
    assert not farewells.all_said


def test_who_never_came_said_no_farewell_for_another() -> None:
    """A page that was closed before it was connected has no socket that could close."""
    farewells = Farewells()
    farewells.said(0.0)
    farewells.closed(PARTING_S + 1)
    assert not farewells.all_said


def test_who_was_lost_is_not_forgotten() -> None:
    """However long ago it was."""
    farewells = Farewells()
    farewells.closed(0.0)
    farewells.opened(10 * PARTING_S)
    farewells.closed(20 * PARTING_S)
    farewells.said(30 * PARTING_S)
    assert farewells.all_said
