"""Slots of the KV cache, against their definitions word for word."""

from itertools import product

import pytest

from surgery.slots import retyped, slots

CASES = [
    (types, attends)
    for count in (1, 2, 3, 4)
    for types in product("ab", repeat=count)
    for attends in product((True, False), repeat=count)
    if any(attends)
]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_type_that_no_attention_has_is_that_of_the_next(count: int) -> None:
    """Of the next block with attention, or of the last; all others stay."""
    for types, attends in (case for case in CASES if len(case[0]) == count):
        having = [place for place in range(count) if attends[place]]
        for place, kind in enumerate(retyped(types, attends)):
            if any(types[other] == types[place] for other in having):
                assert kind == types[place]
            else:
                assert kind == types[next((other for other in having if other >= place), having[-1])]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_slots_of_a_type_are_given_out_in_order(count: int) -> None:
    """The n-th block of a type with attention has the n-th place of that type; those without have none."""
    for types, attends in (case for case in CASES if len(case[0]) == count):
        kinds = retyped(types, attends)
        for place, slot in enumerate(slots(kinds, attends)):
            earlier = sum(kinds[other] == kinds[place] and attends[other] for other in range(place))
            of_type = [other for other in range(count) if kinds[other] == kinds[place]]
            assert slot == (of_type[earlier] if attends[place] else None)
