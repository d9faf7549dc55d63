"""Models whose tokens have other ids: rows are matched by the tokens' texts, or the merge is refused."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import surgery
from surgery import SurgeryError
from surgery.checkpoint.tokens import FILES, tokens_in
from surgery.errors import SurgeryWarning
from surgery.lazy import Known, Stored, recipe
from surgery.quiet import quiet
from surgery.registry import operation_named
from surgery.script import Base, Script
from surgery.stream import tiles
from surgery.stream.reading import Reader
from surgery.stream.tiles import Maker, is_tiled, room
from surgery.stream.unopened import unopened
from tests.surgery.merging.test_adapters import adapter

SMALL: dict[str, Any] = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 2, "max_position_embeddings": 32,
}  # fmt: skip
OWN = ["<s>", "</s>", "<unk>", *(f"w{number}" for number in range(20))]
THEIRS = ["<pad>", "<unk>", *(f"w{number}" for number in range(24, 4, -1)), "[BOS]", "</s>"]
"""Lacks w0 to w4, has w20 to w24 more and a pad, calls <s> otherwise; all at other places."""
ROWS, THEIR_ROWS = 26, 29
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def words(folder: Path, texts: list[str], **roles: str) -> Path:
    """A tokenizer with these tokens, in a folder."""
    model = tokenizers.models.WordLevel({text: place for place, text in enumerate(texts)}, unk_token="<unk>")
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer(model), **roles)
    made.save_pretrained(folder)
    return folder


def model(
    seed: int, rows: int, family: str = "Llama", dtype: torch.dtype = torch.float32, **more: Any
) -> Any:
    """A small decoder with random weights and biases."""
    config = getattr(transformers, f"{family}Config")(vocab_size=rows, **SMALL | more)
    torch.manual_seed(seed)
    made = getattr(transformers, f"{family}ForCausalLM")(config)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return made.to(dtype)


def pair(folder: Path, dtype: torch.dtype = torch.float32, **more: Any) -> tuple[Path, Path]:
    """Folders of two models with other tokens; both have rows that belong to no token."""
    base, other = folder / "base", folder / "other"
    with quiet():
        model(0, ROWS, **more).save_pretrained(base)
        model(1, THEIR_ROWS, dtype=dtype, **more).save_pretrained(other)
    words(base, OWN, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    words(other, THEIRS, bos_token="[BOS]", eos_token="</s>", unk_token="<unk>", pad_token="<pad>")
    return base, other


def in_order(own: Tensor, other: Tensor) -> Tensor:
    """The other's rows as this model has them, told apart one by one."""
    made = own.clone()
    for place, text in enumerate(OWN):
        text = "[BOS]" if text == "<s>" else text
        if text in THEIRS:
            made[place] = other[THEIRS.index(text)].to(own.dtype)
    return made


def parameters(module: nn.Module) -> dict[str, Tensor]:
    """By name."""
    return {name: parameter.detach() for name, parameter in module.named_parameters()}


@pytest.mark.parametrize("more", [{}, {"tie_word_embeddings": True}, {"family": "Phi"}], ids=str)
def test_rows_are_those_of_the_same_text(more: dict[str, Any], tmp_path: Path) -> None:
    """In the embedding, the head and its bias; a parent taken whole, and one that is averaged."""
    base, other = pair(tmp_path, **more)
    start, there = parameters(surgery.open(base).model), parameters(surgery.open(other).model)
    for weights in ((0.0, 1.0), (0.5, 0.5)):
        session = surgery.open(base)
        with pytest.warns(SurgeryWarning, match="other: 6 of its tokens are not in this model's vocabulary"):
            session.merge("", parents=[str(other)], weights=weights, vocabulary="matched")
        found = parameters(session.model)
        assert found.keys() == start.keys()
        for name, tensor in found.items():
            of_tokens = name.startswith(("model.embed_tokens", "lm_head"))
            parent = in_order(start[name], there[name]) if of_tokens else there[name]
            torch.testing.assert_close(tensor, weights[0] * start[name] + weights[1] * parent)
        untaken = [OWN.index(text) for text in ("w0", "w1", "w2", "w3", "w4")] + [*range(len(OWN), ROWS)]
        assert torch.equal(found[EMBEDDING][untaken], start[EMBEDDING][untaken])
        assert not torch.equal(found[EMBEDDING][0], start[EMBEDDING][0])
        assert session.model.config.vocab_size == ROWS


@pytest.mark.filterwarnings("ignore::surgery.errors.SurgeryWarning")
@pytest.mark.parametrize("verb", ["ties", "slerp", "dare", "task_arithmetic"])
def test_it_is_a_merge_with_the_model_in_this_order(verb: str, tmp_path: Path) -> None:
    """The same bits as with a parent whose rows were put in order by hand; streamed and replayed too."""
    base, other = pair(tmp_path)
    mine, theirs = (load_file(folder / "model.safetensors") for folder in (base, other))
    ordered = tmp_path / "ordered"
    with quiet():
        surgery.open(base).save(ordered)
    changed = {name: in_order(mine[name], theirs[name]) for name in (EMBEDDING, HEAD)}
    save_file(theirs | changed, ordered / "model.safetensors", {"format": "pt"})
    expected, session = surgery.open(base), surgery.open(base)
    getattr(expected, verb)("", parents=[str(ordered)])
    getattr(session, verb)("", parents=[str(other)], vocabulary="matched")
    wanted, found = parameters(expected.model), parameters(session.model)
    assert [name for name in wanted if not torch.equal(wanted[name], found[name])] == []
    script = session.script.write(tmp_path / "edits.json")
    with warnings.catch_warnings():
        warnings.simplefilter("error", SurgeryWarning)  # it was said when the step was made
        surgery.replay(script, base, tmp_path / "out", memory="50MB")
    assert surgery.open(tmp_path / "out").fingerprint() == session.fingerprint()


@pytest.mark.filterwarnings("ignore::surgery.errors.SurgeryWarning")
def test_other_dtypes_lose_nothing(tmp_path: Path) -> None:
    """A parent in bfloat16 leaves the rows of tokens that it lacks as they are, to the bit."""
    base, other = pair(tmp_path, dtype=torch.bfloat16)
    start, session = parameters(surgery.open(base).model), surgery.open(base)
    session.task_arithmetic("", parents=[str(other)], vocabulary="matched")
    at = OWN.index("w3")
    assert torch.equal(parameters(session.model)[HEAD][at], start[HEAD][at])


@pytest.mark.filterwarnings("ignore::surgery.errors.SurgeryWarning")
def test_a_script_keeps_to_the_vocabularies_it_was_made_with(tmp_path: Path) -> None:
    """Weights alone do not say which row is which token."""
    base, other = pair(tmp_path)
    session = surgery.open(base)
    session.soup("", parents=[str(other)], vocabulary="matched")
    script = session.script.write(tmp_path / "edits.json")
    assert len(json.loads(script.read_text())["steps"][0]["tokens"]["parents"]) == 1
    assert surgery.replay(script, base).fingerprint() == session.fingerprint()
    words(other, [*THEIRS[1:], THEIRS[0]])
    with pytest.raises(SurgeryError, match="soup was recorded with other vocabularies"):
        surgery.replay(script, base)


def test_rows_are_not_mixed_up(tmp_path: Path) -> None:
    """Other numbers of rows, and as many rows with tokens at other ids; what holds no rows is merged."""
    base, other = pair(tmp_path)
    shuffled, same = tmp_path / "shuffled", tmp_path / "same"
    with quiet():
        for folder, texts in ((shuffled, [*OWN[3:], *OWN[:3]]), (same, [*OWN, "more"])):
            model(2, ROWS).save_pretrained(folder)
            words(folder, texts)
    for parent, sentence in (
        (other, r"embed_tokens.weight: the shapes differ; got \[29, 16\] in .*other, expected \[26, 16\]"),
        (
            shuffled,
            "row by row, different tokens would be merged: '<s>' has another id in .*; got 20, expect",
        ),
    ):
        with pytest.raises(SurgeryError, match=sentence) as refused:
            surgery.open(base).merge("", parents=[str(parent)])
        assert refused.value.hint and 'vocabulary="matched"' in refused.value.hint
        with pytest.raises(SurgeryError, match=sentence):
            surgery.open(base).kinship([str(parent)])
        surgery.open(base).merge("model.layers", parents=[str(parent)])
        surgery.open(base).ties("", parents=[str(parent)], only="!embed_tokens !lm_head")
    surgery.open(base).merge("", parents=[str(same)])
    with pytest.warns(SurgeryWarning, match="other: 6 of its tokens"):
        surgery.open(base).slerp("", parents=[str(other)], vocabulary="matched")
    assert surgery.open(base).kinship([str(other)], vocabulary="matched").all.count


def test_nor_where_no_model_is_opened(tmp_path: Path) -> None:
    """Such a script is left to a model, which refuses."""
    base, _ = pair(tmp_path)
    for name, texts in (("shuffled", [*OWN[3:], *OWN[:3]]), ("same", OWN)):
        with quiet():
            model(2, ROWS).save_pretrained(tmp_path / name)
        words(tmp_path / name, texts)
    for file in FILES:
        if (base / file).is_file():
            shutil.copy(base / file, tmp_path / "same" / file)
    told: dict[str, bool] = {}
    for name, fields in (("shuffled", {}), ("same", {}), ("same", {"vocabulary": "matched"})):
        step = operation_named("merge").from_fields(
            {"targets": "", "parents": [str(tmp_path / name)], **fields}
        )
        told[f"{name} {fields}"] = unopened(Script(Base(str(base), "", None), (step,)), None) is not None
    assert list(told.values()) == [False, True, False]


def test_what_has_no_vocabulary_is_refused(tmp_path: Path) -> None:
    """No tokenizer on one side, no model with tokens, a family of which it is not known."""
    base, other = pair(tmp_path)
    bare = tmp_path / "bare"
    with quiet():
        model(1, THEIR_ROWS).save_pretrained(bare)
    matched: Any = {"vocabulary": "matched"}
    with pytest.raises(SurgeryError, match=r"no tokenizer says which token a row of this parent"):
        surgery.open(base).merge("", parents=[str(bare)], **matched)
    with pytest.raises(SurgeryError, match="this model came without a tokenizer"):
        surgery.open(bare).merge("", parents=[str(other)], **matched)
    with pytest.raises(SurgeryError, match="has no vocabulary that is known"):
        surgery.open(nn.Linear(2, 2)).merge("", parents=[str(other)], **matched)
    surgery.open(bare).merge("model.layers", parents=[str(other)], **matched)
    olmo = surgery.open(model(0, ROWS, family="Olmo2"))
    with pytest.raises(SurgeryError, match="is not proved on the vocabulary of the family 'olmo2'"):
        olmo.merge("", parents=[str(other)], **matched)


@pytest.mark.filterwarnings("ignore::surgery.errors.SurgeryWarning")
def test_adapters(tmp_path: Path) -> None:
    """One on this model has this model's rows; one on a base of its own has the rows of that."""
    base, other = pair(tmp_path)
    mine = adapter(tmp_path / "mine", 1, base=model(0, ROWS), target_modules=["embed_tokens", "q_proj"])
    theirs = adapter(tmp_path / "theirs", 2, base=model(1, THEIR_ROWS), target_modules=["embed_tokens"])
    start = load_file(base / "model.safetensors")
    for parent, wanted in (
        (str(tmp_path / "mine"), mine[EMBEDDING]),
        (f"{other}+{tmp_path / 'theirs'}", in_order(start[EMBEDDING], theirs[EMBEDDING])),
    ):
        session = surgery.open(base)
        session.merge("", parents=[parent], weights=[0.0, 1.0], vocabulary="matched")
        torch.testing.assert_close(parameters(session.model)[EMBEDDING], wanted, rtol=1e-5, atol=1e-6)


def test_a_vocabulary_is_what_transformers_reads(tmp_path: Path) -> None:
    """Pairs with scores, merges, added tokens; read anew once the file was written again."""
    unigram = tokenizers.models.Unigram([("<unk>", 0.0), ("a", -1.0), ("b", -2.0)], unk_id=0)
    pairs = tokenizers.models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")])
    for core in (unigram, pairs):
        made = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer(core))
        made.add_tokens(["<more>"])
        made.add_special_tokens({"pad_token": "<pad>"})
        made.save_pretrained(tmp_path)
        found = tokens_in(tmp_path)
        assert found is not None and dict(found.ids) == made.get_vocab()
        assert found.roles["pad_token"] == "<pad>"
    (tmp_path / "tokenizer.json").write_text("[]")
    with pytest.raises(SurgeryError, match="cannot read the tokenizer"):
        tokens_in(tmp_path)


def test_rows_are_read_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row of a parent at most once, however they are ordered, and a piece at a time in memory."""
    torch.manual_seed(0)
    source, own = torch.randn(2000, 64), torch.randn(1500, 64)
    save_file({"rows": source}, tmp_path / "model.safetensors")
    places = torch.randperm(2000)[:1500]
    places[::3] = -1
    stored = Stored(shape=(2000, 64), dtype=torch.float32, file=tmp_path / "model.safetensors", name="rows")
    mine, at = (Known(shape=tuple(item.shape), dtype=item.dtype, tensor=item) for item in (own, places))
    lazy = recipe("matched_rows", stored, mine, at, shape=(1500, 64))
    monkeypatch.setattr(tiles, "PIECE_BYTES", 25_600)
    with Reader() as reader:
        made = torch.cat(list(Maker(reader).pieces(lazy)))
        assert reader.read_bytes == 1000 * 64 * 4
    assert torch.equal(made, torch.where(places[:, None] < 0, own, source[places]))
    assert is_tiled(lazy) and room(lazy) < 400_000 < source.nbytes


@pytest.mark.filterwarnings("ignore::surgery.errors.SurgeryWarning")
def test_a_buffer_with_a_value_per_token(tmp_path: Path) -> None:
    """BART's bias of the logits is none of the rows: it may be kept, and is never mixed up."""
    sides = {"encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "encoder_layers": 1, "decoder_layers": 1}
    config = transformers.BartConfig(
        vocab_size=ROWS, d_model=16, encoder_attention_heads=2, decoder_attention_heads=2, **sides
    )
    base, other = tmp_path / "base", tmp_path / "other"
    for seed, folder, texts in ((0, base, OWN), (1, other, [*OWN[3:], *OWN[:3]])):
        torch.manual_seed(seed)
        with quiet():
            transformers.BartForConditionalGeneration(config).save_pretrained(folder)
        words(folder, texts)
    start, there = parameters(surgery.open(base).model), parameters(surgery.open(other).model)
    fields: dict[str, Any] = {"parents": [str(other)], "weights": [0.0, 1.0], "vocabulary": "matched"}
    with pytest.raises(SurgeryError, match="final_logits_bias: has a value per token"):
        surgery.open(base).merge("", statistics="average", **fields)
    session = surgery.open(base)
    session.merge("", statistics="keep", **fields)
    found, name = parameters(session.model), "model.shared.weight"
    wanted = torch.cat([there[name][20:23], there[name][:20], start[name][23:]])
    torch.testing.assert_close(found[name], wanted)


def test_other_texts_at_the_same_ids_are_no_same_vocabulary(tmp_path: Path) -> None:
    """Where there are many of them; `replace` takes none of these rows either."""
    base, _ = pair(tmp_path)
    with quiet():
        model(2, ROWS).save_pretrained(tmp_path / "foreign")
    words(tmp_path / "foreign", [*OWN[:3], *(f"q{at}" for at in range(len(OWN) - 3))])
    for name in ("foreign",):
        for verb, fields in (("merge", {}), ("replace", {})):
            with pytest.raises(SurgeryError, match="row by row, other tokens would be merged"):
                getattr(surgery.open(base), verb)(
                    "model.embed_tokens", parents=[str(tmp_path / name)], **fields
                )


def test_what_only_settings_name_has_the_row_that_transformers_gives_it(tmp_path: Path) -> None:
    """A special token that tokenizer.json lacks is numbered behind all others."""
    with quiet():
        model(2, ROWS).save_pretrained(tmp_path / "padded")
    words(tmp_path / "padded", OWN)
    settings = tmp_path / "padded" / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"pad_token": "[PAD]"}))
    found = tokens_in(tmp_path / "padded")
    assert found is not None and found.ids["[PAD]"] == len(OWN)
    assert found.ids == transformers.AutoTokenizer.from_pretrained(tmp_path / "padded").get_vocab()
