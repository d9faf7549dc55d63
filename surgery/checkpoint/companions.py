"""What lies beside the weights and is carried along: tokenizer, processors, chat templates, licence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

VOCABULARY = (
    *("tokenizer.json", "vocab.json", "vocab.txt", "merges.txt", "bpe.codes", "dict.txt", "tekken.json"),
    *("tokenizer.model", "spiece.model", "spm.model", "sentencepiece.model", "sentencepiece.bpe.model"),
    *("source.spm", "target.spm", "vocab-src.json", "vocab-tgt.json", "target_vocab.json"),
)
TOKENIZER = (
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "normalizer.json"),
    *("chat_template.jinja", "chat_template.json", "additional_chat_templates/*.jinja"),
)
PROCESSOR = (
    *("preprocessor_config.json", "processor_config.json", "image_processor_config.json"),
    *("video_preprocessor_config.json", "feature_extractor_config.json", "audio_tokenizer_config.json"),
)
TERMS = ("LICENSE*", "LICENCE*", "NOTICE*", "USE_POLICY*")
"""Many licences ask that they go with every copy."""

_NEVER = (".py", ".safetensors", ".bin", ".pt", ".pth", ".gguf")


def carry_along(source: Path | None, tokenizer: Any, folder: Path, *, config_names_family: bool) -> None:
    """Puts into `folder` what the model's own folder has beside its weights, as it is.

    Only regular files inside `source` are copied (in a hub cache those its links lead to), no weights and no
    code. Where the config of `folder` does not name the model's family, which some tokenizers are found by, a
    tokenizer that does not name its class itself is written anew.
    """
    if source is not None:
        for file in _companions(source):
            (folder / file).parent.mkdir(exist_ok=True)
            shutil.copyfile(source / file, folder / file)
    if tokenizer is not None and not _is_whole(folder, config_names_family):
        tokenizer.save_pretrained(folder)


def _companions(source: Path) -> Iterator[Path]:
    inside = _own(source)
    for pattern in (*VOCABULARY, *TOKENIZER, *PROCESSOR, *TERMS):
        for file in sorted(source.glob(pattern)):
            real = file.resolve()
            if real.is_file() and real.is_relative_to(inside) and file.suffix not in _NEVER:
                yield file.relative_to(source)


def _own(source: Path) -> Path:
    """What counts as inside: the folder; of a snapshot in a hub cache, the model's part of the cache."""
    real = source.resolve()
    repository = real.parent.parent
    return repository if real.parent.name == "snapshots" and (repository / "blobs").is_dir() else real


def _is_whole(folder: Path, config_names_family: bool) -> bool:
    """Whether transformers finds the tokenizer in `folder`."""
    if not any((folder / name).is_file() for name in VOCABULARY):
        return False
    try:
        told = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        told = {}
    return config_names_family or (isinstance(told, dict) and bool(told.get("tokenizer_class")))
