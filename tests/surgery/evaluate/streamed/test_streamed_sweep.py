"""A sweep over weights that stay on disk finds what a sweep in memory finds, and reads them once."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import surgery
from surgery import SurgeryError
from surgery.checkpoint import tensors
from surgery.evaluate import Stopped, token_windows
from surgery.evaluate.streamed import Weights
from surgery.evaluate.streamed import weights as weights_module
from surgery.evaluate.sweep import SweepReport
from surgery.stream.lineage import stored_weights
from tests.surgery.evaluate.conftest import decoder, tokens
from tests.zoo import ATLAS

EXAMPLES = token_windows(tokens(24))
SWEEPS: list[tuple[str, str, dict[str, Any], int]] = [
    ("remove", "model.layers[*]", {}, 4),
    ("remove", "model.layers[*]", {"of": 2}, 3),
    ("tie", "model.layers[*]", {}, 3),
    ("swap", "model.layers[*]", {}, 3),
    ("merge", "model.layers[*]", {"of": 2}, 3),
    ("duplicate", "model.layers[*]", {}, 4),
    ("sparsify", "**.mlp.up_proj", {"ratio": 0.5}, 4),
    ("narrow", "model.layers[*]", {"units": "neurons", "ratio": 0.25}, 4),
    ("narrow", "model.layers.1", {"units": "heads", "each": True}, 2),
    ("skip", "model.layers.*.mlp", {}, 4),
    ("attach", "model.layers.*.mlp.up_proj", {"adapter": "lora"}, 4),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder of four blocks on disk."""
    place = tmp_path_factory.mktemp("decoder")
    decoder(blocks=4).save_pretrained(place)
    return place


def rows(report: SweepReport) -> list[Any]:
    """What was found, without how."""
    return [(row.step, row.parameters, row.figures, row.refused) for row in report]


def threads() -> list[str]:
    """Forwards that are under way."""
    return [thread.name for thread in threading.enumerate() if thread.name == "surgery-forward"]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of each tensor as it is read from a file."""
    sizes: list[int] = []
    plain = tensors.read_tensor

    def counted(file: Path, name: str) -> Tensor:
        tensor = plain(file, name)
        sizes.append(tensor.nbytes)
        return tensor

    monkeypatch.setattr(tensors, "read_tensor", counted)
    return sizes


@pytest.mark.parametrize("name, select, fields, count", SWEEPS)
def test_it_finds_what_a_sweep_in_memory_finds(
    folder: Path, read: list[int], name: str, select: str, fields: dict[str, Any], count: int
) -> None:
    """Bit for bit, with every tensor read once."""
    in_memory = surgery.open(folder).sweep(
        name, select, examples=EXAMPLES, budget_s=math.inf, exact=True, **fields
    )
    session = surgery.open(folder, skeleton=True)
    read.clear()
    found = session.sweep(name, select, examples=EXAMPLES, budget_s=math.inf, **fields)
    assert len(found.measured) == count
    assert rows(found) == rows(in_memory)
    assert found.examples == in_memory.examples
    assert sum(read) <= 1.05 * (folder / "model.safetensors").stat().st_size
    assert session.is_skeleton and threads() == []


KINDS = [
    ("gpt2", "transformer.h"),
    ("mixtral", "model.layers"),
    ("bert", "bert.encoder.layer"),
    ("t5", "decoder.block"),
    ("vit", "vit.layers"),
    ("swin", "swin.encoder.layers.1.blocks"),
    ("resnet", "resnet.encoder.stages.1.layers"),
    ("clip", "vision_model.encoder.layers"),
]


@pytest.mark.parametrize("kind, blocks", KINDS)
def test_models_of_other_kinds(tmp_path: Path, read: list[int], kind: str, blocks: str) -> None:
    """Whose weights have other names on disk, whose lists are called by loops, or that keep statistics."""
    torch.manual_seed(1)
    model, _ = ATLAS[kind]()
    for buffer in model.buffers():
        if buffer.is_floating_point() and buffer.dim() == 1 and kind == "resnet":
            buffer.copy_(torch.rand_like(buffer) + 0.5)
    model.save_pretrained(tmp_path)
    in_memory = surgery.open(tmp_path).sweep("remove", f"{blocks}[*]", budget_s=0, exact=True)
    session = surgery.open(tmp_path, skeleton=True)
    read.clear()
    found = session.sweep("remove", f"{blocks}[*]", budget_s=0)
    assert rows(found) == rows(in_memory)
    assert found.measured
    assert sum(read) <= 1.05 * sum(file.stat().st_size for file in tmp_path.glob("*.safetensors"))


def test_only_a_block_or_two_are_there_at_a_time(tmp_path: Path) -> None:
    """However many blocks there are."""
    model = decoder(blocks=12)
    model.save_pretrained(tmp_path)
    report = surgery.open(tmp_path, skeleton=True).sweep("remove", "model.layers[*]", examples=EXAMPLES)
    block = sum(parameter.nbytes for parameter in model.model.layers[0].parameters())
    ends = sum(each.weight.nbytes for each in (model.lm_head, model.model.embed_tokens, model.model.norm))
    read, most = (float(part.split(" kB")[0]) for part in report.notes[-1].split("at most"))
    assert read * 1000 == pytest.approx(12 * block + ends, rel=0.01)
    assert most * 1000 <= 1.01 * (2 * block + ends)


def test_the_state_that_is_swept_may_be_edited_and_sharded(folder: Path, tmp_path: Path) -> None:
    """What earlier steps made is made again of what is read, from several files too."""
    decoder(blocks=4).save_pretrained(tmp_path, max_shard_size="60KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    found = []
    for session in (surgery.open(folder), surgery.open(tmp_path, skeleton=True)):
        session.sparsify("model.layers.1.mlp.down_proj", ratio=0.5)
        session.tie("model.layers.2", to="model.layers.1", start="average")
        session.narrow("model.layers.3", "neurons", ratio=0.5)
        options = {} if session.is_skeleton else {"exact": True}
        found.append(session.sweep("remove", "model.layers[*]", examples=EXAMPLES, budget_s=0, **options))
    assert rows(found[0]) == rows(found[1])


def test_the_budget_says_how_many_batches(folder: Path) -> None:
    """Two at the least, all where there is time; figures are those of so many examples in memory."""
    examples = token_windows(tokens(64))
    session, other = surgery.open(folder, skeleton=True), surgery.open(folder)
    for budget_s, count in ((0.0, 16), (math.inf, 64)):
        found = session.sweep("remove", "model.layers[1:3]", examples=examples, budget_s=budget_s)
        in_memory = other.sweep(
            "remove", "model.layers[1:3]", examples=examples, budget_s=budget_s, exact=True
        )
        assert found.examples == in_memory.examples == count
        assert rows(found) == rows(in_memory)


def test_more_candidates_than_one_pass_takes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, read: list[int]
) -> None:
    """They take several, and the weights are read as often."""
    from surgery.evaluate.streamed import sweep

    monkeypatch.setattr(sweep, "MOST", 3)
    session = surgery.open(folder, skeleton=True)
    read.clear()
    found = session.sweep("remove", "model.layers[*]", examples=EXAMPLES, budget_s=0)
    in_memory = surgery.open(folder)
    once = (folder / "model.safetensors").stat().st_size
    assert 1.7 * once <= sum(read) <= 2.1 * once
    assert rows(found) == rows(
        in_memory.sweep("remove", "model.layers[*]", examples=EXAMPLES, budget_s=0, exact=True)
    )


def test_a_refused_candidate_is_a_row(folder: Path) -> None:
    """The others are measured all the same."""
    session = surgery.open(folder, skeleton=True)
    session.narrow("model.layers.2", "neurons", ratio=0.5)
    found = session.sweep("tie", "model.layers[*]", examples=EXAMPLES, budget_s=0)
    assert [row.refused is None for row in found] == [True, False, False]
    assert "model.layers.2" in str(found[1].refused)


def test_stopping_leaves_no_forward_behind(folder: Path) -> None:
    """Candidates come to their ends together, so there is nothing to report."""
    stop = threading.Event()
    told: list[float] = []

    def progress(share: float, label: str) -> None:
        told.append(share)
        if share > 0.3:
            stop.set()

    session = surgery.open(folder, skeleton=True)
    with pytest.raises(Stopped):
        session.sweep("remove", "model.layers[*]", examples=EXAMPLES, progress=progress, stop=stop)
    assert threads() == [] and told == sorted(told) and 0.3 < told[-1] < 0.9


def test_what_takes_more_than_the_memory_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A threshold over all blocks needs them all; one over a block does not."""
    monkeypatch.setattr(weights_module, "_room", lambda device: 70_000)
    session = surgery.open(folder, skeleton=True)
    with pytest.raises(SurgeryError, match="more weights at a time than there is memory"):
        session.sweep("sparsify", "model.layers[*]", of=4, ratio=0.5, scope="global", examples=EXAMPLES)
    assert len(session.sweep("sparsify", "model.layers[*]", ratio=0.5, examples=EXAMPLES).measured) == 4


CASES: list[tuple[Callable[[surgery.Session], Any], str]] = [
    (
        lambda s: s.sweep("remove", "model.layers[*]", tasks=["layers"]),
        "layers cannot be measured while weights are streamed",
    ),
    (
        lambda s: s.sweep("remove", "model.layers[*]", tasks=[lambda model, batch: [0.0] * len(batch)]),
        "cannot be measured while weights are streamed",
    ),
    (
        lambda s: s.sweep("remove", "model.layers[*]", resume="kept.json"),
        "one pass, which cannot be gone on with",
    ),
    (lambda s: s.sweep("remove", "nothing.*"), "nothing"),
]


@pytest.mark.parametrize("ask, said", CASES)
def test_what_cannot_be_streamed_is_refused(
    folder: Path, ask: Callable[[surgery.Session], Any], said: str
) -> None:
    """With a sentence."""
    with pytest.raises(SurgeryError, match=said):
        ask(surgery.open(folder, skeleton=True))


def test_a_skeleton_without_a_checkpoint_is_refused(folder: Path) -> None:
    """A config alone has no weights anywhere."""
    session = surgery.open(folder / "config.json")
    with pytest.raises(SurgeryError, match="opened without weights"):
        session.sweep("remove", "model.layers[*]", examples=EXAMPLES)


def test_a_checkpoint_that_lacks_a_tensor_is_refused(folder: Path, tmp_path: Path) -> None:
    """Before anything runs."""
    model = decoder(blocks=4)
    model.save_pretrained(tmp_path)
    state = {name: tensor for name, tensor in model.state_dict().items() if "layers.2.mlp.up" not in name}
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    session = surgery.open(tmp_path, skeleton=True)
    with pytest.raises(SurgeryError, match=r"lacks a tensor.*model\.layers\.2\.mlp\.up_proj\.weight"):
        session.sweep("remove", "model.layers[*]", examples=EXAMPLES)


class Counting(nn.Module):
    """Blocks behind which the parent counts: what it gives depends on how often it ran."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(3))
        self.ran = 0

    def forward(self, x: Tensor) -> Tensor:
        self.ran += 1
        for layer in self.layers:
            x = x + layer(x)
        return x * self.ran


def test_a_model_that_writes_into_itself_is_refused(tmp_path: Path) -> None:
    """Its batches run side by side, so its figures would be others."""
    torch.manual_seed(0)
    save_file(Counting().state_dict(), tmp_path / "model.safetensors")
    session = surgery.open(tmp_path / "model.safetensors", torch.randn(2, 4), into=Counting(), skeleton=True)
    with pytest.raises(SurgeryError, match="writes into itself"):
        session.sweep("sparsify", "layers.*", ratio=0.5)


def test_weights_are_let_go_of_when_nobody_counts_on_them(folder: Path) -> None:
    """A tensor that two count on is read once, and gone after the second is done."""
    known = Weights(torch.device("cpu"))
    model = surgery.open(folder, skeleton=True).opened.model
    known.add(stored_weights(model, tensors.Checkpoint.at(folder)))
    lazy = known.lazy(model.lm_head.weight)
    assert lazy is not None
    known.expect([lazy])
    known.expect([lazy])
    first = known.get([lazy])[lazy]
    known.done([lazy])
    assert known.get([lazy])[lazy] is first and known.held_bytes == first.nbytes == known.read_bytes
    known.done([lazy])
    assert known.held_bytes == 0 and not known.has([lazy])
