"""What is evaluated on: windows of tokens in an order that never changes.

A time budget covers the first part of that order, so a longer budget sees what a shorter one saw
and more, and two evaluations of different models share their examples.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from surgery.demo.text import topics
from surgery.errors import SurgeryError

WINDOW = 256
"""Tokens per window unless the model takes fewer."""

RANDOM_WINDOWS = 128
DEMO_NAME = "Python's manual, held out"
RANDOM_NAME = "random tokens: shows that the model runs, not how well"


@dataclass(frozen=True, eq=False)
class Batch:
    """Consecutive examples: `ids` (examples, window) int64; `mask` the same shape, bool, true where real."""

    ids: Tensor
    mask: Tensor | None = None

    @property
    def real(self) -> Tensor:
        """Which tokens are real, (examples, window) bool."""
        return torch.ones_like(self.ids, dtype=torch.bool) if self.mask is None else self.mask

    def to(self, device: torch.device) -> Self:
        """The same batch on `device`."""
        return type(self)(self.ids.to(device), None if self.mask is None else self.mask.to(device))


@dataclass(frozen=True, eq=False)
class Examples:
    """Token windows under a name, visited in a fixed order drawn with `seed`.

    `windows` (n, window) int64; `mask` (n, window) bool, true where a token is real, or None where
    all are; `own` says that it is the user's data; `noise` that nothing in it can be predicted, so
    that perplexity on it means nothing. Raises SurgeryError for other shapes, for no data and for
    a window without two real tokens side by side.
    """

    name: str
    own: bool
    windows: Tensor
    mask: Tensor | None = None
    noise: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        shape = tuple(self.windows.shape)
        if self.windows.dim() != 2 or self.windows.dtype != torch.int64:
            got = f"shape {shape}, {self.windows.dtype}"
            raise SurgeryError("windows are token ids", path=self.name, got=got, expected="(n, window) int64")
        if shape[0] == 0 or shape[1] < 2:
            raise SurgeryError(
                "there is nothing to evaluate on",
                path=self.name,
                got=f"{shape[0]} windows of {shape[1]} tokens",
                expected="at least one of two tokens or more",
                hint="give a longer text, or `demo_text()`",
            )
        if self.mask is None:
            return
        if self.mask.shape != self.windows.shape or self.mask.dtype != torch.bool:
            got = f"shape {tuple(self.mask.shape)}, {self.mask.dtype}"
            raise SurgeryError(
                "the mask does not fit the windows", path=self.name, got=got, expected=f"{shape} bool"
            )
        if not (self.mask[:, 1:] & self.mask[:, :-1]).any(1).all():
            raise SurgeryError("a window has no two real tokens side by side", path=self.name)

    def __len__(self) -> int:
        return len(self.windows)

    @property
    def label(self) -> str:
        """The name as reports print it, saying so when the data are not the user's."""
        return self.name if self.own or self.noise else f"{self.name}: not your data"

    @cached_property
    def order(self) -> Tensor:
        """The order in which windows are visited: a permutation of 0 … n-1, (n,) int64."""
        return torch.randperm(len(self), generator=torch.Generator().manual_seed(self.seed))

    def batch(self, start: int, stop: int) -> Batch:
        """Examples `start` to `stop` (exclusive) of the order, on the CPU."""
        rows = self.order[start:stop]
        return Batch(self.windows[rows], None if self.mask is None else self.mask[rows])


def demo_text(tokenizer: Any = None, *, window: int = WINDOW) -> Examples:
    """The bundled held-out text: tokens of `tokenizer`, or its UTF-8 bytes (NUL between topics)."""
    texts = topics("held-out")
    if tokenizer is not None:
        return _windows(DEMO_NAME, False, *_tokens(texts, tokenizer), window)
    return _windows(DEMO_NAME, False, list(b"\0".join(text.encode() for text in texts)), None, window)


def text_files(paths: Iterable[str | Path], tokenizer: Any, window: int = WINDOW) -> Examples:
    """UTF-8 text files one after another, cut into windows without overlap; the rest is dropped.

    Raises SurgeryError for a file that cannot be read as UTF-8 and for files without text.
    """
    files = [Path(path) for path in paths]
    texts = [_read(file) for file in files]
    name = ", ".join(file.name for file in files[:3]) + (f" and {len(files) - 3} more" if files[3:] else "")
    return _windows(name or "no files", True, *_tokens(texts, tokenizer), window)


def token_windows(windows: Tensor, mask: Tensor | None = None, *, name: str = "your tokens") -> Examples:
    """The caller's token ids, (n, window) of any integer type; `mask` non-zero where a token is real."""
    if windows.is_floating_point() or windows.is_complex():
        raise SurgeryError("token ids are integers", path=name, got=windows.dtype)
    return Examples(name, True, windows.cpu().long(), None if mask is None else mask.cpu().bool())


def random_tokens(vocabulary: int, *, window: int = WINDOW, seed: int = 0) -> Examples:
    """Uniform random tokens below `vocabulary`: they compare two models, but measure none."""
    shape, generator = (RANDOM_WINDOWS, window), torch.Generator().manual_seed(seed)
    return Examples(RANDOM_NAME, False, torch.randint(vocabulary, shape, generator=generator), noise=True)


def default_examples(model: nn.Module, tokenizer: Any = None, *, window: int = WINDOW) -> Examples:
    """What to evaluate `model` on when the user gave no data.

    With a tokenizer the bundled text; without one its bytes where the vocabulary has 256 entries,
    else random tokens. A window is never longer than the positions the model has. Raises
    SurgeryError where the vocabulary is unknown or smaller than the tokenizer's.
    """
    window = min(window, _setting(model, "max_position_embeddings") or window)
    vocabulary = _setting(model, "vocab_size")
    if tokenizer is None and vocabulary is None:
        raise SurgeryError(
            f"nothing says which tokens {type(model).__name__} takes",
            hint="pass examples made with `token_windows(ids)`",
        )
    if tokenizer is None and vocabulary is not None and vocabulary != 256:
        return random_tokens(vocabulary, window=window)
    examples = demo_text(tokenizer, window=window)
    highest = int(examples.windows.max())
    if vocabulary is not None and highest >= vocabulary:
        raise SurgeryError(
            "the tokenizer does not belong to this model",
            got=f"token {highest}",
            expected=f"tokens below {vocabulary}",
        )
    return examples


def vocabulary_size(model: nn.Module) -> int | None:
    """Entries in the vocabulary as the config has it, or None."""
    return _setting(model, "vocab_size")


def _setting(model: nn.Module, name: str) -> int | None:
    config = getattr(model, "config", None)
    inner = getattr(config, "get_text_config", None)
    value = getattr(inner() if inner else config, name, None)
    return value if isinstance(value, int) and value > 1 else None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise SurgeryError(f"the file cannot be read: {reason}", path=str(file)) from error


def _tokens(texts: Sequence[str], tokenizer: Any) -> tuple[list[int], int | None]:
    """The texts' tokens one after another, and the token this tokenizer opens every text with, if any.

    That one is taken out, to open every window instead: Gemma is lost in a window without it.
    """
    parts = [list(tokenizer(text)["input_ids"]) for text in texts]
    begin = getattr(tokenizer, "bos_token_id", None)
    if begin is None or not all(part[:1] == [begin] for part in parts):
        return [token for part in parts for token in part], None
    return [token for part in parts for token in part[1:]], begin


def _windows(name: str, own: bool, tokens: list[int], opening: int | None, window: int) -> Examples:
    """`tokens` in windows, each opened by `opening`; one padded window where they do not fill one."""
    head = [] if opening is None else [opening]
    length = window - len(head)
    if len(head + tokens) < 2 or length < 1:
        windows = torch.empty((0, window), dtype=torch.int64)
        return Examples(name, own, windows)
    if len(tokens) < length:
        ids = torch.tensor([head + tokens])
        padded = nn.functional.pad(ids, (0, window - ids.shape[1]))
        return Examples(name, own, padded, (torch.arange(window) < ids.shape[1]).unsqueeze(0))
    body = torch.tensor(tokens[: len(tokens) // length * length]).view(-1, length)
    return Examples(name, own, nn.functional.pad(body, (len(head), 0), value=opening or 0))
