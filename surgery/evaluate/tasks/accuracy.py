"""Accuracy: how often a model is right."""

from __future__ import annotations

from torch import Tensor

from surgery.errors import SurgeryError
from surgery.evaluate.answer import Chunk
from surgery.evaluate.data.examples import Batch
from surgery.evaluate.figure import Quantity
from surgery.evaluate.subject import Subject
from surgery.evaluate.tasks.contract import LogitsTask, task, unfit
from surgery.fields import option

IGNORED = -100
"""A label that says there is none, as torch's cross-entropy has it."""


@task(title="Accuracy", source="original")
class Accuracy(LogitsTask):
    """How often the label is among the `top` likeliest classes, in per cent; a label of −100 is none."""

    top: int = option(1, help="the label counts as found among so many of the likeliest classes", minimum=1)

    def fits(self, subject: Subject) -> None:
        """Refused without labels, for labels of another form, and for labels out of range."""
        labels, name = subject.examples.labels, subject.examples.name
        if labels is None:
            raise unfit(self, "the data have no labels", "`tensors(inputs, labels)` or a folder per class")
        if subject.logits is None:
            raise unfit(self, "the model gives no logits")
        if (labels.dim() == 1) != subject.per_example or (
            labels.dim() == 2 and labels.shape[1] != subject.positions
        ):
            form = (
                "one logit per class" if subject.per_example else f"logits at {subject.positions} positions"
            )
            raise unfit(self, f"labels are of shape {tuple(labels.shape)}, and the model gives {form}")
        if subject.classes < self.top:
            raise unfit(self, f"top={self.top}, and the model has {subject.classes} classes")
        wrong = (labels != IGNORED) & ((labels < 0) | (labels >= subject.classes))
        if bool(wrong.any()):
            raise SurgeryError(
                "labels are out of range",
                path=name,
                got=f"{int(labels[wrong][0])}, and {int(wrong.sum()):,} such in all",
                expected=f"0 to {subject.classes - 1}, as the model has classes",
            )
        if not bool((labels != IGNORED).any()):
            raise unfit(self, "every label is −100, which says that there is none")

    def quantities(self, subject: Subject) -> tuple[Quantity, ...]:
        return (Quantity("accuracy" if self.top == 1 else f"top-{self.top} accuracy", "%", "higher", 1),)

    def counted(self, batch: Batch, positions: int) -> Tensor:
        """Positions that have a label."""
        return _labels(batch) != IGNORED

    def values(self, chunk: Chunk) -> Tensor:
        """Whether the label was found (0 or 1)."""
        labels = _labels(chunk.batch)[:, chunk.places]
        likeliest = chunk.logits.topk(self.top, -1).indices
        return (likeliest == labels.unsqueeze(-1)).any(-1, keepdim=True).float()

    def figures(self, sums: Tensor) -> Tensor:
        return 100 * sums[..., :1] / sums[..., 1:]


def _labels(batch: Batch) -> Tensor:
    assert batch.labels is not None
    return batch.labels if batch.labels.dim() == 2 else batch.labels.unsqueeze(1)
