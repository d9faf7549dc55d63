"""Heads that are tied in one model and not in another; tensors that one lacks; other dtypes; statistics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.quiet import quiet
from tests.surgery.merging.parents import base_model, family, saved, tensors, tuned

HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"


def with_head(model: Any, tied: bool, folder: Path, seed: int = 5) -> Path:
    """The model with a head of its own or without one, in a folder."""
    model.config.tie_word_embeddings = tied
    if tied:
        model.lm_head.weight = model.model.embed_tokens.weight
    else:
        head = torch.randn(model.lm_head.weight.shape, generator=torch.Generator().manual_seed(seed))
        model.lm_head.weight = nn.Parameter(head * 0.02)
    return saved(model, folder)


def test_a_tied_parent_gives_its_embedding_for_the_head(tmp_path: Path) -> None:
    """The model stays untied, and its head is merged with what the parent's head is."""
    base = with_head(base_model(), False, tmp_path / "base")
    parent = with_head(tuned(1), True, tmp_path / "parent")
    assert HEAD not in tensors(parent)
    session = surgery.open(base)
    session.merge("", parents=[str(parent)])
    mine, theirs = tensors(base), tensors(parent)
    made = dict(session.model.named_parameters())
    torch.testing.assert_close(made[HEAD].detach(), (mine[HEAD] + theirs[EMBEDDING]) / 2)
    assert made[HEAD] is not made[EMBEDDING] and not session.model.config.tie_word_embeddings


def test_an_untied_parent_of_a_tied_model_is_refused_until_it_is_untied(tmp_path: Path) -> None:
    """The sentence says how; then the config follows."""
    base = with_head(base_model(), True, tmp_path / "base")
    parent = with_head(tuned(1), False, tmp_path / "parent")
    session = surgery.open(base)
    with pytest.raises(SurgeryError, match=r"are one tensor in the model and several in this parent.*untie"):
        session.merge("", parents=[str(parent)])
    session.untie("lm_head")
    session.merge("", parents=[str(parent)])
    mine, theirs = tensors(base), tensors(parent)
    made = dict(session.model.named_parameters())
    torch.testing.assert_close(made[HEAD].detach(), (mine[EMBEDDING] + theirs[HEAD]) / 2)
    out = session.save(tmp_path / "out")
    assert json.loads((out / "config.json").read_text())["tie_word_embeddings"] is False
    assert HEAD in load_file(out / "model.safetensors")


def test_tied_models_stay_tied(tmp_path: Path) -> None:
    """One tensor is merged, once, also where draws are made."""
    base = with_head(base_model(), True, tmp_path / "base")
    parent = with_head(tuned(1), True, tmp_path / "parent")
    session = surgery.open(base)
    session.dare("", parents=[str(parent)])
    assert session.model.lm_head.weight is session.model.model.embed_tokens.weight
    out = session.save(tmp_path / "out")
    with quiet():
        loaded: Any = type(base_model()).from_pretrained(out)
    assert torch.equal(loaded.lm_head.weight, session.model.lm_head.weight)


def test_nothing_is_lost(tmp_path: Path) -> None:
    """A parent with a tensor more, one less, or of another shape is refused by the tensor's name."""
    base, parents = family(tmp_path, 1)
    file = Path(parents[0]) / "model.safetensors"
    whole = load_file(file)
    name = "model.layers.1.mlp.up_proj.weight"
    for changes, sentence in (
        ({"model.layers.9.mlp.up_proj.weight": whole[name].clone()}, "this parent has a tensor"),
        ({name: None}, f"{name}: this parent lacks the tensor"),
        ({name: whole[name][:3].clone()}, f"{name}: the shapes differ"),
    ):
        kept = {key: tensor for key, tensor in (whole | changes).items() if tensor is not None}
        save_file(kept, file, {"format": "pt"})
        session = surgery.open(base)
        with pytest.raises(SurgeryError) as refused:
            session.ties("", parents=parents)
        assert sentence in str(refused.value) and not session.steps


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_parents_may_have_another_dtype(dtype: torch.dtype, tmp_path: Path) -> None:
    """The result has this model's, rounded once from float32."""
    base = saved(base_model(dtype=dtype), tmp_path / "base")
    parent = saved(tuned(1), tmp_path / "parent")
    session = surgery.open(base)
    session.task_arithmetic("", parents=[str(parent)], weights=[0.5])
    mine, theirs = tensors(base), tensors(parent)
    for name, parameter in session.model.named_parameters():
        wanted = mine[name].float() + (theirs[name] - mine[name].float()) * 0.5
        assert parameter.dtype == dtype and torch.equal(parameter.detach(), wanted.to(dtype)), name


def norms(seed: int) -> nn.Module:
    """A net with running statistics."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2))
    net(torch.randn(8, 3, 8, 8))
    return net.eval()


def test_running_statistics_are_averaged_kept_or_refused(tmp_path: Path) -> None:
    """As it was said; counters stay this model's."""
    example = torch.randn(1, 3, 8, 8)
    other = surgery.open(norms(2), example).save(tmp_path / "other")
    for said, share in (("average", 0.5), ("keep", 0.0), ("parents", 1.0)):
        session = surgery.open(norms(1), example)
        session.slerp("", parents=[str(other)], statistics=said)
        mine, theirs = norms(1)[1], norms(2)[1]
        for name in ("running_mean", "running_var"):
            wanted = (1 - share) * getattr(mine, name) + share * getattr(theirs, name)
            torch.testing.assert_close(getattr(session.model[1], name), wanted)
        assert int(session.model[1].num_batches_tracked) == 1
        session.undo()
        assert torch.equal(session.model[1].running_var, mine.running_var)
    session = surgery.open(norms(1), example)
    with pytest.raises(SurgeryError, match=r"1.running_mean: holds running statistics.*average"):
        session.slerp("", parents=[str(other)])


def test_a_quantised_parent_is_refused(tmp_path: Path) -> None:
    """Its integers are no weights."""
    base, parents = family(tmp_path, 1)
    file = Path(parents[0]) / "model.safetensors"
    whole = load_file(file)
    name = "model.layers.1.mlp.up_proj.weight"
    save_file(whole | {name: (whole[name] * 100).to(torch.int8)}, file, {"format": "pt"})
    with pytest.raises(SurgeryError, match=rf"{name}: is stored as integers or in eight bits"):
        surgery.open(base).soup("", parents=parents)


def test_what_was_asked_for_must_be_there(tmp_path: Path) -> None:
    """Words that no tensor has, values that are not one per parent, too many parents, none."""
    base, parents = family(tmp_path, 2)
    session = surgery.open(base)
    for said, verb, fields in (
        ("holds no tensor to merge; got only 'mpl'", "ties", {"parents": parents, "only": "mpl"}),
        ("ties.densities needs one value each, or one for all; got 3 values, expected 2", "ties",
         {"parents": parents, "densities": [0.1, 0.2, 0.3]}),
        ("slerp merges with one parent; got 2", "slerp", {"parents": parents}),
        ("model_stock merges with 2 parents or more; got 1", "model_stock", {"parents": parents[:1]}),
        ("ties merges with one parent or more; got 0", "ties", {"parents": []}),
        ("karcher", "karcher", {"parents": parents, "weights": [1.0, -2.0, 1.0]}),
        ("0.6 ± 0.5", "della", {"parents": parents, "densities": [0.6], "epsilons": [0.5]}),
        ("ties.densities is out of bounds; got 20.0", "ties", {"parents": parents, "densities": [20]}),
    ):  # fmt: skip
        with pytest.raises(SurgeryError) as refused:
            getattr(session, verb)("", **fields)
        assert said in str(refused.value) or said == "karcher"


def test_only_names_tensors_by_their_paths(tmp_path: Path) -> None:
    """Words that must be in it, and words that must not."""
    base, parents = family(tmp_path, 1)
    session = surgery.open(base)
    session.soup("", parents=parents, t=1.0, only="mlp !up_proj")
    mine, theirs = tensors(base), tensors(parents[0])
    for name, parameter in session.model.named_parameters():
        taken = "mlp" in name and "up_proj" not in name
        assert torch.equal(parameter.detach(), (theirs if taken else mine)[name]), name


def test_values_go_over_depth(tmp_path: Path) -> None:
    """From the first block to the last; before them the first value, behind them the last."""
    base, parents = family(tmp_path, 1)
    session = surgery.open(base)
    session.soup("", parents=parents, t=[0.0, 0.0, 1.0])
    mine, theirs = tensors(base), tensors(parents[0])
    count = session.model.config.num_hidden_layers
    for name, parameter in session.model.named_parameters():
        parts = name.split(".")
        depth = int(parts[2]) / (count - 1) if parts[1] == "layers" else float("embed" not in name)
        t = max(0.0, 2 * depth - 1)
        wanted = mine[name] + t * (theirs[name] - mine[name])
        torch.testing.assert_close(parameter.detach(), wanted, msg=name)
