"""Batches of calibration data: which are run, in what order, and which of their tokens are no padding."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from surgery.errors import SurgeryError
from surgery.evaluate.data.examples import IDS, MASK
from surgery.stopping import Stopped

LABELS = "labels"
"""What batches call the classes of their examples, beside the inputs."""
DECODER_MASK, DECODER_IDS = "decoder_attention_mask", "decoder_input_ids"


@dataclass(frozen=True, eq=False)
class Shown:
    """A batch as the model takes it, with how many `examples` it has."""

    given: Any
    examples: int

    def real(self, path: str, shape: torch.Size) -> Tensor | None:
        """Which positions of an input of this shape, at a module's path, are no padding, flat; None for all.

        In a decoder that has an encoder beside it the decoder's mask counts, elsewhere the encoder's.
        """
        if not isinstance(self.given, Mapping):
            return None
        mask, ids = self.given.get(MASK), self.given.get(DECODER_IDS)
        if isinstance(ids, Tensor) and "decoder" in path.split("."):
            own = self.given.get(DECODER_MASK)
            if _fits(torch.ones_like(ids) if own is None else own, shape):
                mask = own
        return mask.bool().flatten() if isinstance(mask, Tensor) and _fits(mask, shape) else None

    def is_text(self, shape: torch.Size) -> bool:
        """Whether states of this shape, (examples, tokens, width), are those of the ids in the batch."""
        ids = self.given.get(IDS) if isinstance(self.given, Mapping) else None
        return isinstance(ids, Tensor) and len(shape) == 3 and shape[:2] == ids.shape


def _fits(mask: Any, shape: torch.Size) -> bool:
    """Whether an input (examples, tokens, width), or (examples · tokens, width), has the mask's tokens."""
    if not isinstance(mask, Tensor) or mask.dim() != 2:
        return False
    return shape[:-1] == mask.shape or (len(shape) == 2 and shape[0] == mask.numel())


def shown(data: Sequence[Any], samples: int, seed: int, verb: str) -> list[Shown]:
    """At most `samples` examples of the batches, batch after batch in an order drawn with `seed`.

    The last is cut to what is asked, unless its tensors are not equally long. Raises SurgeryError for none.
    """
    if not len(data):
        raise SurgeryError(
            f"{verb} needs data to run the model on, and none came with it",
            hint="`s.data = [batch, …]`, each as the model takes it",
        )
    found, count = list[Shown](), 0
    for place in torch.randperm(len(data), generator=torch.Generator().manual_seed(seed)).tolist():
        if count >= samples:
            break
        batch = data[place]
        batch = dict(batch) if isinstance(batch, Mapping) else batch
        tensors = [leaf for leaf in tree_leaves(batch) if isinstance(leaf, Tensor) and leaf.dim()]
        lengths = {len(tensor) for tensor in tensors}
        examples = len(tensors[0]) if tensors else 1
        left = samples - count
        if len(lengths) == 1 and examples > left:
            batch, examples = tree_map_only(Tensor, lambda tensor, left=left: tensor[:left], batch), left
        found.append(Shown(batch, examples))
        count += examples
    return found


def first_argument(model: nn.Module) -> str | None:
    """What the model's forward calls the first that it is given."""
    return next(iter(inspect.signature(model.forward).parameters), None)


def without_labels(model: nn.Module, given: Any) -> Any:
    """A batch without labels, which come beside the inputs, for a model that takes none."""
    if not isinstance(given, dict) or LABELS not in given:
        return given
    takes = inspect.signature(model.forward).parameters.values()
    if any(item.name == LABELS or item.kind is inspect.Parameter.VAR_KEYWORD for item in takes):
        return given
    return {name: value for name, value in given.items() if name != LABELS}


def run(model: nn.Module, batch: Shown, device: torch.device, verb: str) -> Any:
    """What one forward gives, without a KV cache; SurgeryError where the model does not take the batch."""
    given = dict(batch.given) if isinstance(batch.given, Mapping) else batch.given
    given = without_labels(model, tree_map_only(Tensor, lambda tensor: tensor.to(device), given))
    cached = isinstance(given, dict) and "use_cache" in inspect.signature(model.forward).parameters
    try:
        if isinstance(given, dict):
            return model(**({"use_cache": False} if cached else {}) | given)
        if isinstance(given, list | tuple):
            return model(*given)
        return model(given)
    except (Stopped, SurgeryError):
        raise
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise SurgeryError(
            f"the model cannot run a batch of `s.data` for {verb}: {error}",
            hint="batches as the model takes them, or smaller ones",
        ) from error
