"""What a session takes away that changes nothing of what the model computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from surgery.measuring import Measuring

if TYPE_CHECKING:
    from surgery.rewriting.simplify import Simplified
    from surgery.session import Session


class Simplifying(Measuring):
    """The part of a session that simplifies."""

    def simplify(self) -> Simplified:
        """Every exact rewrite that leaves fewer parameters: branches, batch norms, and weights of norms.

        Each is an ordinary step, proved in float64 before it is kept, and undone as any other. What is left
        is said with the reason. Raises SurgeryError where there are no example inputs.
        """
        from surgery.rewriting.simplify import simplify

        with self.lock:
            return simplify(cast("Session", self))
