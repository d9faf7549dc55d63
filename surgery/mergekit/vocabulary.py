"""Tokenizers and chat templates of a mergekit file: the result has those of its base, or it is refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from surgery import fence
from surgery.checkpoint.tokens import same_files, tokens_in
from surgery.errors import SurgeryError
from surgery.mergekit.config import MergeFile
from surgery.mergekit.models import folder


def check(file: MergeFile, folders: dict[str, str]) -> bool:
    """Whether rows of the embeddings are matched by their tokens: the file says so, and vocabularies differ.

    SurgeryError where it asks for another tokenizer or template than the base has. `folders`: of the models
    that were found, by reference, the base first.
    """
    matched = _check_tokenizer(file.tokenizer, folders) if file.tokenizer else False
    if file.chat_template:
        _check_template(file.chat_template, folders)
    return matched


def refuse_for_module(file: MergeFile) -> None:
    """SurgeryError where the file asks for a tokenizer, and the base is a module, which has none."""
    for key, said in (("tokenizer_source", file.tokenizer), ("chat_template", file.chat_template)):
        if said:
            raise SurgeryError(
                "a module has no tokenizer", path=key, got=said[:30], hint="`model` as a folder"
            )


def _check_tokenizer(source: str, folders: dict[str, str]) -> bool:
    base, *_ = folders
    named = dict(folders)
    if source not in ("base", "union", base):
        named[source] = folders.get(source) or folder(source, "tokenizer_source")
        if not _same_tokenizer(_place(named[source]), _place(folders[base])):
            raise SurgeryError(
                "this key of mergekit can't be honoured here: the result has the tokenizer of its base",
                path="tokenizer_source",
                got=f"{source}, whose tokenizer is not that of {base}",
                hint="`base_model` with that tokenizer, or `tokenizer_source: base`",
            )
    first = tokens_in(_place(named[base]))
    for reference, place in named.items():
        found = tokens_in(_place(place))  # without a tokenizer it is taken to be the base's
        if first is not None and found is not None and found.ids != first.ids:
            if source != "union":  # the tokenizer of the base, or the same in another folder
                return True
            raise SurgeryError(
                "the vocabularies of these models differ, and the result keeps that of its base",
                path="tokenizer_source",
                got=f"{source}, with {len(found.ids)} tokens in {reference} and {len(first.ids)} in {base}",
                hint="`tokenizer_source: base`, which matches rows by their tokens",
            )
    return False


def _same_tokenizer(one: Path, other: Path) -> bool:
    return same_files(one, other) and _template(one) == _template(other)


def _place(folder: str) -> Path:
    return fence.reading(Path(folder).expanduser())


def _check_template(wanted: str, folders: dict[str, str]) -> None:
    base, *_ = folders
    templates = {name: _template(_place(place)) for name, place in folders.items()}
    if wanted == "auto":
        said = [text for text in templates.values() if text]
        wanted = Counter(said).most_common(1)[0][0] if said else ""
    if wanted and wanted.strip() != templates[base]:
        raise SurgeryError(
            "this key of mergekit can't be honoured here: the result has the chat template of its base",
            path="chat_template",
            got=f"{wanted[:30]!r}, which is not that of {base}",
            hint="leaving it out, and the template in the folder of the result",
        )


def _template(place: Path) -> str | None:
    try:
        if (place / "chat_template.jinja").is_file():
            return (place / "chat_template.jinja").read_text(encoding="utf-8").strip()
        said: Any = json.loads((place / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    template = said.get("chat_template") if isinstance(said, dict) else None
    if isinstance(template, list):
        template = next((item.get("template") for item in template if item.get("name") == "default"), None)
    return template.strip() if isinstance(template, str) else None
