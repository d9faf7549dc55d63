"""Paths, and selectors read and matched."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from graph import Selector, SelectorError, canonical, escape, extract, nearest, select, select_tensors
from graph.select import Entry, module_tree


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj = nn.Linear(2, 2)
        self.v_proj = nn.Linear(2, 2, bias=False)
        self.norm = nn.LayerNorm(2)


def model() -> nn.Module:
    """Five alike blocks in a list, and a head."""
    root = nn.Module()
    root.layers = nn.ModuleList(_Block() for _ in range(5))
    root.head = nn.Linear(2, 2)
    return root


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("head", ["head"]),
        ("layers[3]", ["layers.3"]),
        ("layers.3", ["layers.3"]),
        ("layers[-1]", ["layers.4"]),
        ("layers[1:4:2]", ["layers.1", "layers.3"]),
        ("layers[:2]", ["layers.0", "layers.1"]),
        ("layers[*].norm", [f"layers.{i}.norm" for i in range(5)]),
        ("layers.*.q_*", [f"layers.{i}.q_proj" for i in range(5)]),
        ("layers[0].{q,v}_proj", ["layers.0.q_proj", "layers.0.v_proj"]),
        ("**.norm", [f"layers.{i}.norm" for i in range(5)]),
        ("layers[0].**:Linear", ["layers.0.q_proj", "layers.0.v_proj"]),
        ("layers[4].**:{Layer,Batch}Norm", ["layers.4.norm"]),
        ("head, layers[-2:], layers[4]", ["layers.3", "layers.4", "head"]),
        ("**:ModuleList", ["layers"]),
        ("layers.**[0]", ["layers.0"]),
        ("", [""]),
        ("layers[9]", []),
        ("layers[7:9]", []),
        ("layers[0][0]", []),
        ("nothing", []),
    ],
)
def test_selector_matches_paths_in_tree_order(selector: str, expected: list[str]) -> None:
    """A selector gives the paths it matches in tree order, from a live module and from its graph."""
    live = model()
    assert list(select(selector, live)) == expected
    assert list(select(selector, extract(live))) == expected


def awkward() -> nn.Module:
    """Names with dots, a module at two places, one that holds what is around it, and two at one path."""
    root = model()
    root.again = root.layers[1]
    root._modules["layers.norm"] = nn.ReLU()
    root.layers[0].norm.register_module("norm", root.layers[0])
    return root


def at_one_path() -> nn.Module:
    """Two modules of different classes are found at the path `layers.0.norm`."""
    root = model()
    root._modules["layers.0.norm"] = nn.ReLU()
    return root


@pytest.mark.parametrize("make", [model, awkward, at_one_path, lambda: nn.Linear(2, 2)])
@pytest.mark.parametrize(
    "text", ["**.norm", "**.*norm", "**.{q,v}_proj", "**.*", "**.norm:LayerNorm", "**.*norm:ReLU", "**.0"]
)
def test_a_name_anywhere_is_found_as_in_a_list_of_entries(text: str, make: Callable[[], nn.Module]) -> None:
    """The live tree is asked for no more than names; what that gives is what matching entries gives."""
    live = make()
    assert select(text, live) == Selector.parse(text).match(module_tree(live))


def test_double_star_reaches_every_depth_and_none() -> None:
    """`**` stands for any number of segments, so alone it is every module, the root included."""
    assert len(select("**", model())) == 1 + 1 + 5 * 4 + 1
    assert select("**.layers", model()) == ("layers",)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("layers[0].*.bias", ["layers.0.q_proj.bias", "layers.0.norm.bias"]),
        ("layers[0].**", ["layers.0.q_proj.weight", "layers.0.q_proj.bias", "layers.0.v_proj.weight",
                          "layers.0.norm.weight", "layers.0.norm.bias"]),
        ("layers[-1].**.weight:LayerNorm", ["layers.4.norm.weight"]),
        ("head", []),
    ],
)  # fmt: skip
def test_tensor_selector_matches_parameters(selector: str, expected: list[str]) -> None:
    """A tensor selector's last segment is the parameter's name and its class that of the owner."""
    live = model()
    assert list(select_tensors(selector, live)) == expected
    assert list(select_tensors(selector, extract(live))) == expected


@pytest.mark.parametrize(
    ("text", "position"),
    [("a[", 1), ("a[x]", 2), ("a.{b,c", 2), ("a..b", 2), ("a:", 2), (":Linear", 0), ("a,,b", 2), ("a b", 2),
     ("a[::0]", 1), ("**b", 2), ("a}", 1), ("a\\", 2), ("a,", 2)],
)  # fmt: skip
def test_unreadable_selector_says_where(text: str, position: int) -> None:
    """A selector that can't be read raises with the position of the trouble and a way out."""
    with pytest.raises(SelectorError) as caught:
        Selector.parse(text)
    assert caught.value.position == position
    assert caught.value.text == text
    assert caught.value.hint


def test_canonical_path_is_dotted() -> None:
    """`[9]` and `.9` are one path, and patterns aren't paths."""
    assert canonical("model.layers[9].mlp") == canonical("model.layers.9.mlp") == "model.layers.9.mlp"
    assert canonical("[0][1]") == "0.1"
    with pytest.raises(SelectorError):
        canonical("layers[-1]")


def test_nearest_suggests_what_was_meant() -> None:
    """A mistyped path finds its neighbours, also when its beginning is missing."""
    known = ["model.layers.0.mlp.up_proj", "model.layers.0.mlp.down_proj", "lm_head"]
    assert nearest("lm_hed", known) == ("lm_head",)
    assert nearest("mlp.up_prj", known) == ("model.layers.0.mlp.up_proj",)
    assert nearest("zzz", known) == ()


names = st.text(st.characters(codec="utf-8", exclude_characters="."), min_size=1, max_size=6)
plain = st.from_regex(r"[A-Za-z0-9_\-]{1,6}", fullmatch=True)


def trees(segment: st.SearchStrategy[str]) -> st.SearchStrategy[list[Entry]]:
    """Trees as entries, parents first."""
    return st.lists(st.lists(segment, min_size=1, max_size=4).map(tuple), max_size=12).map(_tree)


def _tree(leaves: list[tuple[str, ...]]) -> list[Entry]:
    children: dict[tuple[str, ...], dict[str, None]] = {(): {}}
    for leaf in leaves:
        for depth, name in enumerate(leaf):
            children.setdefault(leaf[:depth], {})[name] = None
            children.setdefault(leaf[: depth + 1], {})
    return [Entry(".".join(path), "Module", tuple(below)) for path, below in children.items()]


@settings(max_examples=40, deadline=None)
@given(trees(plain))
def test_every_path_selects_itself(tree: list[Entry]) -> None:
    """Every path of a tree, taken as a selector, matches exactly itself."""
    for entry in tree:
        assert Selector.parse(entry.path).match(tree) == (entry.path,)


@settings(max_examples=40, deadline=None)
@given(trees(names))
def test_every_escaped_path_selects_itself(tree: list[Entry]) -> None:
    """Names of any characters select themselves once escaped."""
    for entry in tree:
        assert Selector.parse(escape(entry.path)).match(tree) == (entry.path,)
