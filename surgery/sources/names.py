"""What a source is, by how it is written."""

from __future__ import annotations

import re

LIBRARIES = ("timm", "torchvision")
_DOTTED = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_FACTORY = re.compile(f"{_DOTTED}:{_DOTTED}")


def is_library_name(source: str) -> bool:
    """Whether `source` is written as `timm:resnet18`."""
    library, _, name = source.partition(":")
    return library in LIBRARIES and bool(name)


def is_factory(source: str) -> bool:
    """Whether `source` is written `package.module:function`; a folder called so is opened as `./…`."""
    return _FACTORY.fullmatch(source) is not None and source.partition(":")[0] not in LIBRARIES
