"""Two models write after one prompt, and each reads what the other writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from surgery.prompting.answers import Side, Token
from surgery.prompting.lettering import Lettering
from surgery.prompting.reading import Reader, divergence_nats
from surgery.stopping import Stopped

OnToken = Callable[[Side, int, Token], None]
"""Hears whose token it is, its position from 0, and the token."""


@dataclass(eq=False)
class _Line:
    """A text that is being written, with both models reading it; `sides` say whose it is."""

    readers: tuple[Reader, Reader]
    sides: tuple[Side, ...]
    tokens: list[Token] = field(default_factory=list)

    def fork(self) -> _Line:
        """The edited model's text from here on; this one is the original's."""
        other = _Line((self.readers[0].fork(), self.readers[1].fork()), ("edited",), list(self.tokens))
        self.sides = ("original",)
        return other


def write(
    readers: tuple[Reader, Reader],
    lettering: Lettering,
    tokens: int,
    temperature: float,
    seed: int,
    on_token: OnToken,
    check: Callable[[], None],
) -> tuple[list[Token], list[Token], bool]:
    """What the original and the edited model write, at most so many `tokens`, and whether it was stopped.

    Both draw with the same uniform number at the same position, by the inverse of the distribution function
    in the order of the ids: where they say the same, they write the same.
    """
    uniform = torch.rand(tokens, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).tolist()
    together = _Line(readers, ("original", "edited"))
    lines, ended, begun = [together], list[_Line](), False
    try:
        for place, number in enumerate(uniform):
            check()
            for line in list(lines):
                spoken = [reader.said for reader in line.readers]
                kl = divergence_nats(*spoken)
                drawn = [draw(said, temperature, number) for said in spoken]
                forked = line.fork() if len(line.sides) == 2 and drawn[0] != drawn[1] else None
                id = drawn[1] if line.sides == ("edited",) else drawn[0]
                _write(line, id, spoken, kl, lettering, on_token)
                if forked is not None:
                    lines.append(forked)
                    _write(forked, drawn[1], spoken, kl, lettering, on_token)
                begun = True
            ended += [line for line in lines if line.tokens[-1].id in lettering.ends]
            lines = [line for line in lines if line not in ended]
            if not lines or place + 1 == tokens:
                break
            for line in lines:
                for reader in line.readers:
                    check()
                    reader.read(line.tokens[-1].id)
        stopped = False
    except Stopped:
        if not begun:
            raise
        stopped = True
    written = {side: line.tokens for line in [*lines, *ended] for side in line.sides}
    return written["original"], written["edited"], stopped


def _write(
    line: _Line, id: int, spoken: Sequence[Tensor], kl: float, lettering: Lettering, on_token: OnToken
) -> None:
    probabilities = float(spoken[0][id].exp()), float(spoken[1][id].exp())
    token = Token(id, lettering.token(id), kl, probabilities)
    line.tokens.append(token)
    for side in line.sides:
        on_token(side, len(line.tokens) - 1, token)


def draw(said: Tensor, temperature: float, uniform: float) -> int:
    """The token at `uniform` of the distribution `said`, logarithms (vocabulary,); at 0 the likeliest."""
    if temperature == 0:
        return int(said.argmax())
    summed = (said / temperature).softmax(-1).cumsum(-1)
    place = torch.searchsorted(summed, uniform * summed[-1], right=True)
    return min(int(place), len(summed) - 1)
