"""What several commands are given."""

from __future__ import annotations

from typing import Annotated

import typer

Model = Annotated[
    str,
    typer.Argument(
        help="a transformers folder or config.json, a hub id, a saved folder, timm:NAME, torchvision:NAME, a "
        'factory package.module:function (its code is run), "demo", "demo-cnn" or "demo-vit"'
    ),
]
