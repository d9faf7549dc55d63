"""What several commands are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

Model = Annotated[
    str,
    typer.Argument(
        help="a transformers folder or config.json, a hub id, a saved folder, timm:NAME, torchvision:NAME, a "
        'factory package.module:function (its code is run), "demo", "demo-cnn" or "demo-vit"'
    ),
]


def base_and_others(given: Sequence[str]) -> tuple[str | None, dict[str, str]]:
    """The base among `FOLDER` and `NAME=FOLDER`, if it is there, and the others by name."""
    from surgery.errors import SurgeryError
    from surgery.fields import Parent

    base, others = None, {}
    for text in given:
        parent = Parent.of(text)
        if parent.alias is None:
            if base is not None:
                raise SurgeryError("is a second base", path=text, got=base, hint="`--model NAME=FOLDER`")
            base = text
        else:
            others[parent.alias] = parent.source
    return base, others
