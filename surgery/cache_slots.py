"""Whether a model could still generate: T5's cache has as many slots as the *encoder* has blocks.

Transformers makes the cache before the first token, by the config's `num_hidden_layers`. In T5 that is the
number of the encoder's blocks; a decoder with more of them fails in the middle of `generate`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgery.errors import SurgeryError
from surgery.families import BlockList
from surgery.model import Patient


def refuse_too_few(
    patient: Patient, lists: Mapping[str, BlockList], orders: Mapping[str, Sequence[int]], verb: str
) -> None:
    """SurgeryError if a list that fits its cache now would have more blocks than the cache has slots."""
    root: Any = patient.root
    before = {path: patient.items(path) for path in lists}
    after = before | {path: len(order) for path, order in orders.items()}
    for path, blocks in lists.items():
        other = next((place for place, beside in lists.items() if beside.count == blocks.slots), None)
        if other is None or not root.can_generate() or before[path] > before[other]:
            continue
        if after[path] > after[other]:
            raise SurgeryError(
                f"after {verb} it could not generate: transformers gives the KV cache of this family as many "
                f"slots as {other} has blocks",
                path=path,
                got=f"{after[path]} blocks",
                expected=f"at most {after[other]}",
                hint=f"fewer blocks in `{path}` before, or in the same step",
            )
