"""Untie modules: parameters of their own again."""

from __future__ import annotations

from collections.abc import Iterator

from graph.paths import is_among
from surgery.depth import slot_of
from surgery.edits import Edit, SetAttribute, SetConfig, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.families import FAMILIES, indexed_modules
from surgery.fields import Targets, option
from surgery.lazy import recipe
from surgery.model import Patient, sharing_shell
from surgery.operation import Operation, operation


@operation(title="Untie", group="untie", source="original")
class Untie(Operation):
    """Every parameter of the targets that is shared becomes a copy of its own; outputs do not change.

    Fields: `targets`, modules with parameters (or themselves) at several paths; `together`: what targets
    share with each other they go on sharing, apart from the other paths of the tie, so that it falls in two.
    Where all paths of a tie are among the targets, the first keeps the original, and together nothing
    changes. A module object used at two paths is taken apart into two. Refused: targets that share nothing,
    or together nothing with others.
    """

    targets: Targets = option(help="the modules that get parameters of their own")
    together: bool = option(False, help="they go on sharing with each other, apart from the rest")

    def plan(self, patient: Patient) -> Iterator[Edit]:
        sites = patient.sites()
        paths = self.targets.paths
        _whole_modules_only(patient, paths)
        freed: set[str] = set()
        for places in sites.values():
            inside = [place for place in places if is_among(place, paths)]
            if self.together and len(inside) < len(places):
                freed.update(inside)
            elif not self.together and len(places) > 1:
                freed.update(inside[1:] if len(inside) == len(places) else inside)
        if not freed:
            raise SurgeryError(
                "shares no parameter with another path" + (" that stays behind" if self.together else ""),
                path=self.targets.select,
                hint="`surgery inspect`, which lists the ties",
            )
        yield from _modules_of_their_own(patient, paths, self.together)
        for places in sites.values():
            copies = [recipe("copy", patient.tensor(place)) for place in places if place in freed]
            for number, place in enumerate(place for place in places if place in freed):
                yield SetTensor(place, copies[0 if self.together else number])
        yield from _undeclared(patient, freed)


def _whole_modules_only(patient: Patient, paths: tuple[str, ...]) -> None:
    """A part of a reused module cannot have parameters of its own: its other places would have them too."""
    for path in paths:
        outer = patient.reused(path) if path else None
        if outer is not None and not is_among(outer, paths):
            places = patient.module_paths(patient.module(outer))
            raise SurgeryError(
                f"is a part of {outer}, one module used at {' and '.join(places)}",
                path=path,
                hint=f'`untie("{places[-1]}")`',
            )


def _modules_of_their_own(patient: Patient, paths: tuple[str, ...], together: bool) -> Iterator[Edit]:
    """A module object at several paths is replaced at the targets by a shell around the same parameters.

    One that has all of its paths among them stays as it is where they go together.
    """
    done: list[str] = []
    for path, module in patient.walk():
        if not is_among(path, paths) or is_among(path, done):
            continue
        places = patient.module_paths(module)
        inside = [place for place in places if is_among(place, paths)]
        keeps = len(inside) == len(places) and (together or path == inside[0])
        if len(places) > 1 and not keeps:
            done.append(path)
            yield SetModule(path, sharing_shell)
            yield from _own_place(patient, path)


def _own_place(patient: Patient, path: str) -> Iterator[Edit]:
    """A decoder's block that stood in two places has had one slot of the KV cache; now it gets its own."""
    family = FAMILIES.get(patient.model_type or "")
    parent, _, name = path.rpartition(".")
    if family is None or parent not in patient.block_lists(family):
        return
    place = list(patient.module(parent)._modules).index(name)
    slot = slot_of(patient, parent, place)
    for inner, _ in indexed_modules(patient.module(path)) if slot is not None else ():
        yield SetAttribute(f"{path}.{inner}".rstrip("."), "layer_idx", slot)


def _undeclared(patient: Patient, freed: set[str]) -> Iterator[Edit]:
    """A declared tie that is undone must not be said any longer, or `tie_weights` would make it again."""
    declared = patient.declared_ties()
    if any(target in freed or source in freed for target, source in declared.items()):
        yield SetConfig("tie_word_embeddings", False)
        yield SetAttribute("", "all_tied_weights_keys", {})
