"""Candidates that share a pass give what they give by themselves."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import surgery
from graph.shell import shell
from surgery import SurgeryError
from surgery.evaluate.sweep.lanes import SAME, Lane, kinship, lane
from surgery.evaluate.sweep.wave import NoWave, Wave, ending_with
from surgery.registry import operation_named
from tests.surgery.evaluate.tape.forwards import without_cache
from tests.zoo import ATLAS

LISTS = {
    "llama": "model.layers",
    "qwen2": "model.layers",
    "gpt2": "transformer.h",
    "gemma3": "model.layers",
    "mixtral": "model.layers",
    "bert": "bert.encoder.layer",
    "vit": "vit.layers",
}


def edits(blocks: str, count: int) -> list[tuple[str, dict[str, Any]]]:
    """An edit of each kind at each block."""
    at = [f"{blocks}[{number}]" for number in range(count)]
    return [
        *(("remove", {"targets": block}) for block in at),
        *(("sparsify", {"targets": block, "ratio": 0.5}) for block in at),
        *(("tie", {"targets": two, "to": one}) for one, two in pairwise(at)),
        *(("skip", {"targets": f"{blocks}.{number}.mlp"}) for number in range(count)),
        *(("duplicate", {"targets": block}) for block in at),
        ("swap", {"target": at[0], "other": at[-1]}),
        ("move", {"targets": at[0], "to": at[-1], "place": "after"}),
    ]


def logits(model: nn.Module, inputs: Any) -> Tensor:
    """What the model predicts."""
    with torch.no_grad():
        out: Tensor = model(**inputs).logits
    return out


@pytest.mark.parametrize("name", LISTS)
def test_a_shared_pass_gives_the_logits_of_each_candidate(name: str) -> None:
    """Up to the rounding of kernels that depend on the number of rows; most of them bit by bit."""
    model, inputs = ATLAS[name]()
    inputs, blocks = without_cache(model, inputs), LISTS[name]
    model = shell(model).model
    made = []
    for step, fields in edits(blocks, len(model.get_submodule(blocks))):
        if name == "gemma3" and step in ("swap", "move"):
            continue  # its blocks are given masks of their own kinds: a sweep's probe finds that out
        session = surgery.open(model, inputs)
        try:
            session.apply(operation_named(step).of(**fields))
        except SurgeryError:
            continue
        made.append(session.model)
    base = shell(model).model
    items = list(base.get_submodule(blocks))
    lanes = [lane(kinship(items), list(edited.get_submodule(blocks))) for edited in made]
    with torch.no_grad():
        hidden = Wave(items, lanes, lambda: None).run(lambda: base(**inputs))
    same = 0
    for edited, state in zip(made, hidden, strict=True):
        with ending_with(list(edited.get_submodule(blocks)), state):
            found = logits(edited, inputs)
        expected = logits(edited, inputs)
        assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
        same += torch.equal(found, expected)
    assert len(made) >= 6 and same >= 0.8 * len(made)


def linears(count: int) -> list[nn.Module]:
    """So many layers, each other than the rest."""
    torch.manual_seed(0)
    return [nn.Linear(4, 4) for _ in range(count)]


def drawn(found: Lane, blocks: list[nn.Module]) -> str:
    """A lane in letters: `=` the base's block, a letter for one of a candidate's own, `-` nothing."""
    names = {id(block): chr(ord("a") + number) for number, block in enumerate(blocks)}
    at = [[("=" if item is SAME else names[id(item)]) for item in here] for here in found.at]
    return " ".join("".join(here) or "-" for here in at)


def test_lanes() -> None:
    """Blocks are the base's as far as they are in its order; others run where they replace one, or behind."""
    base = linears(4)
    a, b, c, d = base
    kin, new, other = kinship(base), nn.Linear(4, 4), nn.Linear(4, 4)

    def laid(*blocks: nn.Module) -> str:
        return drawn(lane(kin, list(blocks)), [a, b, c, d, new, other])

    assert laid(a, b, c, d) == "= = = ="
    assert laid(a, c, d) == "= - = ="
    assert laid(b, c, d) == "- = = ="
    assert laid(a, new, c, d) == "= e = ="
    assert laid(a, new, d) == "= e - ="
    assert laid(new, other) == "e f - -"
    assert laid(a, new, b, c, d) == "=e = = ="
    assert laid(a, b, c, d, new) == "= = = =e"
    assert laid(a, b, b, c, d) == "= =b = ="
    assert laid(d, a, b, c) == "d= = = -"


def test_a_lane_says_where_it_leaves_the_base() -> None:
    """And how many blocks run from there."""
    base = linears(4)
    found = lane(kinship(base), [base[0], base[1], base[3]])
    assert (found.first, found.calls) == (2, 1)
    same = lane(kinship(base), base)
    assert (same.first, same.calls) == (4, 0)


class Adds(nn.Module):
    """Something runs between the blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(linears(2))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x) + x
        return x


class Twice(Adds):
    """The blocks run twice."""

    def forward(self, x: Tensor) -> Tensor:
        for block in (*self.blocks, *self.blocks):
            x = block(x)
        return x


class Never(Adds):
    """The last block is not called."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.blocks[0](x)
        return out


@pytest.mark.parametrize("kind", [Adds, Twice, Never])
def test_blocks_that_do_not_pass_one_state_on_share_no_pass(kind: type[Adds]) -> None:
    """Candidates are measured one after another then."""
    model = kind()
    items = list(model.blocks)
    wave = Wave(items, [lane(kinship(items), items[:1])], lambda: None)
    with pytest.raises(NoWave):
        wave.run(lambda: model(torch.ones(1, 4)))
    assert "forward" not in items[0].__dict__
