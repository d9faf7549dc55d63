"""What a user sets once for every studio: seconds, device, folder of autosaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from surgery.errors import SurgeryError
from surgery.evaluate import resolve
from widgets.errands import allowed_s, notice_of

if TYPE_CHECKING:
    from widgets.studio import Studio


@dataclass(frozen=True)
class Settings:
    """Seconds that an evaluation may take, what it runs on, and where steps are kept that nobody saved."""

    budget_s: float = 2.0
    device: str = "auto"
    autosave: str = ""

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Settings:
        """The settings as the extension's schema names them; what is missing or of another kind is usual."""
        budget, device, autosave = data.get("budget"), data.get("device"), data.get("autosave")
        usual = cls()
        given = isinstance(budget, int | float) and budget == budget  # no NaN
        seconds = float(budget) if given and budget is not None else usual.budget_s
        return cls(
            allowed_s(seconds),
            device.strip() if isinstance(device, str) and device.strip() else usual.device,
            autosave.strip() if isinstance(autosave, str) else usual.autosave,
        )

    def apply(self, studio: Studio) -> None:
        """The studio goes by them; a device that is not there is said, and left out."""
        errands = studio.errands
        errands.budget_s = self.budget_s
        try:
            resolve(self.device)
        except SurgeryError as error:
            errands.device, errands.notice = "auto", notice_of(error)
        else:
            errands.device = self.device
        studio.refresh_top()
