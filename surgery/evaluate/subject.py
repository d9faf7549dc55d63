"""What is known of the model and the examples before anything is measured: tasks fit it, or say why not."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from surgery.errors import SurgeryError
from surgery.evaluate.answer import Wants
from surgery.evaluate.data.examples import IDS, MASK, Batch, Examples
from surgery.evaluate.data.vocabulary import positions, vocabulary_size
from surgery.evaluate.running import Runner

_COMPARED = 16
"""Places before the middle of a window that are looked at for whether the model looks ahead."""


@dataclass(frozen=True)
class Subject:
    """The original on one of the examples.

    `logits`: positions and classes, None without; `per_example`: one position, and no tokens are meant;
    `per_token`: a position per token of the window, and a class per token there is;
    `looks_ahead`: predictions change with later tokens; `blocks`: the blocks that both models have, by their
    paths in the original.
    """

    model: nn.Module
    examples: Examples
    logits: tuple[int, int] | None
    per_example: bool
    per_token: bool
    looks_ahead: bool
    embeds: bool
    sliced: bool
    blocks: tuple[str, ...] = ()

    @property
    def positions(self) -> int:
        """Positions of the logits of an example; 0 without."""
        return self.logits[0] if self.logits else 0

    @property
    def classes(self) -> int:
        """Classes, or entries of the vocabulary; 0 without logits."""
        return self.logits[1] if self.logits else 0

    @property
    def generates(self) -> bool:
        """Whether transformers can generate with it."""
        can = getattr(self.model, "can_generate", None)
        return bool(can and can())

    @property
    def room(self) -> int | None:
        """How many positions the model has; None where its config does not say."""
        return positions(self.model)


def looked_at(runner: Runner, examples: Examples) -> Subject:
    """What the original says to one example. Raises SurgeryError where it cannot be shown these examples."""
    model = runner.model
    check_tokens(model, examples)
    one = examples.batch(0, 1).to(runner.device)
    answer = runner.answer(one, None, Wants(logits=True, embedding=True))
    ids = one.ids
    coupled = bool(getattr(getattr(model, "config", None), "is_encoder_decoder", False))
    per_token = (
        answer.shape is not None
        and ids is not None
        and answer.per_position
        and answer.shape[0] == ids.shape[1]
        and answer.shape[1] > int(examples.inputs[IDS].max())
        and not coupled
        and "decoder_input_ids" not in one.inputs
    )
    ahead = per_token and not examples.noise and looks_ahead(runner, one)
    _check_padding(runner, examples, fine=per_token and not ahead)
    return Subject(
        model,
        examples,
        answer.shape,
        per_example=answer.shape is not None and not answer.per_position,
        per_token=per_token,
        looks_ahead=ahead,
        embeds=answer.embedding is not None,
        sliced=answer.sliced,
    )


def looks_ahead(runner: Runner, one: Batch) -> bool:
    """Whether predictions in the first half of a window change with the tokens of its second half.

    If so the model sees what it is to predict (BERT), and perplexity means nothing. False for a single token.
    """
    changed = changed_later(one)
    if changed is None:
        return False
    other, places = changed
    seen = [runner.answer(each, None, Wants(logits=True)) for each in (Batch(one.inputs), other)]
    as_is, differs = seen[0].at(places), seen[1].at(places)
    tolerance = 1e-3 if runner.is_single else 2e-2
    return bool((as_is - differs).norm() > tolerance * as_is.norm())


def changed_later(one: Batch) -> tuple[Batch, Tensor] | None:
    """A window with other tokens in its second half, and places in its first; None for a single token."""
    ids, real = one.ids, one.real
    assert ids is not None and real is not None
    known = real[0].nonzero()[:, 0]
    if len(known) < 2:
        return None
    half = int(known[len(known) // 2])
    other = ids.clone()
    other[:, half:] = (other[:, half:] + 1) % (int(ids.max()) + 1)
    return Batch({**one.inputs, IDS: other}), known[known < half][-_COMPARED:]


def check_tokens(model: nn.Module, examples: Examples) -> None:
    """SurgeryError where the examples hold tokens or windows that the model has no room for."""
    ids, vocabulary = examples.inputs.get(IDS), vocabulary_size(model)
    if ids is None:
        return
    if vocabulary is not None and int(ids.max()) >= vocabulary:
        raise SurgeryError(
            "the examples hold tokens that the model does not have",
            path=examples.name,
            got=f"token {int(ids.max())}",
            expected=f"tokens below {vocabulary}",
            hint="the tokenizer that belongs to the model",
        )
    room = positions(model)
    if room is not None and ids.shape[1] > room:
        raise SurgeryError(
            "a window is longer than the model has positions",
            path=examples.name,
            got=f"{ids.shape[1]} tokens",
            expected=f"at most {room}",
            hint=f"`window={room}`",
        )


def _check_padding(runner: Runner, examples: Examples, *, fine: bool) -> None:
    """Refuses padding that a model without mask would read; behind the text it harms no `fine` model."""
    mask = examples.inputs.get(MASK)
    if mask is None or runner.takes(MASK):
        return
    held = mask.bool()
    behind = bool((held[:, :-1] | ~held[:, 1:]).all())
    if not bool(held.all()) and not (fine and behind):
        raise SurgeryError(
            "the model takes no attention_mask, so it would read padding as text",
            path=examples.name,
            hint="windows without padding, or padding behind the text",
        )


def shape_refusal(whose: str, got: tuple[int, int] | None, expected: tuple[int, int]) -> SurgeryError:
    """The refusal of logits that cannot be compared with the original's."""
    if got is None:
        return SurgeryError(
            f"{whose} gives no logits", expected=f"{expected[1]:,} classes", hint="a model with its head"
        )
    if got[1] != expected[1]:
        return SurgeryError(
            f"{whose} has another vocabulary or other classes, so its predictions cannot be compared",
            got=f"{got[1]:,} logits",
            expected=f"{expected[1]:,}",
        )
    return SurgeryError(
        f"{whose} predicts at other places, so its predictions cannot be compared",
        got=f"{got[0]:,} for each example",
        expected=f"{expected[0]:,}",
    )


def nothing_to_compare(subject: Subject) -> SurgeryError:
    """The refusal of a model of which no task of ours can say anything."""
    return SurgeryError(
        f"{type(subject.model).__name__} gives neither logits per example or per token nor embeddings",
        hint="the model with its head, or a function: `tasks=[lambda model, batch: …]`",
    )


def real_tokens(batch: Batch) -> int:
    """How many tokens of a batch are real and counted here; 0 where the examples are no tokens."""
    fresh = batch.fresh
    return 0 if fresh is None else int(torch.count_nonzero(fresh))
