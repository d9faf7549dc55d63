"""Measures: what a step found out from data is part of it; replays need no data."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

import surgery
from surgery import Script, SurgeryError
from surgery.measures import Measured, sidecar_of
from tests.surgery.states import run, untouched
from tests.zoo import ZOO


def images(seed: int = 0) -> list[torch.Tensor]:
    """Four batches for the zoo's CNN, of another mean than noise has."""
    shape = next(iter(ZOO["cnn"]()[1].values())).shape[1:]
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(8, *shape, generator=generator) * 2 + 1 for _ in range(4)]


def opened() -> surgery.Session:
    """A session on the zoo's CNN, with data."""
    session = surgery.open(*ZOO["cnn"]())
    session.data = images()
    return session


def statistics(model: nn.Module) -> dict[str, torch.Tensor]:
    """The buffers of its batch norms."""
    return {name: buffer for name, buffer in model.named_buffers() if "running" in name or "batches" in name}


def test_statistics_are_those_of_swa() -> None:
    """Torch's `update_bn` on the same data gives the same buffers, bit for bit."""
    session, (model, _) = opened(), ZOO["cnn"]()
    session.recalibrate()
    for module in model.modules():  # what has no momentum is left in evaluation mode by the session
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    update_bn(images(), model)
    expected = statistics(model)
    assert expected
    for name, buffer in statistics(session.model).items():
        assert torch.equal(buffer, expected[name]), name


def test_only_targets_are_recalibrated() -> None:
    """The others keep their statistics and run with them."""
    session = opened()
    before = {name: buffer.clone() for name, buffer in statistics(session.model).items()}
    norm = next(path for path, module in session.model.named_modules() if isinstance(module, nn.BatchNorm2d))
    session.recalibrate(norm)
    changed = {
        name for name, buffer in statistics(session.model).items() if not torch.equal(buffer, before[name])
    }
    assert changed == {f"{norm}.running_mean", f"{norm}.running_var", f"{norm}.num_batches_tracked"}


def test_the_opened_model_and_the_data_stay(tmp_path: Path) -> None:
    """Statistics, flags and versions of the opened model, random state and batches are as they were."""
    session = opened()
    before, random = untouched(session.opened.model), torch.get_rng_state()
    session.recalibrate()
    session.undo()
    assert untouched(session.opened.model) == before
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(session.data, images(), strict=True))


def test_a_replay_needs_no_data(tmp_path: Path) -> None:
    """The numbers lie beside the script; the result is the same to the bit."""
    session = opened()
    session.recalibrate()
    script = session.script.write(tmp_path / "edits.surgery.json")
    assert sidecar_of(script).is_file()
    model, inputs = ZOO["cnn"]()
    again = surgery.replay(script, model, inputs=inputs)
    assert again.fingerprint() == session.fingerprint()
    assert torch.equal(run(again.model, inputs), run(session.model, inputs))


def test_few_numbers_are_in_the_script_itself(tmp_path: Path) -> None:
    """A script with a small result has no sidecar."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    session = surgery.open(module, (torch.randn(2, 3),))
    session.data = [torch.randn(16, 3) for _ in range(2)]
    session.recalibrate()
    script = session.script.write(tmp_path / "edits.surgery.json")
    assert not sidecar_of(script).exists()
    assert surgery.replay(script, module, inputs=(torch.randn(2, 3),)).fingerprint() == session.fingerprint()


def test_a_saved_folder_carries_the_sidecar(tmp_path: Path) -> None:
    """It loads to the same model, and its script replays."""
    session = opened()
    session.recalibrate()
    folder = session.save(tmp_path / "out")
    model, inputs = ZOO["cnn"]()
    loaded = surgery.load(folder, into=model)
    assert torch.equal(run(loaded, inputs), run(session.model, inputs))
    assert (
        surgery.replay(folder / "edits.surgery.json", model, inputs=inputs).fingerprint()
        == session.fingerprint()
    )


def test_a_preview_needs_no_data() -> None:
    """Figures are exact before anything was measured."""
    session = surgery.open(*ZOO["cnn"]())
    preview = session.preview("recalibrate")
    assert preview.before == preview.after


def test_a_script_without_its_sidecar_is_refused(tmp_path: Path) -> None:
    """So is one whose sidecar holds other numbers."""
    session = opened()
    session.recalibrate()
    script = session.script.write(tmp_path / "edits.surgery.json")
    other = opened()
    other.data = images(seed=1)
    other.recalibrate()
    foreign = other.script.write(tmp_path / "other.surgery.json")
    sidecar_of(foreign).replace(sidecar_of(script))
    with pytest.raises(SurgeryError, match="not beside the script"):
        Script.read(script)
    sidecar_of(script).unlink()
    with pytest.raises(SurgeryError, match="not beside the script"):
        Script.read(script)


def test_numbers_that_are_not_those_measured_are_refused() -> None:
    """A digest says which they were."""
    data = Measured.of({"a": torch.tensor([1.5, 2.0])}).data()
    assert Measured.from_data(data) is not None
    data["tensors"]["a"]["values"][0] = 1.25
    assert Measured.from_data(json.loads(json.dumps(data))) is None


BAD = {
    "no data": ([], "needs data"),
    "one image where statistics need two": ([torch.randn(1, 3)], "cannot run a batch"),
    "not what the model takes": ([torch.randn(4, 7)], "cannot run a batch"),
    "no numbers": ([torch.full((4, 3), torch.nan)], "are not numbers"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_data_change_nothing(name: str) -> None:
    """They are refused with the reason."""
    session = surgery.open(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), (torch.randn(2, 3),))
    session.data, sentence = BAD[name]
    before = session.fingerprint()
    with pytest.raises(SurgeryError, match=sentence):
        session.recalibrate()
    assert session.fingerprint() == before and not session.steps


def test_a_tensor_is_no_list_of_batches() -> None:
    """Its rows would be taken for batches."""
    session = surgery.open(*ZOO["cnn"]())
    with pytest.raises(SurgeryError, match="data are batches"):
        session.data = images()[0]


def test_a_model_without_batch_norms_is_refused() -> None:
    """By the selector."""
    session = surgery.open(*ZOO["tied_head"]())
    session.data = [torch.zeros(1, 4, dtype=torch.long)]
    with pytest.raises(SurgeryError, match="no batch norm"):
        session.recalibrate()


def test_without_weights_nothing_is_measured() -> None:
    """The way out is a script made where they are."""
    session = surgery.open(ZOO["cnn"]()[0], ZOO["cnn"]()[1], skeleton=True)
    session.data = images()
    with pytest.raises(SurgeryError, match="without weights"):
        session.recalibrate()


def test_the_demonstration_has_data() -> None:
    """The classifier of digits comes with what it was trained on."""
    session = surgery.open("demo-cnn")
    session.recalibrate()
    assert session.steps[0].measured is not None  # type: ignore[attr-defined]
