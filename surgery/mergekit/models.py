"""The models of a mergekit file: ours, without its weights, and what the files of the others hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from graph.paths import escape
from surgery.checkpoint.hub import fetched, is_on_hub
from surgery.checkpoint.tensors import Checkpoint
from surgery.errors import SurgeryError
from surgery.families import FAMILIES, declared_ties
from surgery.mergekit.regions import Named
from surgery.model import Patient


@dataclass(frozen=True)
class OurModel:
    """The model that steps are applied to: its structure; `folder` has its weights, if it came from one."""

    module: nn.Module
    folder: str | None
    untied: frozenset[str] = frozenset()
    """Paths of tensors that a first step gives values of their own."""

    @classmethod
    def at(cls, source: str | Path | nn.Module) -> OurModel:
        """The model in a folder, or a module, that a session will be opened on."""
        from surgery.sources import opened

        if isinstance(source, nn.Module):
            return cls(source, None)
        return cls(opened(source, skeleton=True).model, str(source))

    @cached_property
    def patient(self) -> Patient:
        """As operations see it."""
        return Patient(self.module)

    @cached_property
    def lists(self) -> tuple[str, ...]:
        """The lists of blocks: those of its family, or else those that lie in no other."""
        family = FAMILIES.get(self.patient.model_type or "")
        if family is not None and (known := self.patient.block_lists(family)):
            return tuple(known)
        found: list[str] = []
        for path, module in self.patient.walk():
            outer = any(path.startswith(f"{other}.") for other in found)
            if isinstance(module, nn.ModuleList) and len(module) > 0 and not outer:
                found.append(path)
        return tuple(found)

    def the_list(self, where: str) -> str:
        """The one list of blocks."""
        if len(self.lists) != 1:
            raise SurgeryError(
                "layers are counted in a model with one list of blocks",
                path=where,
                got=", ".join(self.lists) or "none",
            )
        return self.lists[0]

    @cached_property
    def tensors(self) -> tuple[tuple[str, ...], ...]:
        """All paths of each tensor, in the order of the model."""
        found: list[tuple[str, ...]] = []
        for paths in self.patient.sites().values():
            tied = tuple(path for path in paths if path not in self.untied)
            found += [tied] if tied else []
            found += [(path,) for path in paths if path in self.untied]
        order = {
            name: at for at, (name, _) in enumerate(self.module.named_parameters(remove_duplicate=False))
        }
        return tuple(sorted(found, key=lambda paths: order.get(paths[0], len(order))))

    def named(self, choose: Callable[[str], bool]) -> tuple[Named, ...]:
        """The tensors with a name that is chosen."""
        return tuple(Named(paths, paths[0], paths[0]) for paths in self.tensors if choose(paths[0]))

    def outside(self, name: str) -> bool:
        """Whether a tensor belongs to no block."""
        return not any(name.startswith(f"{path}.") for path in self.lists)

    def before(self, name: str) -> bool:
        """Whether a tensor stands before the first block, in the order of the model."""
        names = [paths[0] for paths in self.tensors]
        first = next((at for at, other in enumerate(names) if not self.outside(other)), len(names))
        return name in names[:first]

    def modules_of(self, tensors: Sequence[Named]) -> list[str]:
        """The outermost modules that hold these tensors and no others."""
        wanted = {path for tensor in tensors for path in tensor.paths}
        every = [path for paths in self.tensors for path in paths]
        found: list[str] = []
        for tensor in tensors:
            owner = tensor.paths[0].rpartition(".")[0]
            if not _only(wanted, every, owner):
                raise SurgeryError(
                    "belongs to a module that holds blocks too, and is merged another way than these",
                    path=tensor.paths[0],
                )
            while (above := owner.rpartition(".")[0]) and _only(wanted, every, above):
                owner = above
            found.append(owner)
        return list(dict.fromkeys(found))

    def dtypes(self) -> set[torch.dtype]:
        """Those of its floating-point parameters."""
        found = {parameter.dtype for parameter in self.module.parameters()}
        return {dtype for dtype in found if dtype.is_floating_point}

    def head_of(self, checkpoint: Checkpoint, path: str) -> str | None:
        """The module whose tensors a checkpoint stores for those at a path, if it ties the two."""
        ties, names = declared_ties(self.module), {*checkpoint.entries, *checkpoint.same}
        sources = [
            source
            for target, source in ties.items()
            if target.rpartition(".")[0] == path and target not in names and source in names
        ]
        return sources[0].rpartition(".")[0] if sources else None


def _only(wanted: set[str], every: Iterable[str], owner: str) -> bool:
    return all(path in wanted for path in every if path.startswith(f"{owner}."))


def selector(paths: Iterable[str]) -> str:
    """What selects these modules."""
    return ", ".join(escape(path) for path in paths)


def folder(reference: str, where: str) -> str:
    """The folder that a reference names, as it stands in the file; SurgeryError where it is none.

    `hf://OWNER/NAME` is fetched from the hub; a name alone is taken for a folder, never for a model there.
    """
    if is_on_hub(reference):
        return str(fetched(reference))
    if Path(reference).expanduser().is_dir():
        return reference
    if "+" in reference:
        hint = "the model with its adapter folded in: `attach`, `fold` and `save`"
    elif "@" in reference:
        hint = "a folder with that revision of the model"
    else:
        hint = "a folder with the model, `hf://OWNER/NAME`, or, for the base, `--model FOLDER`"
    raise SurgeryError("there is no such folder", path=reference, got=f"{where} of the file", hint=hint)


def tied_here_alone(ours: OurModel, checkpoints: Sequence[Checkpoint]) -> list[str]:
    """Paths that our model ties to others, and one of the checkpoints has values of their own for."""
    found: list[str] = []
    for paths in ours.tensors:
        for checkpoint in checkpoints if len(paths) > 1 else ():
            known = checkpoint.converted or {}
            stored = {id(known[path]) for path in paths if path in known}
            if len(stored) > 1:
                found += paths[1:]
    return list(dict.fromkeys(found))
