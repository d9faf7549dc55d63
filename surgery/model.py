"""The patient: what an operation sees of the model while it plans. Read only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from graph.paths import nearest
from graph.shell import NotShellable, shell
from surgery.errors import SurgeryError
from surgery.families import FAMILIES, Family, declared_ties, model_type
from surgery.lazy import Held

_CONTAINERS = (nn.ModuleList, nn.Sequential)


class Patient:
    """A model under surgery, live or a skeleton; operations ask it for modules and lazy tensors."""

    def __init__(self, root: nn.Module) -> None:
        self.root = root

    @property
    def config(self) -> Any:
        """The model's config object; None if it has none."""
        return getattr(self.root, "config", None)

    @property
    def model_type(self) -> str | None:
        """The transformers family by name; None for a plain module."""
        return model_type(self.root)

    def family(self, verb: str) -> Family | None:
        """The family's knowledge, None for a plain module; a family not proved yet is refused by name."""
        name = self.model_type
        if name is None:
            return None
        if name not in FAMILIES:
            raise SurgeryError(
                f"{verb} is not proved on the family {name!r} yet, and doing it wrong breaks its KV cache",
                expected=f"one of {', '.join(sorted(FAMILIES))}",
            )
        return FAMILIES[name]

    def module(self, path: str) -> nn.Module:
        """The module at `path`; SurgeryError with the nearest names if there is none."""
        try:
            return self.root.get_submodule(path)
        except AttributeError:
            names = [name for name, _ in self.root.named_modules(remove_duplicate=False)]
            near = nearest(path, names)
            hint = f"`{near[0]}`" if near else "`surgery inspect`, which lists the paths"
            raise SurgeryError("no module is called so in this state", path=path, hint=hint) from None

    def tensors(self, path: str) -> list[tuple[str, Held]]:
        """Parameters under `path` as (name relative to it, lazy tensor), each site of a tie included."""
        module = self.module(path)
        return [
            (name, Held.of(parameter)) for name, parameter in module.named_parameters(remove_duplicate=False)
        ]

    def tensor(self, path: str) -> Held:
        """The lazy tensor of the parameter at `path`."""
        owner, _, name = path.rpartition(".")
        parameter = self.module(owner)._parameters.get(name)
        if parameter is None:
            raise SurgeryError("no parameter is called so in this state", path=path)
        return Held.of(parameter)

    def sites(self) -> dict[int, list[str]]:
        """All paths of every parameter, by the id of the Parameter object, in the order of the tree."""
        found: dict[int, list[str]] = {}
        for path, parameter in self.root.named_parameters(remove_duplicate=False):
            found.setdefault(id(parameter), []).append(path)
        return found

    def module_paths(self, module: nn.Module) -> list[str]:
        """All paths at which this very module object sits."""
        return [path for path, found in self.root.named_modules(remove_duplicate=False) if found is module]

    def reused(self, path: str) -> str | None:
        """The outermost module at or around `path` that is one object at several paths; None if none is."""
        parts = path.split(".")
        for depth in range(1, len(parts) + 1):
            outer = ".".join(parts[:depth])
            if len(self.module_paths(self.module(outer))) > 1:
                return outer
        return None

    def items(self, path: str) -> int:
        """How many items the list at `path` has; an object that is in it twice counts twice."""
        return len(self.module(path)._modules)

    def block_list(self, path: str, verb: str) -> tuple[str, int]:
        """The list a block sits in and its position there, which need not be its name.

        Refused if `path` is no item of a ModuleList or Sequential, or, in a transformers model, not
        one of its family's blocks.
        """
        parent, _, index = path.rpartition(".")
        self.module(path)
        parent = self.module_paths(self.module(parent))[0]  # a list used twice is one list
        family = self.family(verb)
        if not isinstance(self.module(parent), _CONTAINERS):
            hint = f"`{self.blocks(family)}[0]`" if family else "an item of a ModuleList or Sequential"
            raise SurgeryError(
                f"{verb} needs a block", path=path, got=type(self.module(path)).__name__, hint=hint
            )
        if family and parent != self.blocks(family):
            blocks = self.blocks(family)
            raise SurgeryError(f"{verb} needs a block of {blocks}", path=path, hint=f"`{blocks}[0]`")
        return parent, list(self.module(parent)._modules).index(index)

    def blocks(self, family: Family) -> str:
        """The path of the family's block list, in the model with its head as in the bare one."""
        path = family.blocks
        while "." in path and path.partition(".")[0] not in self.root._modules:
            path = path.partition(".")[2]
        return path

    def config_ties(self, path: str) -> bool:
        """Whether the parameter at `path` is an end of a tie that the model's class makes by its config."""
        ends = self.declared_ties()
        wanted = bool(getattr(self.config, "tie_word_embeddings", False))
        return wanted and path in (*ends, *ends.values())

    def declared_ties(self) -> dict[str, str]:
        """Ties the model's class makes by itself when its config says so: target → source."""
        return declared_ties(self.root)


def private_shell(
    model: nn.Module,
    parameter: Callable[[nn.Parameter], nn.Parameter] | None = None,
    *,
    private_config: bool = True,
) -> nn.Module:
    """A structural shell (see `graph.shell`); SurgeryError for a module that cannot be taken apart."""
    try:
        return shell(model, parameter=parameter, private_config=private_config).model
    except NotShellable as error:
        raise SurgeryError(error.reason, path=error.path or "(root)") from None


def sharing_shell(module: nn.Module) -> nn.Module:
    """A module of its own around the very parameters of `module`; the config stays the model's."""
    return private_shell(module, parameter=lambda shared: shared, private_config=False)


def reads_weights_directly(patient: Patient, path: str) -> str | None:
    """The class around `path` that reads this module's weight without calling it, if there is one.

    Torch's attention and encoder layers take their fast path past their children: an adapter
    wrapped around such a child would have no effect.
    """
    for ancestor in _ancestors(path):
        if isinstance(patient.module(ancestor), nn.MultiheadAttention | nn.TransformerEncoderLayer):
            return type(patient.module(ancestor)).__name__
    return None


def refuse_unseen(patient: Patient, path: str, verb: str) -> None:
    """SurgeryError where torch's fast path would go past what stands in the place of the module at `path`."""
    if around := reads_weights_directly(patient, path):
        raise SurgeryError(
            f"{around} reads this weight on its fast path without calling the module, so {verb} here would "
            "have no effect",
            path=path,
        )


def _ancestors(path: str) -> Iterator[str]:
    while "." in path:
        path = path.rpartition(".")[0]
        yield path
