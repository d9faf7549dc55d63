"""What a script keeps of its result tells a rounding elsewhere from another result."""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch

import surgery
import surgery.functions
from surgery import Script, SurgeryError
from surgery.checking import check
from surgery.fingerprint import Fingerprinter
from surgery.likeness import Gauge, Likeness, gauged
from surgery.recipes import FUNCTIONS
from surgery.reductions import TILE, retiled, tiles_of
from tests.surgery.merging.parents import family
from tests.surgery.stream.test_streamed_replay import saved

LARGE = TILE + 12_345
"""More than a tile, and no whole number of rows."""


def gauge_of(tensor: torch.Tensor) -> Gauge:
    """The gauge of finite values."""
    found = gauged(tensor.dtype, tiles_of(tensor))
    assert found is not None
    return found


def drawn(seed: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Values of a tensor, (rows, 100)."""
    return torch.randn(LARGE // 100, 100, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize("size", [1e-5, 1e-3, 0.1, 1.0])
def test_distances_are_those_of_the_tensors(size: float) -> None:
    """Within a factor of three, of which eight directions are sure; twenty different tensors each."""
    one = drawn(0)
    for seed in range(1, 21):
        other = one + size * drawn(seed)
        apart = float((one.double() - other.double()).norm() / one.double().norm())
        assert apart / 3 < gauge_of(one).distance(gauge_of(other)) < apart * 3


MOVES = {
    "rows swapped": lambda one: one[[1, 0, *range(2, len(one))]],
    "rows in another order": lambda one: one[
        torch.randperm(len(one), generator=torch.Generator().manual_seed(0))
    ],
    "columns swapped": lambda one: one[:, [1, 0, *range(2, 100)]],
    "one row scaled": lambda one: one * torch.tensor([2.0] + [1.0] * (len(one) - 1))[:, None],
    "a sign": lambda one: -one,
    "shifted by one": lambda one: one.flatten().roll(1).view_as(one),
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_same_values_elsewhere_are_seen(move: Any, dtype: torch.dtype) -> None:
    """What leaves sums and lengths as they were does not leave a gauge so."""
    one = drawn(0, dtype)
    gauge = gauge_of(one)
    assert gauge.distance(gauge_of(move(one).to(dtype))) > gauge.tolerance


@pytest.mark.parametrize("width", [64, 192])
def test_no_two_places_are_alike(width: int) -> None:
    """Any two columns swapped, and any two rows, are about as far apart as they are."""
    one = torch.randn(8, width, generator=torch.Generator().manual_seed(0))
    gauge = gauge_of(one)
    for turned in (False, True):
        for first, second in combinations(range(8 if turned else width), 2):
            order = [*range(8 if turned else width)]
            order[first], order[second] = second, first
            other = one[order] if turned else one[:, order]
            assert gauge.distance(gauge_of(other)) > float((one - other).norm() / one.norm()) / 20


def test_means_of_neighbours_may_round_otherwise() -> None:
    """Of models in bfloat16 that a tune moved by a place or two: half way is where a mean often lies."""
    base = drawn(0, torch.bfloat16)
    parent = (base.float() * (1 + 0.007 * drawn(1))).bfloat16()
    mean = (base.float() + parent.float()) / 2
    gauge, nearly = gauge_of(mean.bfloat16()), gauge_of((mean * (1 + 1e-6 * drawn(2))).bfloat16())
    assert 0.001 < gauge.distance(nearly) < gauge.tolerance


def test_few_elements_may_round_otherwise() -> None:
    """A unit in the last place of one of them is allowed, however few they are; two units of all are not."""
    for count in (1, 4, 64, 4096):
        one = torch.linspace(1.0, 1.9, count).bfloat16()
        other = one.clone()
        other[0] += 2**-7
        gauge = gauge_of(one)
        assert gauge.distance(gauge_of(other)) <= gauge.tolerance
        assert gauge.distance(gauge_of(one + 2**-5)) > gauge.tolerance


DAMAGED = [
    Gauge(torch.float32, 9, 5e-324, (0.0,) * 8),
    Gauge(torch.float32, 9, 1.0, (1e15,) * 8),
    Gauge(torch.float32, 9, 1e308, (1.0,) * 8),
    Gauge(torch.float32, 0, 0.0, (0.0,) * 8),
]


@pytest.mark.parametrize("gauge", DAMAGED, ids=str)
def test_a_damaged_gauge_is_no_likeness(gauge: Gauge) -> None:
    """Numbers that nobody measured are refused as another result; those beyond reason as no gauge."""
    found = Likeness("rest", {"weight": gauge_of(torch.ones(9))})
    with pytest.raises(SurgeryError, match="farther from it"):
        Likeness("rest", {"weight": gauge}).compared(found)
    for number in (1e200, -1e16):
        with pytest.raises(SurgeryError, match="is no gauge"):
            Gauge.from_data(["float32", 9, 1.0, number, *[0.0] * 7], "weight")
    with pytest.raises(SurgeryError, match="is no gauge"):
        Gauge.from_data(["float32", 9, -1.0, *[0.0] * 8], "weight")


def test_gauges_are_the_same_for_ever() -> None:
    """A script is replayed by later releases: change these numbers with the version of scripts only."""
    found = gauge_of(torch.arange(1000, dtype=torch.float32) / 1000)
    assert (found.dtype, found.count) == (torch.float32, 1000)
    assert (found.length, *found.products) == pytest.approx((18.24372, *GOLDEN), abs=1e-6)


GOLDEN = (0.005429425, -0.134799, 0.4272565, -0.2232969, -0.1527285, 0.1360836, -0.175289, -0.1699594)


def test_pieces_do_not_matter() -> None:
    """Tiles are counted from the start, however a tensor comes."""
    one = drawn(3)
    assert gauged(one.dtype, retiled(iter(one.split(7)))) == gauge_of(one)


def test_what_has_no_gauge_is_exact() -> None:
    """Integers, and values that are not finite, are in the rest."""
    model = torch.nn.BatchNorm1d(4)
    model.bias.data[0] = torch.nan
    found = Fingerprinter().likeness_in(
        model, ["weight", "bias", "num_batches_tracked", "running_var", "none"]
    )
    assert list(found.gauges) == ["weight", "running_var"]
    model.num_batches_tracked += 1
    assert Fingerprinter().likeness_in(model, found.gauges).rest != found.rest
    assert gauge_of(torch.zeros(0)) == Gauge(torch.float32, 0, 0.0, (0.0,) * 8)
    assert gauge_of(torch.full((9,), 1e30).bfloat16()).length == pytest.approx(3e30, rel=0.01)
    assert gauge_of(torch.zeros(3)).distance(gauge_of(torch.ones(3))) == torch.inf
    assert gauge_of(torch.zeros(3)).distance(gauge_of(torch.zeros(3))) == 0


def test_gauged_is_what_the_steps_made(tmp_path: Path) -> None:
    """Tensors of the base that stay or move have none: there is nothing to compute, so nothing may differ."""
    base, parents = family(tmp_path, 1)
    session = surgery.open(base)
    session.remove("model.layers[0]")
    session.tie("model.layers[1].mlp", to="model.layers[0].mlp")
    found = session.script
    assert found.likeness == Likeness(str(found.result), {})
    session.merge("model.layers[0].self_attn", parents=parents, weights=(0.5, 0.5))
    assert session.script.likeness is not None
    assert list(session.script.likeness.gauges) == [
        f"model.layers.0.self_attn.{part}_proj.weight" for part in "qkvo"
    ]


def test_buffers_that_stay_have_no_gauge(tmp_path: Path) -> None:
    """In memory, where a session has its own, as in a stream: both record the same names."""
    base, found = saved("resnet", tmp_path / "base"), []
    for skeleton in (False, True):
        session = surgery.open(base, skeleton=skeleton)
        session.scale("resnet.embedder", factor=0.5)
        folder = session.save(tmp_path / f"{skeleton}")
        likeness = Script.read(folder / "edits.surgery.json").likeness
        assert likeness is not None
        found.append((likeness.rest, list(likeness.gauges)))
    assert found[0] == found[1] and found[0][1]
    assert all("embedder" in name and "running" not in name for name in found[0][1])


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A script of a merge that another build of torch recorded."""
    base, parents = family(tmp_path, 2)
    session = surgery.open(base)
    session.soup("model.layers[0]", parents=parents, t=0.3)
    session.remove("model.layers[1]")
    return rewritten(session.script.write(tmp_path / "edits.json"), torch="2.9.0")


def rewritten(script: Path, gauge: Any = None, **circumstances: str) -> Path:
    """The script with other circumstances, or another gauge of one tensor."""
    data = json.loads(script.read_text())
    data["made_with"] |= circumstances
    data["result"]["gauges"] |= gauge or {}
    script.write_text(json.dumps(data))
    return script


SUM = FUNCTIONS["weighted_sum"]


def elsewhere(monkeypatch: pytest.MonkeyPatch, size: float) -> None:
    """From here on sums come out a little otherwise."""

    def other(*sources: torch.Tensor, **arguments: Any) -> torch.Tensor:
        found: torch.Tensor = SUM.call(*sources, **arguments)
        return found + size * found.norm() / found.numel() ** 0.5 * torch.randn_like(found)

    monkeypatch.setitem(FUNCTIONS, "weighted_sum", replace(SUM, call=other))


def replay(script: Path, streamed: bool) -> list[str]:
    """What is warned of in a replay, in memory or piece by piece."""
    out = script.with_name("out")
    shutil.rmtree(out, ignore_errors=True)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        surgery.replay(script, **({"memory": "1GB", "out": out} if streamed else {}))
    return [str(warning.message) for warning in warned]


@pytest.mark.parametrize("streamed", [False, True], ids=["in memory", "streamed"])
def test_another_build_may_round_otherwise(
    made: Path, streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the tolerance it is said how far it is; beyond it, and on the same build, it is refused."""
    assert replay(made, streamed) == []
    elsewhere(monkeypatch, 1e-7)
    (said,) = replay(made, streamed)
    assert (
        f"{torch.__version__} instead of 2.9.0; every tensor is within its tolerance, model.layers.0." in said
    )
    elsewhere(monkeypatch, 1e-3)
    with pytest.raises(
        SurgeryError, match="farther from it than another build or device brings it"
    ) as refused:
        replay(made, streamed)
    assert refused.value.expected == "at most 1e-05" and not made.with_name("out").exists()
    elsewhere(monkeypatch, 1e-7)
    rewritten(made, torch=torch.__version__)
    with pytest.raises(SurgeryError, match=r"^the result is not the one recorded; got blake3"):
        replay(made, streamed)


def test_what_no_build_changes_is_compared_exactly(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step more is another result on every build; so is a tensor that is not finite any more."""
    script = Script.read(made)
    more = replace(script, steps=script.steps[:1])
    with pytest.raises(SurgeryError, match="what is the same on every build and device"):
        surgery.replay(more)
    monkeypatch.setitem(FUNCTIONS, "weighted_sum", replace(SUM, call=lambda one, *_, **__: one * torch.nan))
    with pytest.raises(SurgeryError, match="what is the same on every build and device"):
        replay(made, streamed=False)


def test_a_script_without_gauges_is_not_compared(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said so."""
    replace(Script.read(made), likeness=None).write(made)
    elsewhere(monkeypatch, 0.1)
    (said,) = replay(made, streamed=False)
    assert "how far apart they are the script does not say" in said


def test_a_streamed_save_records_what_one_in_memory_does(tmp_path: Path) -> None:
    """Names, the rest and, to the last digit or so, the gauges; also where files hold other tensors."""
    base, parents = family(tmp_path, 1)
    found = []
    for skeleton in (False, True):
        session = surgery.open(base, skeleton=skeleton)
        session.slerp("", parents=parents)
        folder = session.save(tmp_path / f"{skeleton}", max_shard_size="40KB")
        found.append(Script.read(folder / "edits.surgery.json").likeness)
    one, two = found
    assert one is not None and two is not None
    assert one.rest == two.rest and len(one.gauges) > 10
    assert one.compared(two).found < 1e-6


def test_a_folder_that_was_made_elsewhere_is_checked(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the gauges that both scripts have, within the tolerance and not beyond it."""
    out = made.with_name("out")
    for size, good in ((1e-7, True), (1e-3, False)):
        elsewhere(monkeypatch, size)
        shutil.rmtree(out, ignore_errors=True)
        surgery.replay(made, out=out, memory="1GB", reselect=True)
        *_, last = check(made, out=out)
        assert (last.subject, last.good) == (f"result in {out}", good), last
        assert ("within its tolerance" in last.said) == good
    elsewhere(monkeypatch, 1e-7)
    others = Path(shutil.copytree(out, out.with_name("others")))
    shutil.rmtree(out)
    surgery.replay(made, out=out, memory="1GB", reselect=True)
    shutil.copyfile(out / "edits.surgery.json", others / "edits.surgery.json")
    *_, last = check(made, out=others)
    assert not last.good  # the script of a good folder, beside the weights of another
