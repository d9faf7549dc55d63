"""The difference of two graphs: what was removed, added, moved, tied, resized, changed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import surgery
from graph import ModuleGraph, extract
from graph.diff import Changed, GraphDiff, Moved, Revalued, diff, diff_to_json
from graph.diff.sequences import best, common
from surgery.compare import compare, compare_with_base, value_digests
from tests.zoo import ZOO


class Block(nn.Module):
    """A block that knows its place, as those of transformers do."""

    def __init__(self, place: int = 0, width: int = 3) -> None:
        super().__init__()
        self.layer_idx = place
        self.norm = nn.LayerNorm(2)
        self.up = nn.Linear(2, width)
        self.act = nn.ReLU()


class Stack(nn.Module):
    """A list of blocks between two layers."""

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.first = nn.Linear(4, 2)
        self.blocks = nn.ModuleList(blocks)
        self.last = nn.Linear(2, 5)


def stack(blocks: int = 12) -> Stack:
    """A stack of alike blocks with values of their own."""
    torch.manual_seed(0)
    return Stack([Block(place) for place in range(blocks)])


def without(model: Stack, *gone: int) -> Stack:
    """A copy as another program would make and load it: the blocks behind are numbered anew."""
    made = Stack([Block(i) for i in range(len(model.blocks) - len(gone))])
    kept = [i for i in range(len(model.blocks)) if i not in gone]
    state = {name: value for name, value in model.state_dict().items() if not name.startswith("blocks.")} | {
        f"blocks.{new}.{name}": value
        for new, old in enumerate(kept)
        for name, value in model.blocks[old].state_dict().items()
    }
    made.load_state_dict(state)
    return made


def compared(one: nn.Module, two: nn.Module) -> GraphDiff:
    """The difference of two models with their values."""
    return diff(extract(one), extract(two), digests=(value_digests(one), value_digests(two)))


def kinds(difference: GraphDiff) -> set[str]:
    """The kinds of entries that there are."""
    names = ("removed", "added", "moved", "retied", "resized", "changed", "revalued")
    return {name for name in names if getattr(difference, name)}


def mirrored(difference: GraphDiff) -> dict[str, set[Any]]:
    """The entries as the difference read backwards has them, without their order."""
    flip = difference
    return {
        "removed": set(flip.added),
        "added": set(flip.removed),
        "moved": {(entry.after, entry.before) for entry in flip.moved},
        "retied": {
            (entry.kind, entry.after, entry.before, entry.joined, entry.left) for entry in flip.retied
        },
        "resized": {(entry.after, entry.before) for entry in flip.resized},
        "changed": {(entry.after, entry.before, frozenset(entry.attributes_after)) for entry in flip.changed},
        "revalued": {(entry.after, entry.before, frozenset(entry.tensors)) for entry in flip.revalued},
    }


def straight(difference: GraphDiff) -> dict[str, set[Any]]:
    """The same of the difference as it is."""
    return {
        "removed": set(difference.removed),
        "added": set(difference.added),
        "moved": {(entry.before, entry.after) for entry in difference.moved},
        "retied": {
            (entry.kind, entry.before, entry.after, entry.left, entry.joined) for entry in difference.retied
        },
        "resized": {(entry.before, entry.after) for entry in difference.resized},
        "changed": {
            (entry.before, entry.after, frozenset(entry.attributes_before)) for entry in difference.changed
        },
        "revalued": {(entry.before, entry.after, frozenset(entry.tensors)) for entry in difference.revalued},
    }


# Blocks of a list ---------------------------------------------------------------------------------


def test_removed_block_is_one_entry_and_the_rest_moved_up() -> None:
    """Values tell which of twelve alike blocks is gone: 7 removed, 8 to 11 moved, nothing changed."""
    model = stack()
    found = compared(model, without(model, 7))
    assert [part.path for part in found.removed] == ["blocks.7"]
    assert [part.alike for part in found.removed] == [1]
    assert found.moved == tuple(Moved(f"blocks.{i}", f"blocks.{i - 1}", "Block") for i in range(8, 12))
    assert kinds(found) == {"removed", "moved"}


def test_alike_blocks_without_values_lose_their_last() -> None:
    """Where nothing tells the blocks apart, the last is named and said to be one of twelve."""
    model = stack()
    found = diff(extract(model), extract(without(model, 7)))
    assert [(part.path, part.alike) for part in found.removed] == [("blocks.11", 12)]
    assert kinds(found) == {"removed"}
    back = diff(extract(without(model, 7)), extract(model))
    assert [(part.path, part.alike) for part in back.added] == [("blocks.11", 12)]


def test_structure_tells_blocks_apart_where_it_can() -> None:
    """Every fourth block is wider: removing a wide one is seen without values."""
    blocks = [Block(i, 5 if i % 4 == 3 else 3) for i in range(12)]
    kept = [Block(i, 5 if old % 4 == 3 else 3) for i, old in enumerate(j for j in range(12) if j != 7)]
    found = diff(extract(Stack(blocks)), extract(Stack(kept)))
    assert [(part.path, part.alike) for part in found.removed] == [("blocks.7", 3)]
    assert [entry.before for entry in found.moved] == [f"blocks.{i}" for i in range(8, 12)]
    assert kinds(found) == {"removed", "moved"}


def test_values_that_stayed_align_blocks_whose_others_changed() -> None:
    """Every block was fine-tuned in one matrix and one block is gone: the untouched tensors tell."""
    model = stack(6)
    with torch.no_grad():
        for block in model.blocks:
            block.norm.weight.uniform_()  # gains of their own, as trained models have
        after = without(model, 2)
        for block in after.blocks:
            block.up.weight += 1
    found = compared(model, after)
    assert [part.path for part in found.removed] == ["blocks.2"]
    assert [(entry.before, entry.after) for entry in found.moved] == [
        (f"blocks.{i}", f"blocks.{i - 1}") for i in (3, 4, 5)
    ]
    assert found.revalued == tuple(
        Revalued(f"blocks.{old}.up", f"blocks.{new}.up", ("weight",))
        for new, old in enumerate((0, 1, 3, 4, 5))
    )


def test_swapped_blocks_moved() -> None:
    """Two blocks exchanged: the fewest moves that say so, no block removed or changed."""
    model = stack(4)
    after = Stack([model.blocks[i] for i in (0, 2, 1, 3)])
    after.first, after.last = model.first, model.last
    found = compared(model, after)
    assert [(entry.before, entry.after) for entry in found.moved] == [
        ("blocks.1", "blocks.2"),
        ("blocks.2", "blocks.1"),
    ]
    assert kinds(found) == {"moved"}


def test_resized_blocks_keep_their_places() -> None:
    """Blocks pruned to other widths are the same blocks with other tensors, before and after."""
    found = diff(extract(stack(3)), extract(Stack([Block(i, 2) for i in range(3)])))
    assert kinds(found) == {"resized", "changed"}  # out_features says the width too
    one, two = found.resized[0].before, found.resized[0].after
    assert one is not None and two is not None
    assert (one.path, one.shape, two.shape) == ("blocks.0.up.weight", (3, 2), (2, 2))
    assert found.changed[0] == Changed(
        *("blocks.0.up", "blocks.0.up", "Linear", "Linear"), (("out_features", 3),), (("out_features", 2),)
    )


def test_replaced_block_is_not_one_that_moved() -> None:
    """A block gone from the front and a new one at the end, of one structure: values say which is which."""
    model = stack(4)
    after = Stack([*list(model.blocks)[1:], Block()])
    after.first, after.last = model.first, model.last
    found = compared(model, after)
    assert [part.path for part in found.removed] == ["blocks.0"]
    assert [part.path for part in found.added] == ["blocks.3"]


def test_copied_block_does_not_confuse_the_order() -> None:
    """One block removed and another overwritten with a copy of its neighbour: values in sequence tell."""
    model = stack(6)
    after = without(model, 2)
    after.blocks[3].load_state_dict(model.blocks[3].state_dict())
    after.blocks[2].load_state_dict(model.blocks[3].state_dict())
    found = compared(model, after)
    assert [part.path for part in found.removed] == ["blocks.2"]
    assert {entry.before for entry in found.revalued} == {"blocks.4.up"}


def test_unlike_items_are_paired_by_class_and_then_by_place() -> None:
    """What has the class is the same item resized; what has nothing but the place changed its class."""
    one = nn.Sequential(nn.Linear(2, 3), nn.Conv2d(1, 1, 3))
    found = diff(extract(one), extract(nn.Sequential(nn.Conv2d(1, 1, 5))))
    assert [part.path for part in found.removed] == ["0"]
    assert [(entry.before, entry.after) for entry in found.moved] == [("1", "0")]
    found = diff(extract(nn.Sequential(nn.ReLU())), extract(nn.Sequential(nn.GELU())))
    assert kinds(found) == {"changed"}


def test_reused_block_loses_one_of_its_places() -> None:
    """One module at two places of a list: its origin is at both, so the order says which place is gone."""
    twice, once = Block(), Block(0, 5)
    base, pruned = Stack([twice, once, twice]), Stack([once, twice])
    origins = {module: path for path, module in base.named_modules()}
    origins |= {pruned.get_submodule(path): path for path in ("", "first", "blocks", "last")}
    before, after = (extract(model, origins=origins) for model in (base, pruned))
    found = diff(before, after)
    assert [part.path for part in found.removed] == ["blocks.0"]
    assert [(entry.before, entry.after) for entry in found.moved] == [
        ("blocks.1", "blocks.0"),
        ("blocks.2", "blocks.1"),
    ]


def test_five_thousand_layers() -> None:
    """The removed ones of 5,000 layers are found among alike and unlike ones."""
    alike = [nn.Linear(1, 1) for _ in range(5000)]
    found = diff(extract(Stack(alike)), extract(Stack(alike[1:])))
    assert [(part.path, part.alike) for part in found.removed] == [("blocks.4999", 5000)]
    assert kinds(found) == {"removed"}
    chance = random.Random(0)
    widths = [chance.randrange(1, 40) for _ in range(5000)]
    mixed = [nn.Linear(2, width) for width in widths]
    gone = set(chance.sample(range(5000), 60))
    found = diff(
        extract(Stack(mixed)), extract(Stack([layer for i, layer in enumerate(mixed) if i not in gone]))
    )
    assert len(found.removed) == 60 and not found.added
    assert kinds(found) == {"removed", "moved"}


# Sessions -----------------------------------------------------------------------------------------


def session(name: str = "llama") -> surgery.Session:
    """A session on a model of the zoo."""
    model, inputs = ZOO[name]()
    return surgery.open(model, inputs)


def test_session_states_are_aligned_by_origin() -> None:
    """Alike blocks of two states are told apart without values, and nobody says that they changed."""
    s = session()
    before = s.graph
    s.remove("model.layers[1]")
    found = diff(before, s.graph)
    assert [(part.path, part.alike) for part in found.removed] == [("model.layers.1", 1)]
    assert [(entry.before, entry.after) for entry in found.moved] == [
        ("model.layers.2", "model.layers.1"),
        ("model.layers.3", "model.layers.2"),
    ]
    assert kinds(found) == {"removed", "moved"}
    assert found.removed[0].parameters == found.before.parameters - found.after.parameters
    assert found.after.macs < found.before.macs


def test_tie_and_untie_are_retied() -> None:
    """Ties that appear name what joined, ties that vanish what left, by the paths of their graph."""
    s = session()
    before = s.graph
    s.tie("model.layers.3", to="model.layers.2")
    tied = diff(before, s.graph)
    assert kinds(tied) == {"retied"} and len(tied.retied) == 9
    assert all(tie.before == () and tie.joined == tie.after for tie in tied.retied)
    before = s.graph
    s.untie("lm_head")
    untied = diff(before, s.graph)
    (tie,) = untied.retied
    assert kinds(untied) == {"retied"}
    assert set(tie.left) == set(tie.before) == {"lm_head.weight", "model.embed_tokens.weight"}


def test_ties_that_moved_are_the_same_ties() -> None:
    """A tie between blocks that moved up is no difference; one that lost a member says which."""
    s = session()
    s.tie("model.layers.3", to="model.layers.2")
    before = s.graph
    s.remove("model.layers[0]")
    assert kinds(diff(before, s.graph)) == {"removed", "moved"}
    before = s.graph
    s.tie("model.layers.0", to="model.layers.1")
    grown = diff(before, s.graph)
    assert kinds(grown) == {"retied"}
    assert all(tie.joined[0].startswith("model.layers.0.") for tie in grown.retied)
    assert all(len(tie.joined) == 1 for tie in grown.retied)
    assert all(len(tie.before) == 2 and len(tie.after) == 3 and not tie.left for tie in grown.retied)


def test_attached_adapter_is_added_around_what_moved_inside() -> None:
    """The wrapper is new, with its own parameters only, and what it wraps moved; detaching undoes both."""
    s = session()
    before = s.graph
    s.attach("model.layers.1.self_attn.q_proj", rank=2)
    attached = s.graph
    found = diff(before, attached)
    path = "model.layers.1.self_attn.q_proj"
    assert [(part.path, part.class_name, part.parameters) for part in found.added] == [
        (path, "LoraLinear", 2 * (32 + 32))
    ]
    assert found.moved == (Moved(path, f"{path}.base", "Linear"),)
    assert kinds(found) == {"added", "moved"}
    apart = diff(before, attached, same_base=False)
    assert (apart.added, apart.moved) == (found.added, found.moved)  # structure says the same
    s.detach(path)
    assert not diff(before, s.graph)
    assert straight(diff(attached, s.graph)) == mirrored(found)


def test_untied_siamese_modules() -> None:
    """A module reused at two paths that was taken apart: no module is added, only the tie is gone."""
    s = session("siamese")
    before = s.graph
    s.untie("right")
    found = diff(before, s.graph)
    assert kinds(found) == {"retied"}
    assert {(tie.kind, tie.before, tie.after) for tie in found.retied} == {("module", ("left", "right"), ())}


def test_sparsified_block_has_other_values() -> None:
    """With values, a sparsified block is the same block with other values in the tensors touched."""
    s = session("tied_head")
    s.remove("blocks[0]")
    s.sparsify("blocks.1.up", 0.5)
    found = compare_with_base(s, weights=True)
    assert [part.path for part in found.removed] == ["blocks.0"]
    assert found.revalued == (Revalued("blocks.2.up", "blocks.1.up", ("weight",)),)
    assert found.values_compared and not compare_with_base(s).values_compared


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_reloaded_folder_reads_like_the_session(name: str, tmp_path: Any) -> None:
    """A pruned folder opened afresh, with values, gives the entries that the session's origins give."""
    s = session(name)
    s.remove(f"{'model.layers' if name == 'llama' else 'transformer.h'}[1]")
    s.save(tmp_path / "out")
    own = diff(s.history.base.graph or s.graph, s.graph)
    base = session(name)
    fresh = compare(base, surgery.open(tmp_path / "out"), weights=True)
    assert straight(fresh) == straight(own)
    assert kinds(compare(base, surgery.open(tmp_path / "out"))) == {"removed"}


# Other parts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(ZOO))
def test_model_has_no_difference_from_itself(name: str) -> None:
    """The same model twice is no difference, whatever is known of it."""
    model, inputs = ZOO[name]()
    graph = extract(model, inputs)
    for same_base in (None, True, False):
        assert not diff(graph, extract(ZOO[name]()[0]), same_base=same_base)
    assert not diff(graph, graph, digests=(value_digests(model), value_digests(model)))


def renamed() -> tuple[nn.Module, nn.Module]:
    """A module and one with other names for the same children."""
    return (
        nn.ModuleDict({"stem": nn.Conv2d(3, 4, 3), "head": nn.Linear(4, 2)}),
        nn.ModuleDict({"entry": nn.Conv2d(3, 4, 3), "head": nn.Linear(4, 2)}),
    )


def wrapped() -> tuple[nn.Module, nn.Module]:
    """A model, and the same in a wrapper with a head of its own."""
    outer = nn.Module()
    outer.model, outer.classifier = stack(3), nn.Linear(5, 2)
    return stack(3), outer


def rehung() -> tuple[nn.Module, nn.Module]:
    """A head that went from one branch into another."""
    one, two = (nn.ModuleDict({"a": nn.ModuleDict(), "b": nn.ModuleDict()}) for _ in "12")
    one["a"]["head"], two["b"]["out"] = nn.Linear(7, 3), nn.Linear(7, 3)
    return one, two


@pytest.mark.parametrize(
    ("make", "moves"),
    [
        (renamed, [("stem", "entry")]),
        (wrapped, [("", "model")]),
        (rehung, [("a.head", "b.out")]),
    ],
)
def test_moved_subtree_is_one_entry(
    make: Callable[[], tuple[nn.Module, nn.Module]], moves: list[tuple[str, str]]
) -> None:
    """Renamed, wrapped or under another parent: one entry for the whole of it."""
    one, two = (extract(model) for model in make())
    found = diff(one, two)
    assert [(entry.before, entry.after) for entry in found.moved] == moves
    assert not found.removed and not found.changed
    assert straight(diff(two, one)) == mirrored(found)


def test_wrapper_is_added_without_what_it_wraps() -> None:
    """Of the wrapper only its own parameters count as added."""
    one, two = (extract(model) for model in wrapped())
    assert [(part.path, part.parameters) for part in diff(one, two).added] == [("", 5 * 2 + 2)]


def test_changed_class_and_attributes() -> None:
    """Class and attributes before and after; a place in the model and flags equal to numbers aside."""
    one, two = Block(0), Block(5)
    two.norm, two.act = nn.LayerNorm(2, eps=1e-6), nn.GELU()
    one.causal, two.causal = True, 1
    two.window = 4
    found = diff(extract(one), extract(two))
    assert [(entry.after, entry.class_before, entry.class_after) for entry in found.changed] == [
        ("", "Block", "Block"),
        ("norm", "LayerNorm", "LayerNorm"),
        ("act", "ReLU", "GELU"),
    ]
    root, norm, act = found.changed
    assert (root.attributes_before, root.attributes_after) == (
        (("causal", True),),
        (("causal", 1), ("window", 4)),
    )
    assert (norm.attributes_before, norm.attributes_after) == ((("eps", 1e-5),), (("eps", 1e-6),))
    assert dict(act.attributes_after) == {"approximate": "none"}
    assert kinds(found) == {"changed"}


def test_tensors_that_come_go_and_change_form() -> None:
    """A bias that is new, a dtype and a parameter that became a buffer are resized."""
    one, two = Block(), Block()
    one.up = nn.Linear(2, 3, bias=False)
    two.act.half_scale = nn.Parameter(torch.ones(1))
    one.act.register_buffer("half_scale", torch.ones(1))
    two.norm.half()
    entries = {
        (e.before or e.after).path: (e.before, e.after) for e in diff(extract(one), extract(two)).resized
    }  # type: ignore[union-attr]
    assert set(entries) == {"norm.weight", "norm.bias", "up.bias", "act.half_scale"}
    assert entries["up.bias"][0] is None
    before, after = entries["norm.weight"]
    assert before is not None and after is not None
    assert (before.dtype, after.dtype) == ("float32", "float16")
    before, after = entries["act.half_scale"]
    assert before is not None and after is not None
    assert (before.kind, after.kind) == ("buffer", "parameter")


def test_order_of_named_children_is_a_change() -> None:
    """A sequence with names runs in their order, which no path tells."""
    one = nn.Sequential()
    one.add_module("act", nn.ReLU())
    one.add_module("scale", nn.Linear(2, 2))
    two = nn.Sequential()
    two.add_module("scale", nn.Linear(2, 2))
    two.add_module("act", nn.ReLU())
    (entry,) = diff(extract(one), extract(two)).changed
    assert entry.order and entry.attributes_before == ()


def test_names_are_text() -> None:
    """Quotes, tags, line breaks, right-to-left and very long names are compared as any other."""
    names = ['a"b', "<b>x</b>", "two\nlines", "\u202eevil", "x" * 10_000, " ", "[bold]", "7"]
    one = nn.ModuleDict({name: nn.Linear(2, i + 1) for i, name in enumerate(names)})
    two = nn.ModuleDict({name: nn.Linear(2, i + 1) for i, name in enumerate(names) if i != 2})
    found = diff(extract(one), extract(two))
    assert [part.path for part in found.removed] == ["two\nlines"]
    assert kinds(found) == {"removed"}


def test_unrelated_models() -> None:
    """Models with nothing in common are compared all the same, and mirrored when exchanged."""
    one, two = (extract(ZOO[name]()[0]) for name in ("gpt2", "cnn"))
    found = diff(one, two)
    assert found.removed and found.added
    assert straight(diff(two, one)) == mirrored(found)


def test_json_is_plain() -> None:
    """The difference survives JSON with its entries."""
    model = stack(3)
    data = json.loads(json.dumps(diff_to_json(compared(model, without(model, 1)))))
    assert data["different"] is True and data["schema"] == 1
    assert data["removed"][0]["path"] == "blocks.1"
    assert data["moved"] == [{"before": "blocks.2", "after": "blocks.1", "class_name": "Block"}]
    assert diff_to_json(diff(extract(model), extract(model)))["different"] is False


# Any edits ------------------------------------------------------------------------------------------

edits = st.lists(
    st.one_of(
        st.tuples(st.just("remove"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("insert"), st.integers(0, 9), st.integers(1, 4)),
        st.tuples(st.just("move"), st.integers(0, 9), st.integers(0, 9)),
    ),
    max_size=5,
)


def edited(blocks: list[nn.Module], steps: list[tuple[str, int, int]]) -> list[nn.Module]:
    """The blocks after these edits of their list."""
    made = list(blocks)
    for verb, place, value in steps:
        if verb == "insert":
            made.insert(place, Block(0, value))
        elif len(made) > 1:
            block = made.pop(place % len(made))
            if verb == "move":
                made.insert(value, block)
    return made


def rebuilt(found: GraphDiff, before: ModuleGraph, after: ModuleGraph) -> list[str]:
    """What the entries make of the list of blocks: by place, which structure or which block it was."""
    gone = {part.path for part in found.removed}
    new = {part.path: part for part in found.added}
    moved = {entry.before: entry.after for entry in found.moved}
    places = {path: after[path].structure for path in new}
    for name in before["blocks"].children:
        path = f"blocks.{name}"
        if path not in gone:
            where = moved.get(path, path)
            assert where not in places
            places[where] = before[path].structure
    return [places[f"blocks.{i}"] for i in range(len(places))]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=8), edits, st.booleans())
def test_entries_make_after_from_before(
    widths: list[int], steps: list[tuple[str, int, int]], values: bool
) -> None:
    """Removed, added and moved entries turn one list into the other; exchanged, they are mirrored."""
    torch.manual_seed(0)
    one = Stack([Block(0, width) for width in widths])
    two = Stack(edited(list(one.blocks), steps))
    two.first, two.last = one.first, one.last
    before, after = extract(one), extract(two)
    digests = (value_digests(one), value_digests(two)) if values else None
    back = (digests[1], digests[0]) if digests else None
    found = diff(before, after, digests=digests)
    if not found.changed and not found.resized:
        assert rebuilt(found, before, after) == [
            after[f"blocks.{name}"].structure for name in after["blocks"].children
        ]
    if values:  # a block that is in both is never taken for another
        moved = {entry.before: entry.after for entry in found.moved}
        for i, block in enumerate(one.blocks):
            path = f"blocks.{i}"
            if any(block is other for other in two.blocks):
                where = int(moved.get(path, path).rpartition(".")[2])
                assert two.blocks[where] is block and path not in {part.path for part in found.removed}
    assert straight(diff(after, before, digests=back)) == mirrored(found)
    assert not diff(after, after, digests=(digests[1], digests[1]) if digests else None)


@settings(max_examples=200, deadline=None)
@given(*[st.lists(st.sampled_from(["a", "b", "c", None]), max_size=9)] * 2)
def test_common_is_a_longest_subsequence(one: list[str | None], two: list[str | None]) -> None:
    """As long as the table of the textbook says, equal, rising, and mirrored when exchanged."""
    table = [[0] * (len(two) + 1) for _ in range(len(one) + 1)]
    for i, first in enumerate(one):
        for j, second in enumerate(two):
            same = first is not None and first == second
            table[i + 1][j + 1] = table[i][j] + 1 if same else max(table[i][j + 1], table[i + 1][j])
    pairs = common(one, two)
    assert len(pairs) == table[-1][-1]
    assert all(one[i] == two[j] is not None for i, j in pairs)
    assert all(a < c and b < d for (a, b), (c, d) in pairwise(pairs))
    assert common(two, one) == [(j, i) for i, j in pairs]


@given(st.dictionaries(st.tuples(st.integers(0, 4), st.integers(0, 4)), st.integers(1, 3)))
def test_best_takes_each_index_once(weights: dict[tuple[int, int], int]) -> None:
    """No index twice, none left that could be paired, and mirrored when exchanged."""
    pairs = best(weights)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    assert all(any(i == a or j == b for a, b in pairs) for i, j in weights)
    exchanged = {(j, i): weights[i, j] for i, j in sorted(weights, reverse=True)}
    assert sorted((i, j) for j, i in best(exchanged)) == pairs
