"""Greedy continuations of windows, by transformers' own `generate` with its cache."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from surgery.errors import SurgeryError
from surgery.evaluate.data.examples import Batch
from surgery.evaluate.data.vocabulary import positions


def continued(model: nn.Module, batch: Batch, tokens: int) -> Tensor:
    """The `tokens` that follow the first half of each window, (examples, tokens) int64; none ends the text.

    Prompts are padded on the left. Raises SurgeryError for logits that are no numbers.
    """
    ids, mask = prompts(batch, _room(model, tokens))
    generator: Any = model
    found = generator.generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=tokens,
        min_new_tokens=tokens,
        do_sample=False,
        num_beams=1,
        use_cache=True,
        temperature=None,
        top_p=None,
        top_k=None,
        pad_token_id=0,
        return_dict_in_generate=True,
        output_logits=True,
    )
    bad = sum(int((~logits.isfinite()).sum()) for logits in found.logits)
    if bad:
        raise SurgeryError(
            "the model gives logits that are not numbers while it generates, so there is nothing to measure",
            got=f"{bad:,} NaN or infinite",
            expected="finite logits",
        )
    written: Tensor = found.sequences[:, -tokens:]
    return written


def prompts(batch: Batch, room: int | None) -> tuple[Tensor, Tensor]:
    """The first half of each window, at most `room` tokens, as ids and mask (examples, longest)."""
    ids, real = batch.ids, batch.real
    assert ids is not None and real is not None
    rows = [row[held] for row, held in zip(ids, real, strict=True)]
    halves = [row[: max(1, min(len(row) // 2, room or len(row)))] for row in rows]
    longest = max(map(len, halves))
    padded = torch.stack([nn.functional.pad(row, (longest - len(row), 0)) for row in halves])
    kept = torch.stack([torch.arange(longest, device=ids.device) >= longest - len(row) for row in halves])
    return padded, kept.long()


def _room(model: nn.Module, tokens: int) -> int | None:
    room = positions(model)
    return None if room is None else max(1, room - tokens)
