"""A smaller vocabulary: the logits of the tokens that stay are what they were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import surgery
from surgery import SurgeryError
from surgery.widths.vocabulary import PROVED
from tests.surgery.contract import MODELS, Case, holds
from tests.surgery.states import cached_equals_uncached, loaded_alone, loads_again, run, untouched
from tests.zoo import ATLAS, ZOO
from tests.zoo.experts import deepseek_v2, deepseek_v3, qwen3_moe, qwen_moe
from tests.zoo.families import DECODERS, ENCODERS, stirred

LEFT, ALL = 40, 64
FIRST: dict[str, Any] = {"units": "vocabulary", "by": "first", "count": LEFT}
ENCODER_DECODERS = ("bart", "t5")


pytestmark = pytest.mark.usefixtures("one_thread")


def _stirred(maker: Callable[[], Any]) -> Callable[[], Any]:
    def made() -> Any:
        model, inputs = maker()
        return stirred(model), inputs

    return made


SMALL: dict[str, Callable[[], Any]] = {
    **DECODERS,
    "bert": ENCODERS["bert"],
    "roberta": lambda: ENCODERS["roberta"](pad_token_id=1),
    "distilbert": ENCODERS["distilbert"],
    "bart": _stirred(ATLAS["bart"]),
    "t5": _stirred(ATLAS["t5"]),
    "qwen2_moe": _stirred(qwen_moe),
    "qwen3_moe": _stirred(qwen3_moe),
    "deepseek_v2": _stirred(deepseek_v2),
    "deepseek_v3": _stirred(deepseek_v3),
}


def cut_ids(inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs with ids of the tokens that stay."""
    return {key: value % LEFT if key.endswith("input_ids") else value for key, value in inputs.items()}


@pytest.mark.parametrize("name", SMALL)
def test_the_logits_of_what_stays(name: str, tmp_path: Path) -> None:
    """They are the original's columns; generation, config, folder and undo are right."""
    model, given = SMALL[name]()
    inputs = cut_ids(given)
    before, original = untouched(model), run(model, inputs)
    session = surgery.open(model, inputs)
    session.narrow("**", **FIRST)
    edited: Any = session.model
    found = run(edited, inputs)
    assert torch.allclose(found, original[..., :LEFT], atol=1e-5)
    assert edited.config.vocab_size == LEFT
    assert edited.get_input_embeddings().num_embeddings == LEFT
    assert (
        edited.get_output_embeddings().weight.shape[0] == edited.get_output_embeddings().out_features == LEFT
    )
    if name not in ENCODERS:
        settings = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
        prompt = inputs["input_ids"]
        gone = list(range(LEFT, ALL))
        expected = model.generate(prompt, suppress_tokens=gone, **settings)
        assert torch.equal(edited.generate(prompt, **settings), expected)
        if name not in ENCODER_DECODERS:
            cached_equals_uncached(edited)
    session.save(tmp_path / "out")
    assert (tmp_path / "out" / "config.json").is_file()
    assert torch.equal(run(loaded_alone(model, tmp_path / "out"), inputs), found)
    session.undo()
    assert torch.equal(run(session.model, inputs), original)
    assert untouched(model) == before


@pytest.mark.parametrize("name", ["llama", "gpt2", "bert"])
@pytest.mark.parametrize("tied", [True, False])
def test_tied_or_not(name: str, tied: bool, tmp_path: Path) -> None:
    """A tie stays one parameter; what is not tied is cut at both ends."""
    model, given = {**DECODERS, **ENCODERS}[name](tie_word_embeddings=tied)
    inputs = cut_ids(given)
    session = surgery.open(model, inputs)
    session.narrow("**", **FIRST)
    edited: Any = session.model
    one = edited.get_input_embeddings().weight is edited.get_output_embeddings().weight
    assert one == tied
    assert torch.allclose(run(edited, inputs), run(model, inputs)[..., :LEFT], atol=1e-5)
    loads_again(session, tmp_path / "out")
    assert (tmp_path / "out" / "config.json").is_file()


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_contract(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A vocabulary cut behind the largest id of the examples keeps the contract of operations."""

    def low() -> Any:
        model, inputs = ZOO[name]()
        return model, cut_ids(inputs)

    monkeypatch.setitem(MODELS, "low", low)
    holds(Case("low", "narrow", {"targets": "**"} | FIRST), tmp_path)


def test_the_bias_of_bart() -> None:
    """A buffer that is as long as the vocabulary is cut with it."""
    model, given = SMALL["bart"]()
    model.final_logits_bias.normal_()
    inputs = cut_ids(given)
    session = surgery.open(model, inputs)
    session.narrow("**", **FIRST)
    assert session.model.get_buffer("final_logits_bias").shape == (1, LEFT)
    assert torch.allclose(run(session.model, inputs), run(model, inputs)[..., :LEFT], atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"count": LEFT}, "other ids, which no tokenizer knows of"),
        ({"kept": [0, 2]}, "other ids, which no tokenizer knows of"),
        ({"count": LEFT, "by": "first"}, r"config.eos_token_id is the id 50, which would be gone"),
        ({"kept": list(range(51))}, r"generation_config.suppress_tokens is the id 62, which would be gone"),
        ({"count": 64, "by": "first"}, "has 64 vocabulary; got 64 to be left"),
    ],
)
def test_ids_that_are_named_stay(fields: dict[str, Any], message: str) -> None:
    """And all ids that stay mean what they meant."""
    model, inputs = DECODERS["llama"](eos_token_id=[1, 50])
    model.generation_config.suppress_tokens = [62]
    session = surgery.open(model, inputs)
    with pytest.raises(SurgeryError, match=message):
        session.narrow("**", units="vocabulary", **fields)


def test_the_padding_of_the_embedding_stays() -> None:
    """Roberta's is the last token here."""
    session = surgery.open(*ENCODERS["roberta"]())
    with pytest.raises(SurgeryError, match="pad_token_id is the id 63, which would be gone"):
        session.narrow("**", **FIRST)


class _Tokenizer:
    def get_vocab(self) -> dict[str, int]:
        return {"a": 0, "b": 44}


def test_what_the_tokenizer_gives_stays() -> None:
    """Rows behind its last id are padding, and may go."""
    session = surgery.open(*DECODERS["llama"]())
    object.__setattr__(session.opened, "tokenizer", _Tokenizer())
    with pytest.raises(SurgeryError, match="the tokenizer gives ids up to 44, which would be gone"):
        session.narrow("**", **FIRST)
    with pytest.raises(SurgeryError, match="the tokenizer gives ids up to 44"):
        session.preview("narrow", "**", **FIRST)
    session.narrow("**", units="vocabulary", by="first", count=45)


def test_others_are_refused() -> None:
    """Families that nobody has proved, modules that are no transformers models, heads under adapters."""
    with pytest.raises(SurgeryError, match="not proved on the vocabulary of the family 'whisper'"):
        surgery.open(*ATLAS["whisper"]()).narrow("**", **FIRST)
    with pytest.raises(SurgeryError, match="has no vocabulary that narrow knows how to take apart"):
        surgery.open(*ATLAS["tied_head"]()).narrow("**", **FIRST)
    session = surgery.open(*DECODERS["llama"]())
    session.attach("lm_head", "lora")
    with pytest.raises(SurgeryError, match="lm_head: narrow does not know this head"):
        session.narrow("**", **FIRST)


def test_every_family_is_proved() -> None:
    """None is in the table without a model here."""
    assert set(SMALL) == set(PROVED)
