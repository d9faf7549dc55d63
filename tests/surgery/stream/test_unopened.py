"""A merge that opens no model gives the tensors of one that does, or leaves it to that one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import surgery
from surgery import SurgeryError
from surgery.checkpoint.manifest import read_manifest
from surgery.checkpoint.tensors import Checkpoint
from surgery.operation import Operation
from surgery.quiet import quiet
from surgery.registry import operation_named
from surgery.script import Base, Script
from surgery.stream import lineage
from surgery.stream.alike import AS_ON_DISK
from surgery.stream.unopened import carried_out, foreseen, unopened
from tests.surgery.merging.parents import STEP, family
from tests.zoo.families import DECODERS

Steps = tuple[Operation, ...]


def step(verb: str, **fields: Any) -> Operation:
    """An operation on the whole model."""
    return operation_named(verb).from_fields({"targets": "", **fields})


def script(base: Path, *steps: Operation) -> Script:
    """A script that records no fingerprints."""
    return Script(Base(str(base), "", None), steps)


def kin(name: str, folder: Path) -> tuple[Path, str]:
    """A small model of a family as transformers saves it, and one that was tuned from it."""
    torch.manual_seed(0)
    model: Any = DECODERS[name]()[0]
    with quiet():
        model.save_pretrained(folder / "base")
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * STEP)
        model.save_pretrained(folder / "other")
    return folder / "base", str(folder / "other")


@pytest.mark.parametrize("name", sorted(AS_ON_DISK))
def test_it_gives_what_a_model_would(name: str, tmp_path: Path) -> None:
    """Bit for bit, draws and values over depth included; the folder loads, config and dtype with it."""
    base, other = kin(name, tmp_path)
    steps = (
        step("dare", parents=[other], densities=[[0.2, 0.9]], scale=[0.5, 1.0]),
        step("ties", parents=[other], only="mlp", weights=[[0.0, 2.0]]),
        step("scale", factor=[1.0, 0.9, 1.0]),
        step("cast", dtype="float64"),
    )
    found = unopened(script(base, *steps), None)
    assert found is not None
    made, fingerprint = carried_out(found, tmp_path / "out", limit=10**9)
    session = surgery.open(base)
    for item in steps:
        session.apply(item)
    live = session.save(tmp_path / "live")
    expected, given = load_file(live / "model.safetensors"), load_file(tmp_path / "out" / "model.safetensors")
    assert expected.keys() == given.keys()
    assert [key for key in expected if not torch.equal(expected[key], given[key])] == []
    assert fingerprint == Checkpoint.at(live).fingerprint() == read_manifest(tmp_path / "out")["tensors"]
    assert surgery.open(tmp_path / "out").fingerprint() == session.fingerprint()
    assert json.loads((tmp_path / "out/config.json").read_text())["dtype"] == "float64"
    assert [item.name for item in made.steps] == ["dare", "ties", "scale", "cast"]
    again = surgery.replay(tmp_path / "out/edits.surgery.json", base)
    assert again.fingerprint() == session.fingerprint()


def test_the_families_are_those_whose_names_do_not_change(tmp_path: Path) -> None:
    """What transformers saves has the names of the state in memory."""
    for name in AS_ON_DISK:
        model: Any = DECODERS[name]()[0]
        with quiet():
            model.save_pretrained(tmp_path / name)
        stored = Checkpoint.at(tmp_path / name).entries.keys()
        assert stored <= model.state_dict().keys(), name


def test_a_changed_tensor_is_found_when_it_is_loaded(tmp_path: Path) -> None:
    """There is no fingerprint of a model; that of the tensors is compared."""
    base, parents = family(tmp_path, 1)
    found = unopened(script(base, step("slerp", parents=parents)), None)
    assert found is not None
    carried_out(found, tmp_path / "out", limit=10**9)
    surgery.load(tmp_path / "out")
    tensors = load_file(tmp_path / "out/model.safetensors")
    tensors["model.norm.weight"] = tensors["model.norm.weight"] + 1
    save_file(tensors, tmp_path / "out/model.safetensors", {"format": "pt"})
    with pytest.raises(SurgeryError, match="its tensors are not those that were saved"):
        surgery.load(tmp_path / "out")


def changed(folder: Path, **values: Any) -> None:
    """A config with other values."""
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_the_rest_is_left_to_a_model(tmp_path: Path) -> None:
    """Other families, other edits, selectors of classes, recorded fingerprints, parents of another build."""
    base, parents = family(tmp_path, 1)
    slerp = step("slerp", parents=parents)
    assert unopened(script(base, slerp), None)
    assert unopened(script(base), None) is None
    assert unopened(script(base, slerp, operation_named("remove").of("model.layers[0]")), None) is None
    assert unopened(script(base, operation_named("slerp").of("**:Linear", parents)), None) is None
    assert unopened(script(base, operation_named("slerp").of("**.mlp", parents)), None) is None
    assert unopened(script(base, operation_named("slerp").of("model.layers[0:2]", parents)), None)
    other_class = Script(Base(str(base), "Qwen2ForCausalLM", None), (slerp,))
    assert unopened(other_class, None) is None
    recorded = Script(Base(str(base), "LlamaForCausalLM", "blake3:0"), (slerp,))
    assert unopened(recorded, None) is None
    odd: dict[str, Any] = {"model_type": "mixtral", "auto_map": {"AutoModel": "x.Y"}, "vocab_size": 7}
    odd |= {"quantization_config": {"quant_method": "gptq"}, "num_hidden_layers": 3}
    for key, value in odd.items():
        other = shutil.copytree(base, tmp_path / key)
        changed(other, **{key: value})
        assert unopened(script(other, slerp), None) is None
    recorded_parent = step("slerp", parents=[{"source": parents[0], "fingerprint": "blake3:00"}])
    found = unopened(script(base, recorded_parent), None)
    assert found is not None
    with pytest.raises(SurgeryError, match="this parent is not the one that was recorded"):
        carried_out(found, tmp_path / "out", limit=10**9)
    parent = Path(parents[0])
    whole = load_file(parent / "model.safetensors")
    norm = "model.norm.weight"
    lacking = {name: tensor for name, tensor in whole.items() if name != norm}
    for tensors in (
        lacking,
        whole | {norm: whole[norm].to(torch.int8)},
        whole | {"model.x.weight": whole[norm] + 0},
    ):
        for place in (parent, base):  # in both, so that they are alike
            save_file(tensors, place / "model.safetensors", {"format": "pt"})
        assert unopened(script(base, slerp), None) is None


def test_nothing_is_loaded_that_it_has_no_use_for(tmp_path: Path) -> None:
    """That is what it is for: no library of models, and nothing that measures them."""
    base, parents = family(tmp_path, 1)
    script(base, step("slerp", parents=parents)).write(tmp_path / "edits.json")
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from surgery.script import Script\n"
        "from surgery.stream.unopened import carried_out, unopened\n"
        f"base = unopened(Script.read({str(tmp_path / 'edits.json')!r}), None)\n"
        f"carried_out(base, Path({str(tmp_path / 'out')!r}), limit=10**9)\n"
        "idle = {'transformers', 'networkx', 'peft', 'accelerate', 'surgery.evaluate', 'surgery.advise'}\n"
        "print(sorted(idle & sys.modules.keys()))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_many_steps_on_one_tensor(tmp_path: Path) -> None:
    """Each uses what was before it twice: there are a billion ways down, and each tensor is made once."""
    base, parents = family(tmp_path, 1)
    steps = [step("task_arithmetic", parents=parents, weights=[0.1], only="norm") for _ in range(30)]
    found = unopened(script(base, *steps), None)
    assert found is not None
    assert all(len(tensor.source) < 2000 for tensor in foreseen(found, limit=10**9).tensors)
    carried_out(found, tmp_path / "out", limit=10**9)
    session = surgery.open(base)
    for item in steps:
        session.apply(item)
    assert surgery.open(tmp_path / "out").fingerprint() == session.fingerprint()


@pytest.mark.parametrize("opened", [False, True])
def test_too_many_steps_on_one_tensor_are_refused(
    tmp_path: Path, opened: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a way out, and with nothing written; in memory there may be more."""
    monkeypatch.setattr(lineage, "DEEPEST", 10)
    base, _ = family(tmp_path, 0)
    steps = [step("scale", only="norm", factor=1.0 + number / 1000) for number in range(11)]
    more = [operation_named("remove").of("model.layers[0]")] if opened else []
    with pytest.raises(SurgeryError, match="so many steps change one tensor") as refused:
        if opened:
            surgery.replay(script(base, *steps, *more), out=tmp_path / "out", memory="1GB")
        else:
            found = unopened(script(base, *steps), None)
            assert found is not None
            carried_out(found, tmp_path / "out", limit=10**9)
    assert "saving after some of the steps" in str(refused.value)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["base"]
    surgery.replay(script(base, *steps, *more))
