"""The kinds of units by name."""

from __future__ import annotations

from collections.abc import Callable

from surgery.model import Patient
from surgery.widths.channels import channels
from surgery.widths.experts import experts
from surgery.widths.heads import heads
from surgery.widths.neurons import neurons
from surgery.widths.part import Part
from surgery.widths.streams import width
from surgery.widths.vocabulary import vocabulary

Units = Callable[[Patient], list[Part]]
"""Every part of the model with units of one kind, in the order of the tree."""

KINDS: dict[str, Units] = {
    "neurons": neurons,
    "heads": heads,
    "channels": channels,
    "experts": experts,
    "vocabulary": vocabulary,
    "width": width,
}
