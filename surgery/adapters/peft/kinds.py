"""A type of PEFT as a kind of adapter, and which types fit a module."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from functools import cache

from torch import nn

from graph.paths import nearest
from surgery.adapters.adapter import Adapter, root_of
from surgery.adapters.kinds.kind import Kind, Settings
from surgery.adapters.peft.adapter import PeftAdapter
from surgery.adapters.peft.asking import Traits, never, said, traits
from surgery.adapters.peft.described import description
from surgery.adapters.peft.layers import template
from surgery.adapters.peft.names import offered, type_of
from surgery.adapters.peft.settings import alpha_field, rank_field, spec_of
from surgery.adapters.peft.tiny import tiny
from surgery.errors import SurgeryError, SurgeryWarning
from surgery.model import Patient


def peft_kind(name: str, settings: Settings | None = None) -> Kind | None:
    """The kind of a name such as `peft:loha`, with these settings; None for a name of another form."""
    kind = type_of(name)
    if kind is None:
        return None
    if name not in offered():
        near = nearest(name, list(offered()), 1)
        raise SurgeryError(
            "is no type of adapter of the PEFT that is installed",
            path=name[:80],
            hint=f"`{near[0]}`" if near else None,
        )
    return _kind(name, kind, spec_of(kind, settings or Settings()))


def _kind(name: str, kind: str, spec: str) -> Kind:
    def misfit(module: nn.Module) -> str | None:
        return why_not(spec, module)

    def made(patient: Patient, path: str, settings: Settings) -> Adapter:
        base = patient.module(path)
        found = traits(spec, root_of(base))
        tell(name, found, path)
        if not found.additive and isinstance(base, Adapter):
            raise SurgeryError(
                f"{name} must be the first adapter of a module, since it is about that module's weight",
                path=path,
                got=base.name,
                hint="detaching those, then attaching it before them",
            )
        return PeftAdapter(base, name, spec, found, settings.seed)

    shown: list[str] = ["seed", "options"]
    if alpha_field(kind):
        shown.insert(0, "alpha")
    if rank_field(kind):
        shown.insert(0, "rank")
    return Kind(
        name=name,
        title=name,
        source=f"PEFT's {kind}",
        fields=tuple(shown),
        parameters="as PEFT's layer",
        exact=False,
        suits="",
        hint="`surgery.adapters.peft.kinds.fitting(module)` for the types that go there",
        misfit=misfit,
        make=made,
    )


def why_not(spec: str, module: nn.Module) -> str | None:
    """Why a spec goes around no such module, as PEFT says it; None where it does."""
    name = json.loads(spec)["type"]
    if (why := never(name)) is not None:
        return f"PEFT's {name} {why}"
    if (text := description(module)) is None:
        return "is more than one layer with parameters, and PEFT's layers go around single ones"
    found = traits(spec, module)
    if found.why_not is None or found.raised:  # of a small module then, of which nobody wants to hear
        try:
            template(spec, text, 0)
        except Exception as error:  # whatever PEFT raises is its answer
            return f"PEFT's {name} refuses it: {said(error)}"
    if found.why_not is None:
        return None
    return f"PEFT's {name} {'refuses it: ' if found.raised else ''}{found.why_not}"


def fitting(module: nn.Module) -> dict[str, Traits]:
    """The types of the installed PEFT that go around modules of this class, as they are by default.

    A size that a type's defaults do not divide is refused when it is attached there.
    """
    if description(module) is None:
        return {}
    asked = {
        name: traits(spec, module, sides=False)
        for name in offered()
        if (spec := _by_default(name)) is not None
    }
    return {name: found for name, found in asked.items() if found.why_not is None}


def types_for(modules: Sequence[nn.Module]) -> dict[str, str]:
    """The types that go around all of these modules, each with a word where it is not the identity."""
    alike = {tuple(tiny(module)) if description(module) else (): module for module in modules}
    found: dict[str, list[Traits]] = {}
    for module in alike.values():
        for name, item in fitting(module).items():
            found.setdefault(name, []).append(item)
    return {
        name: "" if all(item.identity for item in told) else "not the identity at first"
        for name, told in found.items()
        if len(told) == len(alike)
    }


@cache
def _by_default(name: str) -> str | None:
    kind = type_of(name) or ""
    return spec_of(kind, Settings()) if never(kind) is None else None


def tell(kind: str, found: Traits, path: str) -> None:
    """A SurgeryWarning for a type that is not the identity at first."""
    if not found.identity:
        warnings.warn(
            f"{path}: {kind} is not the identity as it is attached: the output is another one at once",
            SurgeryWarning,
            stacklevel=2,
        )
