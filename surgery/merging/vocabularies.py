"""Rows that belong to tokens: those of a parent in the order of this model's, by the tokens' texts.

Vocabularies are read beside the weights: a fingerprint does not cover them, so a step keeps digests of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from graph.paths import is_among
from surgery.checkpoint.adapter import Adapter, parent_at
from surgery.checkpoint.tensors import Checkpoint
from surgery.checkpoint.tokens import ROLES, Tokens, folder_of, same_files, tokens_in, tokens_of
from surgery.errors import SurgeryError, SurgeryWarning
from surgery.fields import Found
from surgery.lazy import Held, Known, Lazy, recipe
from surgery.merging.only import is_meant
from surgery.model import Patient
from surgery.widths.vocabulary import refuse_unproved, rows_of_tokens

if TYPE_CHECKING:
    from surgery.merging.with_parents import WithParents

Vocabulary = Literal["same", "matched"]

_FEW = 16  # texts that were given anew: reserved tokens that a tune uses
_MATCHED = '`vocabulary="matched"`, which goes by the texts of the tokens'


class Vocabularies:
    """The vocabularies of this model and of parents, for one plan."""

    def __init__(self, patient: Patient, rule: Vocabulary) -> None:
        self.rule, self.rows = rule, rows_of_tokens(patient)
        self._patient = patient
        self._places: dict[tuple[Path, int, int], Known] = {}
        if rule == "matched":
            self._refuse_unknown()

    def _refuse_unknown(self) -> None:
        family, root = self._patient.model_type, type(self._patient.root).__name__
        if family is None or not self.rows:
            raise SurgeryError(
                "has no vocabulary that is known, so that no rows can be matched by tokens",
                path="(root)",
                got=root,
                expected="a model of transformers with an embedding of tokens",
                hint='`vocabulary="same"`',
            )
        refuse_unproved(family, "(root)", "matching rows by tokens")

    @cached_property
    def own(self) -> Tokens | None:
        """Of the tokenizer that came with this model."""
        return tokens_of(self._patient.tokenizer)

    def tensor(
        self, parent: Checkpoint | Adapter, names: list[str], own: Held, free: Collection[int] = ()
    ) -> Lazy:
        """A parent's tensor in place of `own`, the rows of tokens in this model's order.

        Along the dimensions that are `free` it may have another size. SurgeryError where rows cannot be
        matched, or would have to be and are not to.
        """
        place = _folder(parent)
        if id(own.parameter) not in self.rows or place is None:
            return parent.tensor(names, own, free=free)
        found = parent.tensor(names, own, free={0, *(free if self.rule == "same" else ())})
        if self.rule == "matched":
            return self._matched(found, own, place)
        if found.shape[0] != own.shape[0]:
            raise SurgeryError(
                "the shapes differ",
                path=names[0],
                got=f"{list(found.shape)} in {parent.folder}",
                expected=list(own.shape),
                hint=_MATCHED,
            )
        self._refuse_moved(place, names[0])
        return found

    def _matched(self, found: Lazy, own: Held, place: Path) -> Lazy:
        from surgery.functions.layout import matched_dtype

        key = (place, own.shape[0], found.shape[0])
        if key not in self._places:
            places = torch.tensor(_places(self.mine(), self.theirs(place), *key[1:]), dtype=torch.int64)
            self._places[key] = Known(shape=(own.shape[0],), dtype=torch.int64, tensor=places)
        dtype = matched_dtype(own.dtype, found.dtype)
        return recipe("matched_rows", found, own, self._places[key], shape=own.shape, dtype=dtype)

    def refuse_buffer(self, parent: Checkpoint | Adapter, path: str) -> None:
        """SurgeryError for a buffer with a value per token, where the parent's are not in this order."""
        place = _folder(parent)
        if place is None:
            return
        if self.rule == "matched":
            raise SurgeryError(
                "has a value per token, and only parameters are matched by tokens",
                path=path,
                hint='`statistics="keep"`',
            )
        self._refuse_moved(place, path)

    def mine(self) -> Tokens:
        """This model's, refused where nothing says it."""
        if self.own is None:
            raise SurgeryError(
                "this model came without a tokenizer, so that nothing says which token a row belongs to",
                path="(root)",
                hint="opening the folder that holds the model and its tokenizer",
            )
        return self.own

    def theirs(self, place: Path) -> Tokens:
        """That of the parent at a place, refused where nothing says it."""
        found = tokens_in(place)
        if found is None:
            raise SurgeryError(
                "no tokenizer says which token a row of this parent belongs to",
                path=str(place),
                hint="its tokenizer's files beside its weights",
            )
        return found

    def _refuse_moved(self, place: Path, path: str) -> None:
        tokenizer = self._patient.tokenizer
        if tokenizer is None or same_files(folder_of(tokenizer), place):
            return
        theirs = tokens_in(place)
        text = None if theirs is None or self.own is None else self.own.moved(theirs)
        if text is not None and theirs is not None and self.own is not None:
            raise SurgeryError(
                f"row by row, different tokens would be merged: {text!r} has another id in {place}",
                path=path,
                got=theirs.ids[text],
                expected=self.own.ids[text],
                hint=_MATCHED,
            )
        others = self.own.renamed(theirs) if self.own is not None and theirs is not None else []
        if self.own is not None and len(others) > max(_FEW, len(self.own.ids) // 100):
            raise SurgeryError(
                f"row by row, other tokens would be merged: {len(others):,} ids have other texts in {place}",
                path=path,
                got=others[0][1],
                expected=others[0][0],
                hint=_MATCHED,
            )


def digests(patient: Patient, step: WithParents) -> Found | None:
    """What a step keeps of the vocabularies that it matches: this model's and each parent's, as digests.

    None where no row of a token is among its tensors. SurgeryError where they are not those it was recorded
    with. At the first time a SurgeryWarning says how many tokens only a parent has.
    """
    if step.vocabulary != "matched" or not step.parents:
        if step.tokens is not None:
            raise SurgeryError(f'{step.name}.tokens belongs to parents and vocabulary="matched"')
        return None
    found = Vocabularies(patient, step.vocabulary)
    if not _touched(patient, step, found.rows):
        return None
    places = [_folder(parent_at(parent.source)) for parent in step.parents]
    theirs = [None if place is None else found.theirs(place) for place in places]
    own = found.mine()
    data: Any = {
        "own": own.digest,
        "parents": [None if tokens is None else tokens.digest for tokens in theirs],
    }
    if step.tokens is None:
        for parent, tokens in zip(step.parents, theirs, strict=True):
            if tokens is not None:
                _warn(str(parent), own, tokens)
    elif step.tokens.data != data:
        raise SurgeryError(
            f"{step.name} was recorded with other vocabularies than those of this model and its parents now",
            path=step.targets.select or None,
            got=_named(data),
            expected=_named(step.tokens.data),
            hint="the tokenizers the script was made with, or making the step anew",
        )
    return Found(data)


def may_be_mixed(one: Path, other: Path) -> bool:
    """Whether the tokenizers of two folders are not the same, file by file."""
    return not same_files(one, other)


def _touched(patient: Patient, step: WithParents, rows: set[int]) -> bool:
    return any(
        key in rows and is_meant(places, step.only) and any(is_among(at, step.targets.paths) for at in places)
        for key, places in patient.sites().items()
    )


def _folder(parent: Checkpoint | Adapter) -> Path | None:
    """Where a parent's vocabulary lies; None for an adapter on this model, whose rows are this model's."""
    if isinstance(parent, Adapter):
        return None if parent.base is None else parent.base.folder
    return parent.folder


def _places(own: Tokens, theirs: Tokens, rows: int, theirs_rows: int) -> list[int]:
    """For each of this model's rows the parent's row of the same token, or −1."""
    found = [-1] * rows
    pairs = {text: text for text in own.ids if text in theirs.ids} | _by_role(own, theirs)
    for mine, other in pairs.items():
        if own.ids[mine] < rows and theirs.ids[other] < theirs_rows:
            found[own.ids[mine]] = theirs.ids[other]
    return found


def _by_role(own: Tokens, theirs: Tokens) -> dict[str, str]:
    """Special tokens of the same role, where neither vocabulary has the text that the other has for it."""
    found: dict[str, str] = {}
    for role in ROLES:
        mine, other = own.roles.get(role), theirs.roles.get(role)
        taken = other in found.values()  # one token of theirs plays several parts
        if mine in own.ids and other in theirs.ids and mine not in theirs.ids and other not in own.ids:
            assert mine is not None and other is not None
            if not taken:
                found.setdefault(mine, other)
    return found


def _warn(parent: str, own: Tokens, theirs: Tokens) -> None:
    more = len(theirs.ids.keys() - own.ids.keys() - set(_by_role(own, theirs).values()))
    if more:
        tokens = "1 of its tokens is" if more == 1 else f"{more:,} of its tokens are"
        verb = "is" if more == 1 else "are"
        warnings.warn(
            f"{parent}: {tokens} not in this model's vocabulary, and {verb} not taken.",
            SurgeryWarning,
            stacklevel=3,
        )


def _named(data: Any) -> str:
    parents = data.get("parents") if isinstance(data, dict) else None
    if not isinstance(parents, list):
        return repr(data)[:80]
    return ", ".join("none" if item is None else str(item)[:12] for item in (data.get("own"), *parents))
