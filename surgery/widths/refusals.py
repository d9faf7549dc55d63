"""What cannot be narrowed: parts that say so, parts under adapters, parts that must stay alike."""

from __future__ import annotations

from surgery.adapters.adapter import Adapter
from surgery.errors import SurgeryError
from surgery.model import Patient
from surgery.widths.part import Part


def refuse_sealed(patient: Patient, parts: list[Part]) -> None:
    """SurgeryError for a part that cannot be narrowed, or has adapters inside."""
    for part in parts:
        _refuse(patient, part)


def _refuse(patient: Patient, part: Part) -> None:
    if part.refused:
        raise SurgeryError(part.refused, path=part.path, hint=part.hint)
    for cut in part.cuts:
        path = cut.path
        while "." in path:
            path = path.rpartition(".")[0]
            if isinstance(patient.module(path), Adapter):
                raise SurgeryError(
                    "is under an adapter, which has the widths of now",
                    path=path,
                    hint=f'`fold("{path}")` or `detach("{path}")` first',
                )


def refuse_unlike(parts: list[Part], left: dict[Part, int]) -> None:
    """SurgeryError if parts that must have equally many units would not."""
    found: dict[str, tuple[str, int]] = {}
    for part in parts:
        count = left.get(part, part.count)
        if part.alike:
            path, other = found.setdefault(part.alike, (part.path, count))
            if count != other:
                raise SurgeryError(
                    f"must be left with as many as {path}, whose number goes for both",
                    path=part.path,
                    got=f"{count * part.per_unit} and {other * part.per_unit}",
                    hint=f'`narrow("{part.alike}", …)`, which takes them all',
                )
