"""Tokens in windows: what one forward of a language model sees."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from surgery import fence
from surgery.errors import SurgeryError
from surgery.evaluate.data.examples import IDS, MASK, Examples, nothing
from surgery.evaluate.data.vocabulary import positions

WINDOW = 256
"""Tokens per window unless the model takes fewer."""


def window_for(model: nn.Module, window: int = WINDOW) -> int:
    """`window`, or the positions that the model has, if they are fewer."""
    return min(window, positions(model) or window)


def text_files(
    paths: Iterable[str | Path], tokenizer: Any, window: int = WINDOW, stride: int | None = None
) -> Examples:
    """UTF-8 text files, each cut into windows; what does not fill the last one is padded.

    `stride`: tokens from the start of one window to that of the next. With fewer than a window, windows
    overlap and each token but a file's first is predicted once, with context; without, windows stand side
    by side. Raises SurgeryError for a file that cannot be read as UTF-8 and for files without text.
    """
    files = [fence.reading(path) for path in paths]
    texts = [_read(file) for file in files]
    name = ", ".join(file.name for file in files[:3]) + (f" and {len(files) - 3} more" if files[3:] else "")
    return text_windows(texts, tokenizer, name=name or "no files", own=True, window=window, stride=stride)


def text_windows(
    texts: Sequence[str],
    tokenizer: Any,
    *,
    name: str,
    own: bool,
    window: int = WINDOW,
    stride: int | None = None,
) -> Examples:
    """Texts, each a document, in windows of the tokenizer's tokens; see `text_files`."""
    if tokenizer is None:
        raise SurgeryError(
            "there is no tokenizer to read text with",
            path=name,
            hint="a model folder with its tokenizer, or `token_windows(ids)`",
        )
    documents, opening = _tokens(texts, tokenizer)
    return windows_of(documents, name=name, own=own, window=window, stride=stride, opening=opening)


def token_windows(
    windows: Tensor,
    mask: Tensor | None = None,
    *,
    counted: Tensor | None = None,
    documents: Tensor | None = None,
    name: str = "your tokens",
) -> Examples:
    """The caller's token ids, (n, window) of any integer type; `mask` non-zero where a token is real.

    `counted` (n, window): zero where a token is only context. `documents` (n,): which text each is of.
    """
    if windows.is_floating_point() or windows.is_complex():
        raise SurgeryError("token ids are integers", path=name, got=windows.dtype)
    inputs = {IDS: windows.cpu().long()}
    if mask is not None:
        inputs[MASK] = mask.cpu().bool().long()
    return Examples(
        name,
        True,
        inputs,
        counted=None if counted is None else counted.cpu().bool(),
        documents=None if documents is None else documents.cpu().long(),
    )


def windows_of(
    documents: Sequence[Sequence[int]],
    *,
    name: str,
    own: bool,
    window: int,
    stride: int | None = None,
    opening: int | None = None,
) -> Examples:
    """Documents of tokens in windows, each opened by `opening`; the last of a document is padded."""
    head = [] if opening is None else [opening]
    length = window - len(head)
    step = length if stride is None else stride
    if not 1 <= step <= length:
        raise SurgeryError(
            "between two windows tokens would be left out or nothing would be new",
            path=name,
            got=f"a stride of {step}",
            expected=f"1 to {length}",
        )
    rows: list[list[int]] = []
    fresh: list[int] = []
    whose: list[int] = []
    for number, tokens in enumerate(documents):
        done = 0
        for start in range(0, len(tokens), step):
            stop = min(start + length, len(tokens))
            row = [*head, *tokens[start:stop]]
            if len(row) > 1:  # one token alone predicts nothing, and nothing predicts it
                rows.append(row)
                fresh.append(stop - done)
                whose.append(number)
            done = stop
            if stop == len(tokens):
                break
    if not rows:
        raise nothing(name, f"{sum(map(len, documents))} tokens")
    lengths, places = torch.tensor([len(row) for row in rows]).unsqueeze(1), torch.arange(window)
    ids = torch.tensor([row + [0] * (window - len(row)) for row in rows])
    inputs = {IDS: ids}
    if int(lengths.min()) < window:
        inputs[MASK] = (places < lengths).long()
    counted = None
    if step < length:
        counted = (places >= lengths - torch.tensor(fresh).unsqueeze(1)) & (places < lengths)
    return Examples(name, own, inputs, counted=counted, documents=torch.tensor(whose))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise SurgeryError(f"the file cannot be read: {reason}", path=str(file)) from error


def _tokens(texts: Sequence[str], tokenizer: Any) -> tuple[list[list[int]], int | None]:
    """Each text's tokens, and the token this tokenizer opens every text with, if any.

    That one is taken out, to open every window instead: Gemma is lost in a window without it.
    """
    parts = [list(tokenizer(text)["input_ids"]) for text in texts]
    begin = getattr(tokenizer, "bos_token_id", None)
    if begin is None or not parts or not all(part[:1] == [begin] for part in parts):
        return parts, None
    return [part[1:] for part in parts], begin
