"""Token ids as text and text as token ids: by a tokenizer, as bytes, or as plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from surgery.errors import SurgeryError
from surgery.evaluate.data.vocabulary import vocabulary_size

_BYTES = 256
_BROKEN = "\N{REPLACEMENT CHARACTER}"


class Lettering:
    """How a model's tokens are written: by its `tokenizer`, as UTF-8 if there are 256, or by number."""

    def __init__(self, model: nn.Module, tokenizer: Any = None) -> None:
        self.tokenizer = tokenizer
        self.as_bytes = tokenizer is None and vocabulary_size(model) == _BYTES
        self.ends = _ends(model, tokenizer)

    @property
    def reads_text(self) -> bool:
        """Whether text can be made tokens of."""
        return self.tokenizer is not None or self.as_bytes

    def ids(self, text: str) -> list[int]:
        """The tokens of a text, with what the tokenizer puts around every one."""
        if self.tokenizer is not None:
            return [int(item) for item in self.tokenizer(text)["input_ids"]]
        if self.as_bytes:
            return list(text.encode())
        raise SurgeryError(
            "the model came without a tokenizer, so it cannot read text",
            got=repr(text[:40]),
            hint="token ids: `s.ask([12, 7, 33])`",
        )

    def text(self, ids: Sequence[int]) -> str:
        """The text of tokens, or their numbers; halves of characters are shown as such."""
        if self.tokenizer is not None:
            said: str = self.tokenizer.decode(list(ids))
            return said
        if self.as_bytes:
            return bytes(min(item, _BYTES - 1) for item in ids).decode(errors="replace")
        return " ".join(map(str, ids))

    def token(self, id: int) -> str:
        r"""One token as text; its number where it is none by itself, such as part of a character."""
        if self.tokenizer is None and not self.as_bytes:
            return str(id)
        said = self.text([id])
        return f"<{id}>" if _BROKEN in said or not said else said


def _ends(model: nn.Module, tokenizer: Any) -> frozenset[int]:
    """The tokens that end a text."""
    found: set[int] = set()
    for owner in (getattr(model, "generation_config", None), getattr(model, "config", None), tokenizer):
        said = getattr(owner, "eos_token_id", None)
        found |= set(said) if isinstance(said, list | tuple) else {said} if isinstance(said, int) else set()
    return frozenset(found)
