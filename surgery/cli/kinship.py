"""`surgery kinship`: how far checkpoints moved from a model, and how they agree."""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from surgery.cli.arguments import Model


def kinship(
    model: Model,
    parent: Annotated[list[str], typer.Argument(help="other models: folders, adapters, or name=folder")],
    select: Annotated[str, typer.Option(help="the modules to compare; all if not given")] = "",
    only: Annotated[str, typer.Option(help="tensors whose path has these words, and none with !")] = "",
    matched: Annotated[
        bool, typer.Option("--matched", help="match rows of tokens by the tokens' texts")
    ] = False,
    html: Annotated[Path | None, typer.Option(help="write heat maps to this page")] = None,
    json: Annotated[Path | None, typer.Option(help="write the figures to this file")] = None,
) -> None:
    """Compare models before a merge: task vectors' norms, cosines and conflicts of signs, tensor by
    tensor.
    """
    import surgery
    from surgery.show.kinship import page
    from surgery.show.progress import interruptible

    for file in (html, json):
        if file is not None and not file.expanduser().parent.is_dir():
            raise surgery.SurgeryError("there is no such folder", path=str(file.parent))
    session = surgery.open(model, skeleton=Path(model).expanduser().is_dir())
    with interruptible() as (tell, _):
        found = session.kinship(parent, select, only, tell, vocabulary="matched" if matched else "same")
    print(found)
    if html is not None:
        html.write_text(
            page(found, f"{session.opened.name} and {', '.join(found.parents)}"), encoding="utf-8"
        )
        print(f"heat maps written to {html}")
    if json is not None:
        json.write_text(dumps(found.to_dict(), indent=1) + "\n", encoding="utf-8")
        print(f"figures written to {json}")
