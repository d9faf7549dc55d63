"""Checkpoints on the Hugging Face hub, fetched into its cache."""

from __future__ import annotations

import re
from pathlib import Path

from surgery import fence
from surgery.errors import SurgeryError

_PREFIX = "hf://"
_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_WANTED = ["*.safetensors", "*.json", "*.txt", "*.jinja", "*.model", "LICENSE*", "NOTICE*"]


def is_on_hub(source: str | Path) -> bool:
    """Whether a text names a place on the hub."""
    return str(source).startswith(_PREFIX)


def fetched(source: str) -> Path:
    """The folder in the cache with what `hf://OWNER/NAME[@REVISION]` has: weights, config, tokenizer, no
    code.

    What is in the cache is taken from there where there is no network. SurgeryError where it cannot be had.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    name, at, revision = source.removeprefix(_PREFIX).partition("@")
    if not _NAME.fullmatch(name) or (at and not revision):
        raise SurgeryError("is no place on the hub", path=source, expected="hf://OWNER/NAME[@REVISION]")
    fence.naming(source)
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=_WANTED))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SurgeryError(
            f"cannot be fetched from the hub: {reason}", path=source, hint="a folder with the model"
        ) from None
