"""Bad input is refused with one clear sentence, and everything stays as it was."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.fingerprint import Fingerprinter
from tests.surgery.states import snapshot
from tests.zoo import ZOO


@pytest.fixture
def session() -> surgery.Session:
    """A session on the small Llama, with one step made."""
    model, inputs = ZOO["llama"]()
    session = surgery.open(model, inputs)
    session.remove("model.layers[1]")
    return session


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("remove", {"targets": "model.layers[42]"}, "model.layers[42]: matches nothing in this state"),
    ("remove", {"targets": "model.layer[1]"}, "matches nothing in this state"),
    ("remove", {"targets": "model.layers["}, "model.layers["),
    ("remove", {"targets": "model.layers[*]"}, "model.layers: remove would leave no block"),
    ("remove", {"targets": "model.layers.0.mlp"}, "model.layers.0.mlp: remove needs a block"),
    ("tie", {"targets": "model.layers.0.mlp", "to": "model.layers.1.self_attn"}, "to tie"),
    (
        "tie",
        {"targets": "model.layers.0.self_attn.q_proj", "to": "model.layers.0.self_attn.k_proj"},
        "the parameters do not fit each other; got [32, 32]",
    ),
    ("tie", {"targets": "model.layers.0", "to": "model.layers.0"}, "a module other than `to`"),
    ("tie", {"targets": "model.layers.0.self_attn", "to": "model.layers.0"}, "a part of itself"),
    (
        "tie",
        {"targets": "model.layers[0]", "to": "model.layers[*]"},
        "tie.to needs one module; got 3 matches",
    ),
    ("untie", {"targets": "model.layers.0"}, "shares no parameter"),
    ("merge", {"targets": "model.layers[0]"}, "merge needs two blocks or more"),
    ("merge", {"targets": "model.layers[0:2]", "weights": [1.0]}, "merge needs one weight each"),
    ("sparsify", {"targets": "**", "ratio": 0.0}, "sparsify.ratio is out of bounds"),
    ("sparsify", {"targets": "**", "ratio": float("nan")}, "sparsify.ratio does not fit"),
    ("sparsify", {"targets": "model.norm"}, "no weight of two or more dimensions"),
    ("attach", {"targets": "model.norm"}, "model.norm: is no linear module"),
    ("attach", {"targets": "**:Linear", "adapter": "dorra"}, "attach.adapter does not fit"),
    ("attach", {"targets": "**:Linear", "rank": 0}, "attach.rank is out of bounds"),
    ("detach", {"targets": "**"}, "carries no adapter"),
    ("fold", {"targets": "**"}, "carries no adapter"),
]


@pytest.mark.parametrize(("operation", "fields", "sentence"), REFUSED, ids=lambda value: str(value)[:40])
def test_refused_operation_changes_nothing(
    session: surgery.Session, operation: str, fields: dict[str, Any], sentence: str
) -> None:
    """The sentence names path and problem; model, script and history stay."""
    before, script = snapshot(session.model), session.script.to_json()
    with pytest.raises(SurgeryError) as refusal:
        getattr(session, operation)(**fields)
    assert sentence in str(refusal.value)
    assert str(refusal.value).count("\n") == 0
    assert snapshot(session.model) == before
    assert session.script.to_json() == script


FIRST, SECOND, THIRD, FOURTH = (f"model.layers.{number}" for number in range(4))
NESTED = [
    (f"{FIRST}.mlp", FIRST),
    (FIRST, f"{FIRST}.mlp"),
    ("model.layers", FIRST),
    (FIRST, ""),
    ("", FIRST),
    (f"{SECOND}, {FIRST}.mlp", FIRST),
]


@pytest.mark.parametrize(("targets", "to"), NESTED, ids=str)
def test_a_tie_with_ones_own_part_is_refused(session: surgery.Session, targets: str, to: str) -> None:
    """A block has no tie with what is inside it, nor with what it is in, down from the whole model."""
    before = snapshot(session.model)
    with pytest.raises(SurgeryError, match="cannot be tied to a part of itself"):
        session.tie(targets, to=to)
    assert snapshot(session.model) == before


def test_targets_inside_each_other_are_refused(session: surgery.Session) -> None:
    """The part is not of the class of `to`, and nothing is tied."""
    before = snapshot(session.model)
    with pytest.raises(SurgeryError, match=r"model\.layers\.1\.mlp: has no parameter 'self_attn"):
        session.tie(f"{SECOND}, {SECOND}.mlp", to=FIRST)
    assert snapshot(session.model) == before


# What was tied before, and the tie that would come back to where it began.
CYCLES: dict[str, tuple[list[tuple[str, str]], tuple[str, str]]] = {
    "itself": ([], (SECOND, SECOND)),
    "there and back": ([(SECOND, FIRST)], (FIRST, SECOND)),
    "once more": ([(SECOND, FIRST)], (SECOND, FIRST)),
    "around, each to the one before": ([(SECOND, FIRST), (THIRD, SECOND)], (FIRST, THIRD)),
    "what holds tied parts alone": ([(f"{SECOND}.mlp", f"{FIRST}.mlp")], (f"{FIRST}.mlp", f"{SECOND}.mlp")),
    "as the config has it": ([], ("lm_head", "model.embed_tokens")),
}


@pytest.mark.parametrize("case", CYCLES)
@pytest.mark.parametrize("start", ["to", "average"])
def test_a_cycle_of_ties_is_refused(case: str, start: str) -> None:
    """All of them share one set of parameters before the last tie, which would change nothing."""
    session = surgery.open(*ZOO["llama"]())
    ties, (targets, to) = CYCLES[case]
    for target, other in ties:
        session.tie(target, to=other)
    before, script = snapshot(session.model), session.script.to_json()
    with pytest.raises(SurgeryError, match=r"shares these parameters already|a module other than `to`"):
        session.tie(targets, to=to, start=start)
    assert snapshot(session.model) == before and session.script.to_json() == script


def test_a_tie_that_would_break_another_is_refused() -> None:
    """3 → 4, then 4 → 5: 3 would be left alone with the old parameters, and nobody had asked for that.

    With both among the targets all three are one, and 5 → 3 is a tie that is there already.
    """
    session = surgery.open(*ZOO["llama"]())
    session.tie(SECOND, to=THIRD)
    before = snapshot(session.model)
    with pytest.raises(SurgeryError, match="would be left behind") as refusal:
        session.tie(THIRD, to=FOURTH)
    assert refusal.value.path == f"{THIRD}.self_attn.q_proj.weight"
    assert refusal.value.got == f"{SECOND}.self_attn.q_proj.weight"
    assert refusal.value.hint == f'both among the targets, or `untie("{THIRD}")` first'
    assert snapshot(session.model) == before
    session.tie(f"{SECOND}, {THIRD}", to=FOURTH)
    shared = [session.model.get_parameter(f"{path}.mlp.up_proj.weight") for path in (SECOND, THIRD, FOURTH)]
    assert shared[0] is shared[1] is shared[2]
    with pytest.raises(SurgeryError, match="shares these parameters already"):
        session.tie(FOURTH, to=SECOND)
    session.undo()
    session.untie(THIRD)
    session.tie(THIRD, to=FOURTH)


def test_to_may_be_among_the_targets(session: surgery.Session) -> None:
    """It is what the others are tied to; a list of blocks with its first is no cycle."""
    session.tie("model.layers[*]", to=SECOND)
    shared = [session.model.get_parameter(f"{path}.mlp.up_proj.weight") for path in (FIRST, SECOND, THIRD)]
    assert shared[0] is shared[1] is shared[2]


def test_what_is_tied_in_part_is_tied_whole() -> None:
    """A tie that adds to one that is there is none too many, nor one that more blocks join."""
    session = surgery.open(*ZOO["llama"]())
    session.tie(f"{SECOND}.mlp", to=f"{FIRST}.mlp")
    session.tie(SECOND, to=FIRST)
    session.tie("model.layers[1:3]", to=FIRST)
    blocks = [dict(session.model.get_submodule(path).named_parameters()) for path in (FIRST, SECOND, THIRD)]
    assert all(blocks[0][name] is block[name] for block in blocks for name in block)


def test_attach_twice_is_refused(session: surgery.Session) -> None:
    """A module that carries an adapter takes no second one."""
    session.attach("model.layers.0.self_attn.q_proj")
    with pytest.raises(SurgeryError, match="carries an adapter already"):
        session.attach("model.layers.0.self_attn.q_proj")


def test_fold_into_a_tied_weight_is_refused(session: surgery.Session) -> None:
    """Folding would change the other end of the tie; the hint names the way out, and it works."""
    session.tie("model.layers.1", to="model.layers.0")
    session.attach("model.layers.1.self_attn.q_proj")
    with pytest.raises(SurgeryError, match="its weight is tied") as refusal:
        session.fold("model.layers.1")
    assert refusal.value.hint is not None and "untie" in refusal.value.hint
    session.untie("model.layers.1.self_attn.q_proj.base")
    session.fold("model.layers.1")


def test_adapter_on_a_fast_path_is_refused() -> None:
    """Torch's encoder layer reads linear1 without calling it: an adapter there would have no effect."""
    model, inputs = ZOO["encoder"]()
    session = surgery.open(model, inputs)
    with pytest.raises(SurgeryError, match="fast path"):
        session.attach("**.linear1")


def test_edit_that_breaks_the_forward_is_rolled_back() -> None:
    """A removal after which shapes no longer fit names the module that would fail."""
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2), nn.Linear(2, 2)).eval()
    session = surgery.open(model, torch.zeros(1, 4))
    before = snapshot(session.model)
    with pytest.raises(SurgeryError, match="the forward would fail here"):
        session.remove("[1]")
    assert snapshot(session.model) == before


SCRIPTS: list[tuple[Any, str]] = [
    ("{", "is not JSON"),
    ("[]", "is no object"),
    ({"format": "other"}, "is no edit script; got other"),
    ({"version": 2}, "has a version this release cannot read"),
    ({"colour": "red"}, "unknown key"),
    ({"base": {"class": "LlamaForCausalLM"}}, "lacks 'fingerprint'"),
    ({"steps": [{"operation": "remoev", "targets": "**"}]}, "no operation is called 'remoev'"),
    ({"steps": [{"operation": "remove", "targets": "**", "hard": True}]}, "remove has no field 'hard'"),
    ({"steps": [{"operation": "remove"}]}, "remove needs a value for targets"),
    ({"steps": [{"operation": "remove", "targets": 7}]}, "remove.targets does not fit"),
    ({"steps": ["remove"]}, "is no step"),
    ({"steps": {}}, "steps is no list"),
    ({"made_with": "abc"}, "made_with is no object"),
    ({"made_with": {"moon": "full"}}, "made_with has an unknown key"),
    ({"base": {"class": "LlamaForCausalLM", "fingerprint": None, "source": 7}}, "base.source is no text"),
]


@pytest.mark.parametrize(("change", "sentence"), SCRIPTS, ids=lambda value: str(value)[:40])
def test_bad_script_is_refused(session: surgery.Session, tmp_path: Path, change: Any, sentence: str) -> None:
    """Unknown keys, versions, operations and fields are named; nothing is written."""
    file, out = tmp_path / "edits.surgery.json", tmp_path / "out"
    if isinstance(change, str):
        file.write_text(change)
    else:
        file.write_text(json.dumps(json.loads(session.script.to_json()) | change))
    with pytest.raises(SurgeryError) as refusal:
        surgery.replay(file, ZOO["llama"]()[0], out)
    assert sentence in str(refusal.value) and str(file) in str(refusal.value)
    assert not out.exists()


def test_script_for_another_model_is_refused(session: surgery.Session, tmp_path: Path) -> None:
    """Another class and other weights are both told from the base."""
    other = ZOO["qwen2"]()[0]
    with pytest.raises(SurgeryError, match="made on another model; got Qwen2ForCausalLM"):
        surgery.replay(session.script, other, tmp_path / "out")
    changed = ZOO["llama"]()[0]
    with torch.no_grad():
        changed.get_parameter("model.norm.weight")[0] += 1
    with pytest.raises(SurgeryError, match="the content differs"):
        surgery.replay(session.script, changed, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_selector_that_resolves_otherwise_is_refused(session: surgery.Session) -> None:
    """A step recorded on other paths than its selector gives now fails loudly."""
    model, inputs = ZOO["llama"]()
    data = json.loads(session.script.to_json())
    data["steps"][0]["targets"] = {"select": "model.layers[-1]", "paths": ["model.layers.1"]}
    with pytest.raises(SurgeryError, match="recorded on other modules"):
        surgery.replay(surgery.Script.from_json(json.dumps(data)), model, inputs=inputs)


@pytest.fixture
def saved(session: surgery.Session, tmp_path: Path) -> Path:
    """A folder with the edited model."""
    return session.save(tmp_path / "saved")


def test_save_does_not_replace_unasked(session: surgery.Session, saved: Path) -> None:
    """An existing folder is kept; with overwrite it is replaced; one with other things in it never."""
    before = sorted(path.name for path in saved.iterdir())
    with pytest.raises(SurgeryError, match="exists and is not empty"):
        session.save(saved)
    assert sorted(path.name for path in saved.iterdir()) == before
    session.save(saved, overwrite=True)
    other = saved.parent / "photos"
    other.mkdir()
    (other / "cat.jpg").write_bytes(b"cat")
    with pytest.raises(SurgeryError, match=r"no save of a model wrote; got cat\.jpg"):
        session.save(other, overwrite=True)
    assert (other / "cat.jpg").read_bytes() == b"cat"
    project = saved.parent / "project"
    (project / "src").mkdir(parents=True)
    (project / "config.json").write_text("{}")
    with pytest.raises(SurgeryError, match="no save of a model wrote"):
        session.save(project, overwrite=True)
    (saved / "notes.txt").write_text("mine")
    with pytest.raises(SurgeryError, match=r"no save of a model wrote; got notes\.txt"):
        session.save(saved, overwrite=True)


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), SafetensorError("No space left on device")]
)
def test_failed_save_leaves_the_old_folder(
    session: surgery.Session, saved: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """When the disk is full half-way, the old folder is whole and nothing else is left behind."""
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    neighbours = sorted(saved.parent.iterdir())

    def full(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("surgery.checkpoint.save.card", full)
    with pytest.raises(SurgeryError, match="No space left on device"):
        session.save(saved, overwrite=True)
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
    assert sorted(saved.parent.iterdir()) == neighbours


@pytest.mark.parametrize("keep", [0, 4, 100, -10])
def test_truncated_safetensors_is_refused(saved: Path, keep: int) -> None:
    """A file cut anywhere is named, by open as by load."""
    file = saved / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(SurgeryError, match="truncated or no safetensors file"):
        surgery.open(str(saved))
    with pytest.raises(SurgeryError, match="truncated or no safetensors file"):
        surgery.load(saved)


def test_foreign_safetensors_is_refused(saved: Path) -> None:
    """Tensors that are not the model's are named."""
    save_file({"a": torch.zeros(2)}, saved / "model.safetensors")
    with pytest.raises(SurgeryError, match="its tensors do not fit its config"):
        surgery.load(saved)
    (saved / "surgery.json").unlink()
    with pytest.raises(SurgeryError, match="its tensors do not fit its config"):
        surgery.open(str(saved))


def test_changed_weights_are_noticed(saved: Path) -> None:
    """A folder whose content is not what was saved does not load."""
    file = saved / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 0x40
    file.write_bytes(content)
    with pytest.raises(SurgeryError, match="not what was saved"):
        surgery.load(saved)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_pickles(tmp_path: Path) -> None:
    """Weights alone are read onto a given module; a pickle that would run code is refused unread."""
    module = nn.Linear(3, 2)
    torch.save(module.state_dict(), tmp_path / "weights.pt")
    other = nn.Linear(3, 2)
    kept = Fingerprinter()(other)
    session = surgery.open(tmp_path / "weights.pt", torch.zeros(1, 3), into=other)
    assert Fingerprinter()(session.model) == Fingerprinter()(module) != kept
    assert Fingerprinter()(other) == kept

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / "bomb.pt").write_bytes(pickle.dumps({"weight": Bomb()}))
    torch.save(module, tmp_path / "module.pt")
    for name in ("bomb.pt", "module.pt"):
        with pytest.raises(SurgeryError, match="never unpickled"):
            surgery.open(tmp_path / name, into=other)
    assert not (tmp_path / "ran").exists()
    with pytest.raises(SurgeryError, match="does not say what the model is"):
        surgery.open(tmp_path / "weights.pt")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    (tmp_path / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    with pytest.raises(SurgeryError, match="holds a pickle, which is never loaded"):
        surgery.open(tmp_path)


def test_parts_of_a_reused_module_are_not_untied() -> None:
    """Both places would change: refused, and the hint names the whole module, which works."""
    model, inputs = ZOO["siamese"]()
    session = surgery.open(model, inputs)
    part = next(path for path in session.graph.by_path if path.startswith("right."))
    with pytest.raises(SurgeryError, match="is a part of right") as refusal:
        session.untie(part)
    assert refusal.value.hint == '`untie("right")`'
    session.untie("right")
    assert len([tie for tie in session.graph.ties if tie.kind == "module"]) == 0


NO_STRUCTURE = '{"format": "surgery-model", "version": 1, "class": "X", "fingerprint": "", "structure": null}'


@pytest.mark.parametrize(
    "text", ["{}", '{"format": "surgery-model", "version": 1}', NO_STRUCTURE, "[]", "no json"]
)
def test_bad_manifest_is_refused(saved: Path, text: str) -> None:
    """A manifest without its keys is one sentence too."""
    (saved / "surgery.json").write_text(text)
    with pytest.raises(SurgeryError):
        surgery.load(saved)


def test_manifest_with_a_class_that_is_none(saved: Path) -> None:
    """A class name from a file reaches nothing but model classes."""
    data = json.loads((saved / "surgery.json").read_text())
    data["class"] = data["structure"]["class"] = "pipeline"
    (saved / "surgery.json").write_text(json.dumps(data))
    with pytest.raises(SurgeryError, match="names no model class"):
        surgery.load(saved)


def test_running_statistics_are_not_averaged(tmp_path: Path) -> None:
    """Merging a model with BatchNorm over checkpoints names the statistics that would be wrong."""
    model, inputs = ZOO["cnn"]()
    session = surgery.open(model, inputs)
    session.save(tmp_path / "parent")
    with pytest.raises(SurgeryError, match="running statistics"):
        session.merge("**", parents=[str(tmp_path / "parent")])


def test_sources_that_are_no_model(tmp_path: Path) -> None:
    """An empty folder, an unknown id, an unknown class and code of its own are each named."""
    with pytest.raises(SurgeryError, match="holds no model"):
        surgery.open(tmp_path)
    with pytest.raises(SurgeryError, match="is no folder here"):
        surgery.open("nobody/nothing-of-this-name")
    with pytest.raises(SurgeryError, match="there is no such folder"):
        surgery.open(tmp_path / "absent")
    (tmp_path / "config.json").write_text('{"architectures": ["NoSuchModel"]}')
    with pytest.raises(SurgeryError, match="names no model class"):
        surgery.open(tmp_path)
    (tmp_path / "config.json").write_text('{"auto_map": {"AutoModel": "x.Y"}, "architectures": ["X"]}')
    with pytest.raises(SurgeryError, match="brings code of its own"):
        surgery.open(tmp_path)
