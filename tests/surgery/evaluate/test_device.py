import pytest
import torch
from torch import nn

from surgery.devices import is_out_of_memory
from surgery.errors import SurgeryError
from surgery.evaluate.device import autocast, is_mixed, resolve
from surgery.evaluate.placing import Placer

CUDA = torch.device("cuda", 0)


def machine(monkeypatch: pytest.MonkeyPatch, cuda: int, mps: bool) -> None:
    """Makes torch report so many CUDA devices, and MPS or none."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("cuda", "mps", "asked", "expected"),
    [
        (2, True, "auto", "cuda:0"),
        (0, True, "auto", "mps:0"),
        (0, False, "auto", "cpu"),
        (2, False, "cuda:1", "cuda:1"),
        (2, False, torch.device("cuda"), "cuda:0"),
        (2, True, "mps", "mps:0"),
        (2, True, "cpu", "cpu"),
    ],
)
def test_resolve(
    monkeypatch: pytest.MonkeyPatch, cuda: int, mps: bool, asked: str | torch.device, expected: str
) -> None:
    """What is asked for becomes a device with its index; auto takes CUDA, else MPS, else the CPU."""
    machine(monkeypatch, cuda, mps)
    assert expected == str(resolve(asked))


@pytest.mark.parametrize("asked", ["cuda:2", "mps", "meta"])
def test_absent_device(monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    """A device that is not there is refused with those that are."""
    machine(monkeypatch, 2, False)
    with pytest.raises(SurgeryError, match=rf"no such device; got {asked}.*, expected cpu, cuda:0, cuda:1\."):
        resolve(asked)


def test_nonsense_device() -> None:
    """A word that names no device is refused as such."""
    with pytest.raises(SurgeryError, match="unknown device; got the fast one"):
        resolve("the fast one")


def test_bf16_only_for_float32_on_cuda() -> None:
    """Autocast is for float32 weights on CUDA, unless exact results are asked for."""
    single, half = nn.Linear(2, 2), nn.Linear(2, 2).half()
    assert [
        is_mixed(CUDA, single, exact=False),
        is_mixed(CUDA, single, exact=True),
        is_mixed(CUDA, half, exact=False),
        is_mixed(torch.device("cpu"), single, exact=False),
    ] == [True, False, False, False]
    with autocast(torch.device("cpu"), single, exact=False):
        assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("MPS backend out of memory"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_out_of_memory(error: Exception, expected: bool) -> None:
    """Failed allocations are known on every device, and nothing else is taken for one."""
    assert expected == is_out_of_memory(error)


def test_shared_tensors_are_moved_once() -> None:
    """An edited model reuses on the device what the original brought there; its own tensors are new."""
    there = torch.device("meta")
    original = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    edited = nn.Sequential(original[0], nn.Linear(2, 2))
    placer = Placer(there)
    first, second = placer.place(original, remember=True), placer.place(edited)
    assert {there} == {parameter.device for parameter in second.parameters()}
    ours, theirs = list(first.parameters()), list(second.parameters())
    assert [
        id(placer._bring(parameter.detach(), False)) in {id(tensor) for tensor in placer._there.values()}
        for parameter in edited.parameters()
    ] == [True, True, False, False]
    assert len(ours) == len(theirs) == 4


def test_weightless_models_are_refused() -> None:
    """A skeleton cannot be evaluated; the error names its first parameter."""
    with pytest.raises(SurgeryError, match=r"^weight: it has no weights, so nothing can be run"):
        Placer(torch.device("cpu")).place(nn.Linear(2, 2, device="meta"))


def test_foreign_forward_is_refused() -> None:
    """A module whose forward is a closure is refused by path."""
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].forward = lambda x: x
    with pytest.raises(SurgeryError, match=r"^0: its forward was replaced by a closure"):
        Placer(torch.device("cpu")).place(model)
