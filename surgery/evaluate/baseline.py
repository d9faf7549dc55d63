"""What the model before surgery gives on each batch, measured once and kept."""

from collections.abc import Callable

from torch import Tensor

from surgery.evaluate.data import Batch
from surgery.evaluate.perplexity import Perplexity
from surgery.evaluate.running import Runner


class Baseline:
    """The original's logits and losses per batch; logits are kept up to `limit_bytes`, losses always.

    A batch is known by where it starts and stops in the order of the examples: the same examples
    in smaller batches are measured again, so that both models always ran in the same batches.
    """

    def __init__(self, runner: Runner, limit_bytes: int) -> None:
        self.runner, self.limit_bytes, self.kept_bytes = runner, limit_bytes, 0
        self._logits: dict[tuple[int, int], Tensor] = {}
        self._losses: dict[tuple[int, int], Tensor] = {}

    def logits(self, place: tuple[int, int], batch: Batch) -> Tensor:
        """Logits (examples, window, vocabulary) of the batch at `place`, from memory or computed."""
        kept = self._logits.get(place)
        if kept is not None:
            return kept
        logits = self.runner.logits(batch)
        size_bytes = logits.numel() * logits.element_size()
        if self.kept_bytes + size_bytes <= self.limit_bytes:
            self._logits[place] = logits
            self.kept_bytes += size_bytes
        return logits

    def losses(
        self, place: tuple[int, int], logits: Tensor, batch: Batch, check: Callable[[], None]
    ) -> Tensor:
        """Perplexity's sums (examples, [nats, tokens]) of the batch at `place`, whose logits are given."""
        if place not in self._losses:
            self._losses[place] = Perplexity().measure(logits, None, batch, check, self.runner.whose)
        return self._losses[place]

    def forget_logits(self) -> None:
        """Drops the kept logits and keeps no more: memory ran out."""
        self._logits.clear()
        self.kept_bytes = self.limit_bytes = 0
