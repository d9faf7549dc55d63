"""How much each step of a script is to blame for an answer, as a record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from surgery.operation import Operation
from surgery.prompting.answers import Side, finite
from surgery.script import python_of, step_data
from surgery.show.states import words


@dataclass(frozen=True)
class StepBlame:
    """What one step of the script, `number` counted from 1, did to an answer.

    `blame`: the effect with all steps less that without this one; below zero for a step that makes up for
    others. `share`: its part of all blame, by size, with its sign. `gain`: how much more the logarithm of the
    probability of what the original says is without it, in nats; None where that has no probability. A step
    that cannot be reverted alone has none of these: `refused` says why.
    """

    number: int
    step: Operation
    blame: float | None = None
    share: float | None = None
    gain: float | None = None
    refused: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What the step does, in a few words."""
        return words(self.step)


@dataclass(frozen=True)
class Blame:
    """How much each step of the script is to blame for an answer, in the order of the script.

    `effect` is what all of them did, in `unit`: KL(original ‖ edited) at a position of a text or over
    classes, the drift of similarities for an encoder. `position` is None where there are none, and `said` is
    what the original says there. Steps may add to one another or make up for one another: what is left of
    the effect once all blame is taken is `interaction`.
    """

    effect: float
    unit: str
    steps: tuple[StepBlame, ...]
    prompt: str
    said: str
    position: int | None = None
    of: Side = "original"
    device: str = "cpu"

    @property
    def interaction(self) -> float:
        """The effect less all that was measured of single steps."""
        return self.effect - sum(step.blame or 0.0 for step in self.steps)

    @property
    def ranked(self) -> tuple[StepBlame, ...]:
        """The steps that could be reverted, those most to blame first."""
        known = [step for step in self.steps if step.blame is not None]
        return tuple(sorted(known, key=lambda step: -(step.blame or 0.0)))

    def __str__(self) -> str:
        from surgery.show.blame import blame_text

        return blame_text(self)

    def _repr_html_(self) -> str:
        from surgery.show.blame import blame_html

        return blame_html(self)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; what has no end is None."""
        return {
            "effect": finite(self.effect),
            "unit": self.unit,
            "prompt": self.prompt,
            "said": self.said,
            "position": self.position,
            "of": self.of,
            "interaction": finite(self.interaction),
            "steps": [
                {
                    "number": item.number,
                    "step": step_data(item.step),
                    "python": python_of(item.step),
                    "blame": None if item.blame is None else finite(item.blame),
                    "share": item.share,
                    "gain": None if item.gain is None else finite(item.gain),
                    "refused": item.refused,
                    "notes": list(item.notes),
                }
                for item in self.steps
            ],
        }
