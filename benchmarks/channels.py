"""Channels of a ResNet-18 halved, beside torch-pruning.

Promises: the same parameters and MACs, and no slower.
"""

import copy
from typing import Any

import torch
from torch import nn

import surgery
from benchmarks import coupled
from benchmarks.tables import Table, ms, ratio, side_by_side
from graph import shell
from surgery.copies import settled
from surgery.journal import Journal
from surgery.registry import operation_named
from surgery.runs import Live, carry_out
from tests.zoo.convolutions import whole_resnet18

ROUNDS = 5


def tables() -> list[Table]:
    """Both on the full model of 11.7 million parameters, 224 × 224 pixels."""
    import torch_pruning as pruning

    torch.manual_seed(0)
    model, image = whole_resnet18(), torch.randn(1, 3, 224, 224)
    session = surgery.open(model, (image,))
    step = operation_named("narrow").of("**", "channels", ratio=0.5)
    results: dict[str, nn.Module] = {}

    def ours() -> None:
        made = shell(session.model).model
        carry_out(step, made, Journal(), Live(), session.opened.inputs)
        settled()
        results["ours"] = made

    def theirs() -> None:
        made: Any = copy.deepcopy(model)
        importance = pruning.importance.MagnitudeImportance(p=2)
        pruner = pruning.pruner.MagnitudePruner(
            made, image, importance=importance, pruning_ratio=0.5, ignored_layers=[made.fc]
        )
        pruner.step()
        results["torch-pruning"] = made

    found = side_by_side({"ours": ours, "torch-pruning": theirs}, rounds=ROUNDS)
    rows = []
    for name, seconds in found.items():
        macs, parameters = pruning.utils.count_ops_and_params(results[name], image)
        figures = f"{macs / 1e9:.4f} G", f"{parameters:,}"
        rows.append((name, ms(seconds), ratio(seconds, found["torch-pruning"]), *figures))
    header = ("", "median", "of torch-pruning", "MACs, by its counter", "parameters")
    return [
        Table("Half the channels of ResNet-18", "The same model, no slower.", header, tuple(rows)),
        *coupled.tables(),
    ]
