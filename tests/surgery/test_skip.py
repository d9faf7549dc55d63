"""Skip: a block lets by what it is given, a branch adds nothing, and the cache counts right."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import Session, SurgeryError
from surgery.families import FAMILIES
from surgery.registry import operation_named
from surgery.slots import retyped, slots
from tests.surgery.by_hand import CACHED, SMALL, TWO_LISTS, block_lists, by_hand, heard, small
from tests.surgery.states import cached_equals_uncached, loads_again, run, snapshot
from tests.zoo import ZOO
from tests.zoo.families import STAGES

# The blocks of a T5 hand on a bias of positions, so that none of them can be skipped.
LISTS = [
    (name, which) for name in SMALL if name != "t5" for which in ((0, -1) if name in TWO_LISTS else (0,))
]


def silent(module: nn.Module, args: Any, out: Any) -> Any:
    """A forward hook after which a module returns zeros; in a pair, the first of them."""
    return (torch.zeros_like(out[0]), *out[1:]) if isinstance(out, tuple) else torch.zeros_like(out)


def branches() -> list[tuple[str, str, int]]:
    """(model, branch, block): attention in the first block, which the cache asks, and MLPs in the next."""
    lists = {name: FAMILIES[name.partition("-")[0]].lists[0] for name in SMALL}
    return [
        (name, branch, place)
        for name, blocks in lists.items()
        for place, branch in enumerate((blocks.attention, blocks.mlp))
        if branch
    ]


@pytest.mark.parametrize(("name", "which"), LISTS)
def test_a_skipped_block_is_as_good_as_gone(name: str, which: int) -> None:
    """Outputs are those of the model without it, by hand; the cache asks the first for its length."""
    model, inputs = small(name, which)
    session, blocks = surgery.open(model, inputs), block_lists(model)[which]
    place = 1 if name in STAGES else 0  # the first of a stage changes width
    session.skip(f"{blocks}[{place}]")
    made = by_hand(model, blocks, [index for index in range(4) if index != place])
    assert torch.equal(run(session.model, inputs), run(made, inputs))
    if name in CACHED and (which == -1 or name not in TWO_LISTS):
        cached_equals_uncached(session.model, heard(name, inputs))


@pytest.mark.parametrize(("name", "branch", "place"), branches())
def test_a_skipped_branch_adds_nothing(name: str, branch: str, place: int) -> None:
    """Outputs are those of the opened model with a hook that silences attention or MLP."""
    model, inputs = SMALL[name]()
    session = surgery.open(model, inputs)
    path = f"{block_lists(model)[0]}.{place}.{branch}"
    session.skip(path)
    hook = model.get_submodule(path).register_forward_hook(silent)
    wanted = run(model, inputs)
    hook.remove()
    assert torch.equal(run(session.model, inputs), wanted)
    assert not torch.equal(wanted, run(model, inputs))
    if name in CACHED and place == 0:
        cached_equals_uncached(session.model)


@pytest.mark.parametrize("name", ["qwen2", "gemma3_text", "llama", "gpt2"])
def test_the_only_attention_of_a_type(name: str, tmp_path: Any) -> None:
    """Of full and sliding layers one kind is left without attention, or only the last block has any."""
    model, inputs = SMALL[name]()
    blocks = block_lists(model)[0]
    for gone, left in (("[::2]", [1, 3]), ("[0:3]", [3]), ("[1::2]", [0, 2])):
        session = surgery.open(model, inputs)
        session.skip(blocks + gone)
        assert torch.equal(run(session.model, inputs), run(by_hand(model, blocks, left), inputs))
        cached_equals_uncached(session.model)
    loads_again(session, tmp_path / "out")


def test_depth_after_a_skip(tmp_path: Any) -> None:
    """Blocks moved, copied and removed around a skipped one are numbered by those that have attention."""
    model, inputs = SMALL["qwen2"]()
    session, blocks = surgery.open(model, inputs), "model.layers"
    session.skip("model.layers[1]")
    session.move("model.layers[1]", to="model.layers[0]")
    assert torch.equal(run(session.model, inputs), run(by_hand(model, blocks, [0, 2, 3]), inputs))
    cached_equals_uncached(session.model)
    session.duplicate("model.layers[0:2]")
    assert torch.equal(run(session.model, inputs), run(by_hand(model, blocks, [0, 0, 2, 3]), inputs))
    cached_equals_uncached(session.model)
    session.remove("model.layers[1]")
    assert torch.equal(run(session.model, inputs), run(by_hand(model, blocks, [0, 2, 3]), inputs))
    cached_equals_uncached(session.model)
    loads_again(session, tmp_path / "out")


def test_a_static_cache_counts_right() -> None:
    """Its slots are there from the start, and one stays empty."""
    model, inputs = SMALL["llama"]()
    session = surgery.open(model, inputs)
    session.skip("model.layers[0]")
    ids = torch.tensor([[5, 6, 7]])
    settings: dict[str, Any] = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    live: Any = session.model
    static = live.generate(ids, cache_implementation="static", disable_compile=True, **settings)
    assert torch.equal(static, live.generate(ids, use_cache=False, **settings))


def test_what_is_given_can_be_said() -> None:
    """A branch of a plain model: its input by itself, zeros when asked for."""
    model, inputs = ZOO["tied_head"]()
    session = surgery.open(model, inputs)
    with torch.no_grad():
        model.blocks[1].down.weight.zero_()
        model.blocks[1].down.bias.zero_()
    session = surgery.open(model, inputs)
    wanted = run(model, inputs)
    session.skip("blocks[1]")
    assert torch.equal(run(session.model, inputs), wanted)
    session.undo()
    session.skip("blocks[1].norm", gives="zeros")
    assert torch.equal(run(session.model, inputs), wanted)  # nothing is left of it behind `down`


class Pair(nn.Module):
    """A module that returns (tensor, None), used where a tensor would be unpacked into two unseen."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = _Two(), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept, _ = self.first(x)
        return self.second(kept)


class _Two(nn.Linear):
    def __init__(self) -> None:
        super().__init__(4, 4)

    def forward(self, x: torch.Tensor) -> Any:
        return super().forward(x), None


class Broadcast(nn.Module):
    """A gate of one column that is multiplied with all columns: wider, it would still run."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gate(x)


@pytest.mark.parametrize(
    ("model", "targets", "sentence"),
    [
        (Pair(), "first", "first: what it returns is not of the shape, number and dtype"),
        (Broadcast(), "gate", "gate: what it returns is not of the shape, number and dtype"),
        (Broadcast(), "gate[0]", "gate.0: does not keep the width"),
        (Broadcast(), "**", "(root): the whole model cannot be skipped"),
        (nn.Sequential(nn.Linear(4, 4), nn.LSTM(4, 4)), "1", "1: gives nothing of the kind"),
    ],
)
def test_what_runs_and_is_wrong_is_refused(model: nn.Module, targets: str, sentence: str) -> None:
    """A bypass that would broadcast, or be unpacked, is told from the traces; preview refuses it too."""
    session = surgery.open(model.eval(), (torch.randn(2, 4),))
    before = snapshot(session.model)
    for act in (session.skip, lambda targets: session.preview("skip", targets)):
        with pytest.raises(SurgeryError) as refusal:
            act(targets)
        assert sentence in str(refusal.value)
    assert snapshot(session.model) == before


def test_a_step_that_was_not_traced_is_refused_later() -> None:
    """A replay traces the states only where it must; what the traces show is then found all the same."""
    session = surgery.open(Broadcast().eval(), (torch.randn(2, 4),))
    session.apply_unchecked(operation_named("skip").of("gate"))
    with pytest.raises(SurgeryError, match="gate: what it returns is not of the shape"):
        session.check()


def llama() -> Session:
    """A session on the small Llama."""
    return surgery.open(*ZOO["llama"]())


def test_the_last_attention_stays() -> None:
    """Without any the model would lose count of its positions."""
    session = llama()
    session.skip("model.layers[0:3].self_attn")
    for targets in ("model.layers[3]", "model.layers[3].self_attn", "model.layers[*]"):
        with pytest.raises(SurgeryError, match=r"would leave no attention|is skipped already"):
            session.skip(targets)
    with pytest.raises(SurgeryError, match="would leave no attention"):
        session.remove("model.layers[3]")


def test_refused_in_families() -> None:
    """What holds attention and more, what is not known to be added, and families without a proof."""
    bert = surgery.open(*SMALL["bert"]())
    with pytest.raises(
        SurgeryError, match=r"0\.attention: holds the attention of a block together with more"
    ):
        bert.skip("bert.encoder.layer[0].attention")
    t5 = surgery.open(*SMALL["t5"]())
    with pytest.raises(SurgeryError, match=r"block\.1: skip is not possible here: .* hand on"):
        t5.skip("encoder.block[1]")
    with pytest.raises(SurgeryError, match="whether its result is added") as refusal:
        t5.skip("encoder.block[0].layer[1].DenseReluDense")
    assert "gives" in str(refusal.value.hint)
    with pytest.raises(SurgeryError, match="fast path"):
        surgery.open(*ZOO["encoder"]()).skip("**.dropout1, layers[0].norm1")


def test_slots_go_by_type() -> None:
    """Each block with attention has a slot of its type, and the first slot of a type is never empty."""
    full, slide = "full", "slide"
    types = [full, full, slide, slide, full]
    assert slots(types, [True] * 5) == [0, 1, 2, 3, 4]
    assert slots(types, [False, True, False, True, True]) == [None, 0, None, 2, 1]
    assert retyped(types, [False, False, True, True, False]) == [slide] * 5
    assert retyped(types, [False, True, True, True, True]) == types
