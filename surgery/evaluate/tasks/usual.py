"""Which tasks are measured where nobody says which."""

from __future__ import annotations

from surgery.evaluate.subject import Subject, nothing_to_compare
from surgery.evaluate.tasks.accuracy import Accuracy
from surgery.evaluate.tasks.contract import Task
from surgery.evaluate.tasks.embedding import Embedding
from surgery.evaluate.tasks.fidelity import Fidelity
from surgery.evaluate.tasks.perplexity import Perplexity


def usual_tasks(subject: Subject) -> tuple[tuple[Task, ...], tuple[str, ...]]:
    """The tasks for a model and examples, and sentences on what is not measured and might be missed.

    Perplexity where the next token can be predicted, accuracy where there are labels, fidelity where there
    are logits, else embeddings. Raises SurgeryError where there is nothing to compare.
    """
    found: list[Task] = []
    notes: list[str] = []
    examples = subject.examples
    if subject.per_token and not examples.noise:
        if subject.looks_ahead:
            notes.append("The model looks ahead, so it has no perplexity.")
        elif examples.labels is None or examples.labels.dim() == 1:
            found.append(Perplexity())
    if examples.labels is not None and subject.logits is not None:
        if examples.labels.dim() == 1 and not subject.per_example:
            notes.append("There is one label per example and not one logit per class: no accuracy.")
        else:
            found.append(Accuracy())
    if subject.logits is not None:
        found.append(Fidelity())
    elif subject.embeds:
        found.append(Embedding())
    else:
        raise nothing_to_compare(subject)
    return tuple(found), tuple(notes)
