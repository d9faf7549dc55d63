"""What modules must have in common that are to share parameters over depth, and what is refused of them."""

from __future__ import annotations

from collections.abc import Mapping

from graph.paths import is_among, is_below
from surgery.adapters.adapter import Adapter
from surgery.errors import SurgeryError
from surgery.lazy import Held, Lazy
from surgery.model import Patient, refuse_reused


def role_of(path: str) -> str:
    """The path with a star for each number of an item."""
    return ".".join("*" if part.isdigit() else part for part in path.split("."))


def refuse_nested(patient: Patient, paths: tuple[str, ...], what: str, adapters: str) -> None:
    """SurgeryError for targets inside each other, used at several paths, or under adapters.

    `what` cannot hold a module and a part of it; `adapters` says what is wrong with an adapter there.
    """
    for path in paths:
        inside = next((other for other in paths if other != path and is_below(other, path)), None)
        if inside is not None:
            raise SurgeryError(
                f"{what} cannot hold a module and a part of it", path=inside, got=path or "(root)"
            )
        refuse_reused(patient, path)
        for name, module in patient.module(path).named_modules():
            if isinstance(module, Adapter):
                raise SurgeryError(
                    f"carries an adapter{adapters}",
                    path=f"{path}.{name}".rstrip("."),
                    hint=f'`fold("{path}")` or `detach("{path}")` first',
                )


def refuse_unlike(
    path: str, own: Mapping[str, Held], source: str, shared: Mapping[str, Lazy], hint: str
) -> None:
    """SurgeryError where two modules have not the same parameters, in names, shapes and dtypes."""
    odd = sorted(own.keys() ^ shared.keys())
    if odd:
        raise SurgeryError(
            f"{'has' if odd[0] in own else 'lacks'} {odd[0]!r}, unlike the block that it would share",
            path=path,
            got=source,
            hint=hint,
        )
    for name, lazy in shared.items():
        if (own[name].shape, own[name].dtype) != (lazy.shape, lazy.dtype):
            raise SurgeryError(
                "the parameters do not fit each other",
                path=f"{path}.{name}",
                got=f"{list(own[name].shape)} {own[name].dtype}",
                expected=f"{list(lazy.shape)} {lazy.dtype} as {source}.{name} has",
                hint=hint,
            )


def refuse_left_behind(patient: Patient, paths: tuple[str, ...], given_up: Mapping[str, Held]) -> None:
    """SurgeryError if a parameter that is given up here stays at a place outside that it was tied to."""
    sites = patient.sites()
    for path, lazy in given_up.items():
        behind = [place for place in sites[id(lazy.parameter)] if not is_among(place, paths)]
        if behind:
            raise SurgeryError(
                "is tied to a place that would be left behind",
                path=path,
                got=behind[0],
                hint=f'`untie("{path.rpartition(".")[0]}")` first',
            )
