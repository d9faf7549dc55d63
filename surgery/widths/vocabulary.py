"""The vocabulary of a transformers model: rows of the embedding, of the head, of its biases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from surgery.errors import SurgeryError
from surgery.model import Patient
from surgery.widths.part import Cut, Follow, Part

PROVED = (
    *("bart", "bert", "deepseek_v2", "deepseek_v3", "distilbert", "falcon", "gemma2", "gemma3_text", "gpt2"),
    *("gpt_neox", "llama", "mistral", "mixtral", "opt", "phi", "phi3", "qwen2", "qwen2_moe", "qwen3"),
    *("qwen3_moe", "roberta", "t5"),
)
"""Families on which nothing else hangs on the number of tokens."""

BUFFERS = ("final_logits_bias",)
"""Names of buffers with a value per token in their last dimension."""

_IDS = ("_token_id", "_token_ids", "_token_index", "words_ids", "suppress_tokens", "decoder_ids")
"""Ends of the names under which configs keep ids of tokens."""


def vocabulary(patient: Patient) -> list[Part]:
    """The vocabulary, at the input embedding: one part, narrowed at all paths of the embedding and the head.

    Refused are families that are not proved. A module that is no transformers model has none: which of its
    layers go by tokens is not known.
    """
    root: Any = patient.root
    family = patient.model_type
    if family is None or not hasattr(root, "get_input_embeddings"):
        return []
    try:
        embedding = root.get_input_embeddings()
    except NotImplementedError:
        return []
    if not isinstance(embedding, nn.Embedding):
        return []
    path = patient.module_paths(embedding)[0]
    refuse_unproved(family, path, "narrow")
    return [_part(patient, path, embedding)]


def refuse_unproved(family: str, path: str, verb: str) -> None:
    """SurgeryError if it is not known what of this family's models hangs on the tokens."""
    if family not in PROVED:
        raise SurgeryError(
            f"{verb} is not proved on the vocabulary of the family {family!r} yet",
            path=path,
            expected=f"one of {', '.join(PROVED)}",
        )


def rows_of_tokens(patient: Patient) -> set[int]:
    """The parameters with a row per token, by id: the embedding, the head, its biases, ends of their ties.

    None of a module that is no transformers model, and of one whose embedding is not known.
    """
    root: Any = patient.root
    if patient.model_type is None or not hasattr(root, "get_input_embeddings"):
        return set()
    try:
        embedding, head = root.get_input_embeddings(), root.get_output_embeddings()
    except (NotImplementedError, AttributeError):
        return set()
    if not isinstance(embedding, nn.Embedding):
        return set()
    weight = embedding.weight
    found = {id(weight)}
    for parameter in head.parameters() if isinstance(head, nn.Module) else ():
        if parameter.shape[:1] == weight.shape[:1]:
            found.add(id(parameter))
    at = {place: key for key, places in patient.sites().items() for place in places}
    for ends in patient.declared_ties().items():  # an end that is not tied is as long all the same
        keys = {at[end] for end in ends if end in at}
        if keys & found:
            found |= keys
    return found


def refuse_lost(patient: Patient, part: Part, left: int) -> None:
    """SurgeryError if the config, the embedding or the tokenizer names an id that would be gone."""
    for place, token in _named_ids(patient, part):
        if left <= token < part.count:
            raise SurgeryError(
                f"{place} is the id {token}, which would be gone",
                path=part.path,
                got=f"{left} to be left",
                expected=f"more than {token}",
            )
    tokenizer = patient.tokenizer
    if tokenizer is not None:
        largest = max(tokenizer.get_vocab().values())
        if largest >= left:
            raise SurgeryError(
                f"the tokenizer gives ids up to {largest}, which would be gone",
                path=part.path,
                got=f"{left} to be left",
                expected=f"at least {largest + 1}",
            )


def _part(patient: Patient, path: str, embedding: nn.Embedding) -> Part:
    total = embedding.num_embeddings
    cuts = dict.fromkeys(_cuts(patient, path, total))
    follows: dict[Follow, None] = {}
    for cut in cuts:
        where = cut.path.rpartition(".")[0]
        for name in ("num_embeddings", "out_features"):
            if getattr(patient.module(where), name, None) == total and cut.path.endswith("weight"):
                follows[Follow(where, name)] = None
    for where, module in patient.walk():
        if module.__dict__.get("vocab_size") == total:
            follows[Follow(where, "vocab_size")] = None
    return Part(path=path, count=total, cuts=tuple(cuts), follows=tuple(follows), config=(("vocab_size", 1),))


def _cuts(patient: Patient, path: str, total: int) -> Iterator[Cut]:
    """The embedding, the head and its biases at all their paths."""
    root: Any = patient.root
    head = root.get_output_embeddings()
    if head is not None and not isinstance(head, nn.Linear):
        raise SurgeryError(
            "narrow does not know this head",
            path=patient.module_paths(head)[0],
            got=type(head).__name__,
            hint="`fold` or `detach`, if it carries an adapter",
        )
    found = {f"{path}.weight"}
    if head is not None:
        where = patient.module_paths(head)[0]
        found |= {f"{where}.{name}" for name, tensor in head._parameters.items() if tensor is not None}
    declared = patient.declared_ties()
    for target, source in declared.items():  # an end that is not tied is as long all the same
        if target in found or source in found:
            found |= {target, source}
    sites = {place: places for places in patient.sites().values() for place in places}
    for place, places in sites.items():
        if found & set(places) and patient.tensor(place).shape[0] == total:
            yield Cut(place, 0, ((0, 1),))
    for name, buffer in root.named_buffers(remove_duplicate=False):
        if name.rpartition(".")[2] in BUFFERS:
            yield Cut(name, buffer.dim() - 1, ((0, 1),), scored=False)


def _named_ids(patient: Patient, part: Part) -> Iterator[tuple[str, int]]:
    """(name, id) of every token that the model's settings name."""
    generation: Any = getattr(patient.root, "generation_config", None)
    for label, config in (("config", patient.config), ("generation_config", generation)):
        if config is not None:
            for name, value in config.to_dict().items():
                if name.endswith(_IDS):
                    yield from ((f"{label}.{name}", token) for token in _integers(value))
    padding = getattr(patient.module(part.path), "padding_idx", None)
    if padding is not None:
        yield "padding_idx", padding


def _integers(value: Any) -> Iterator[int]:
    if isinstance(value, int) and not isinstance(value, bool):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _integers(item)
