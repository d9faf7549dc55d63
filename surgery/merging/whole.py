"""A parent as a model that runs: this model's modules with the parent's tensors."""

from __future__ import annotations

from torch import nn

from surgery.checkpoint.parents import running_statistics, that_fit
from surgery.fields import Targets
from surgery.merging.merging import Put, matched
from surgery.merging.with_parents import WithParents
from surgery.model import Patient, private_shell
from surgery.recipes import compute

_WHOLE = Targets("", ("",))


def parent_model(
    patient: Patient, step: WithParents, put: Put | None = None, into: nn.Module | None = None
) -> nn.Module:
    """A shell of the model with all tensors of the step's first parent, in this model's dtypes and places.

    They may have other shapes where `put` says so; `into` is a module that takes them then, instead of the
    shell. SurgeryError as in a merge of whole models.
    """
    made, put = into or private_shell(patient.root), put or Put()
    for paths, base, (other, *_) in matched(patient, _WHOLE, step.parents, "", step.vocabulary, put):
        tensor = compute(other, {}).to(base.parameter)
        parameter = nn.Parameter(tensor, requires_grad=False)
        for path in paths:
            owner, _, name = path.rpartition(".")
            made.get_submodule(owner)._parameters[name] = parameter
    parent = that_fit(patient, step.parents, _WHOLE)[0]
    for path in running_statistics(patient, _WHOLE.paths):
        own = patient.buffer(path)
        assert own is not None
        owner, _, name = path.rpartition(".")
        buffer = compute(parent.tensor([path], own, free=put.free([path])), {}).to(own.parameter)
        made.get_submodule(owner)._buffers[name] = buffer
    return made
