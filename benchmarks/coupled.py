"""Neurons of a ViT halved beside torch-pruning; and tied layers and shared keys, which it gets wrong.

Promises: the same parameters and MACs, and no slower; ties stay, and heads that share keys go together.
"""

import copy
import multiprocessing
import warnings
from typing import Any

import torch
from torch import nn

import surgery
from benchmarks.tables import Table, ms, ratio, side_by_side
from graph import shell
from surgery.copies import settled
from surgery.journal import Journal
from surgery.registry import operation_named
from surgery.runs import Live, carry_out

ROUNDS, PATIENCE_S = 3, 15.0


def tables() -> list[Table]:
    """ViT-Tiny at 224 × 224 pixels, then two small models."""
    return [_vision(), _ties_and_keys()]


def _vision() -> Table:
    import torch_pruning as pruning

    model, image = vision_transformer(), {"pixel_values": torch.randn(1, 3, 224, 224)}
    session = surgery.open(model, image)
    step = operation_named("narrow").of("**", "neurons", ratio=0.5)
    results: dict[str, Any] = {}

    def ours() -> None:
        made = shell(session.model).model
        carry_out(step, made, Journal(), Live(), session.opened.inputs)
        settled()
        results["ours"] = made

    def theirs() -> None:
        made = copy.deepcopy(model)
        others = [item for name, item in made.named_modules() if _is_layer(item) and "fc1" not in name]
        _prune(made, image, others, output_transform=lambda output: output.logits.sum())
        results["torch-pruning"] = made

    found = side_by_side({"ours": ours, "torch-pruning": theirs}, rounds=ROUNDS)
    rows = []
    for name, seconds in found.items():
        macs, parameters = pruning.utils.count_ops_and_params(results[name], image)
        figures = f"{macs / 1e9:.4f} G", f"{parameters:,}"
        rows.append((name, ms(seconds), ratio(seconds, found["torch-pruning"]), *figures))
    header = ("", "median", "of torch-pruning", "MACs, by its counter", "parameters")
    return Table("Half the neurons of ViT-Tiny", "The same model, no slower.", header, tuple(rows))


def vision_transformer() -> nn.Module:
    """ViT-Tiny of random weights."""
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(0)
    sizes = {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768}
    made: nn.Module = ViTForImageClassification(ViTConfig(**sizes)).eval()
    return made


def _is_layer(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | nn.Conv2d)


def _prune(model: Any, inputs: Any, ignored: list[nn.Module], **more: Any) -> None:
    import torch_pruning as pruning

    importance = pruning.importance.MagnitudeImportance(p=2)
    with warnings.catch_warnings(action="ignore"):
        pruner = pruning.pruner.MagnitudePruner(
            model, inputs, importance=importance, pruning_ratio=0.5, ignored_layers=ignored, **more
        )
        pruner.step()


class Feed(nn.Module):
    """A feed-forward layer added to what came in."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(16, 32), nn.Linear(32, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.fc2(torch.relu(self.fc1(x)))


def tied() -> nn.Sequential:
    """Two feed-forward layers, all of whose weights are tied."""
    torch.manual_seed(0)
    first, second = Feed(), Feed()
    for name in ("fc1", "fc2"):
        for kind in ("weight", "bias"):
            setattr(second.get_submodule(name), kind, getattr(first.get_submodule(name), kind))
    return nn.Sequential(first, second, nn.Linear(16, 4))


def shared_keys() -> nn.Module:
    """A Llama of one block, with two query heads for each key."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    made: nn.Module = LlamaForCausalLM(LlamaConfig(**sizes, **heads)).eval()
    return made


def _ties_and_keys() -> Table:
    return Table(
        "Half of what is tied or shared",
        "Ties stay, and heads that share keys and values go with them.",
        ("", "two tied layers: parameters", "tied after", "heads that share keys: parameters"),
        (("before", _count(tied()), "yes", _count(shared_keys())), _ours(), _theirs()),
    )


def _ours() -> tuple[str, ...]:
    layers = surgery.open(tied(), (torch.randn(2, 16),))
    layers.narrow("**", ratio=0.5)
    heads = surgery.open(shared_keys(), {"input_ids": torch.arange(8)[None]})
    heads.narrow("**", units="heads", ratio=0.5)
    return ("ours", _count(layers.model), _is_tied(layers.model), _count(heads.model))


def _theirs() -> tuple[str, ...]:
    made = tied()
    _prune(made, torch.randn(2, 16), [made[0].fc2, made[1].fc2, made[2]])  # type: ignore[list-item, union-attr]
    context = multiprocessing.get_context("spawn")
    asked = context.Process(target=_heads_of_theirs)
    asked.start()
    asked.join(PATIENCE_S)
    ends = not asked.is_alive()
    asked.kill()
    asked.join()
    said = f"exit code {asked.exitcode}" if ends else f"no end in {PATIENCE_S:g} s"
    return ("torch-pruning", _count(made), _is_tied(made), said)


def _heads_of_theirs() -> None:
    """Cuts the keys of one head, in a process of its own: the search for its group may not end."""
    import torch_pruning as pruning

    model: Any = shared_keys()
    inputs = {"input_ids": torch.arange(8)[None], "use_cache": False}
    with warnings.catch_warnings(action="ignore"):
        found = pruning.DependencyGraph().build_dependency(
            model, inputs, output_transform=lambda output: output.logits.sum()
        )
        keys = model.model.layers[0].self_attn.k_proj
        found.get_pruning_group(keys, pruning.prune_linear_out_channels, idxs=list(range(8))).prune()
        model(**inputs)


def _count(model: nn.Module) -> str:
    return f"{sum(parameter.numel() for parameter in model.parameters()):,}"


def _is_tied(model: Any) -> str:
    return "yes" if model[0].fc1.weight is model[1].fc1.weight else "no"
