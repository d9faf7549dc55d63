"""Tokenizers and chat templates: those of the base, or the file is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoModelForCausalLM

import surgery
from surgery.mergekit import read
from tests.surgery.mergekit.models import tensors, write

FILE = """
merge_method: linear
models: [{model: base}, {model: other}, {model: bare}]
parameters: {weight: 1}
"""
WORDS = {"<s>": 0, "</s>": 1, "one": 2, "two": 3}


def give_tokenizer(folder: Path, words: dict[str, int], template: str | None = None) -> None:
    """A tokenizer with these tokens, and a chat template."""
    Tokenizer(WordLevel(words, unk_token="<s>")).save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast"} | (
        {"chat_template": template} if template else {}
    )
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three models, of which the third has no tokenizer."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("base", "other", "bare")):
        write(tmp_path / name, tensors(seed))
    give_tokenizer(tmp_path / "base", WORDS, "{{ base }}")
    give_tokenizer(tmp_path / "other", WORDS, "{{ other }}")
    return tmp_path


def read_with(more: str, place: Path) -> int:
    """How many steps there are with these lines in the file."""
    path = place / "config.yml"
    path.write_text(FILE + more)
    return len(read(path).steps)


TOKENIZERS = [
    *("tokenizer_source: base", "tokenizer_source: union", "tokenizer_source: ./base"),
    *("tokenizer: {source: base}", "tokenizer: {source: union}", "tokenizer: {}"),
]


@pytest.mark.parametrize("line", TOKENIZERS)
def test_equal_vocabularies_need_nothing(line: str, folders: Path) -> None:
    """The result has the tokenizer of the base."""
    assert read_with(line, folders) == 1


@pytest.mark.parametrize("line", [line for line in TOKENIZERS if "base" in line])
def test_rows_of_different_vocabularies_are_matched_by_their_tokens(line: str, folders: Path) -> None:
    """Where the file says that the result keeps the tokenizer of the base."""
    give_tokenizer(folders / "other", WORDS | {"one": 3, "two": 2})
    (folders / "config.yml").write_text(FILE + line)
    (merge,) = read(folders / "config.yml").steps
    assert merge.vocabulary == "matched"  # type: ignore[attr-defined]


@pytest.mark.parametrize("line", [line for line in TOKENIZERS if "base" not in line])
def test_different_vocabularies_are_refused_by_key(line: str, folders: Path) -> None:
    """Also those of one size, whose tokens have other numbers."""
    give_tokenizer(folders / "other", WORDS | {"one": 3, "two": 2})
    with pytest.raises(surgery.SurgeryError, match=r"tokenizer_source: the vocabularies.* in other"):
        read_with(line, folders)


def test_a_module_has_no_tokenizer(folders: Path) -> None:
    """A file that asks for one needs the folder."""
    model = AutoModelForCausalLM.from_pretrained(folders / "base")
    (folders / "config.yml").write_text(FILE + "tokenizer_source: base\n")
    with pytest.raises(surgery.SurgeryError, match="tokenizer_source: a module has no tokenizer"):
        read(folders / "config.yml", model)


def test_without_the_key_vocabularies_are_not_read(folders: Path) -> None:
    """Rows are merged by number then, as mergekit does."""
    give_tokenizer(folders / "other", WORDS | {"more": 4})
    assert read_with("", folders) == 1


def test_the_tokenizer_of_another_model_is_refused_if_it_differs(folders: Path) -> None:
    """Also in its template alone; one that is the base's, file by file, needs nothing."""
    (folders / "third").mkdir()
    for line in ("tokenizer_source: third", "tokenizer_source: other", "tokenizer: {source: other}"):
        with pytest.raises(
            surgery.SurgeryError, match=r"tokenizer_source: this key .* whose tokenizer is not"
        ):
            read_with(line, folders)
    give_tokenizer(folders / "third", WORDS, "{{ base }}")
    assert read_with("tokenizer_source: third", folders) == 1
    with pytest.raises(surgery.SurgeryError, match="nowhere: there is no such folder"):
        read_with("tokenizer_source: nowhere", folders)


def test_a_template_that_the_base_has_needs_nothing(folders: Path) -> None:
    """In its words, or found as the one that most models have."""
    assert read_with("chat_template: '{{ base }}'", folders) == 1
    assert read_with("chat_template: auto", folders) == 1
    give_tokenizer(folders / "other", WORDS)
    (folders / "base" / "chat_template.jinja").write_text("{{ written beside }}\n")
    assert read_with("chat_template: '{{ written beside }}'", folders) == 1


def test_another_template_is_refused(folders: Path) -> None:
    """By its key, also where most models have it."""
    with pytest.raises(surgery.SurgeryError, match=r"chat_template: this key.*other"):
        read_with("chat_template: '{{ other }}'", folders)
    give_tokenizer(folders / "bare", WORDS, "{{ other }}")
    with pytest.raises(surgery.SurgeryError, match=r"chat_template: this key.*other"):
        read_with("chat_template: auto", folders)
