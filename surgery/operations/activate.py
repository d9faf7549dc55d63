"""Switch adapters on and off, and weigh them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from surgery.adapters.figures import sizes
from surgery.adapters.stacks import adapted, named
from surgery.charts import Chart
from surgery.edits import Edit, SetAttribute
from surgery.errors import SurgeryError
from surgery.fields import Targets, option
from surgery.model import Patient
from surgery.operation import Operation, operation


@operation(title="Activate", group="attach", source="original; weights as in PEFT's `set_scale`")
class Activate(Operation):
    """Of the adapters under the targets these are active, each at its strength, and all others are off.

    Fields: `called`: names of adapters, divided by commas; `off` switches all off; `targets`: adapted modules
    or anything around them; `strengths`: one per name, 1 if empty. An adapter of strength t gives
    base + t · (adapted − base); one that is off nothing, bit-equal to the module without it. Refused: names
    that no adapter has, and settings that are those of now.
    """

    called: str = option("default", help="names of the adapters to be active, divided by commas")
    strengths: tuple[float, ...] = option((), help="one per name; 1 each if empty", minimum=-100, maximum=100)
    off: bool = option(False, help="all are switched off, whatever is named")
    targets: Targets = option(Targets("**"), help="adapted modules, or what contains them")

    def plan(self, patient: Patient) -> Iterator[Edit]:
        names = () if self.off else named(self.called)
        strengths = self.strengths or (1.0,) * len(names)
        if not self.off and (not names or len(strengths) != len(names)):
            raise SurgeryError(
                "activate needs names of adapters and one strength each",
                got=f"{len(names)} names, {len(strengths)} strengths",
                hint="`off=True` to switch all of them off",
            )
        wanted = dict(zip(names, strengths, strict=False))
        adapted(patient, self.targets, names)  # every name is there
        edits: list[Edit] = []
        for path, adapter in adapted(patient, self.targets):
            active = adapter.name in wanted
            if adapter.active != active:
                edits.append(SetAttribute(path, "active", active))
            if active and adapter.strength != wanted[adapter.name]:
                edits.append(SetAttribute(path, "strength", wanted[adapter.name]))
        if not edits:
            raise SurgeryError("the adapters are so already", path=self.targets.select)
        yield from edits

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart | None:
        """How much each adapter changes the weight it adapts; those that are active are marked."""
        return sizes(patient, adapted(patient, self.targets))
