"""`surgery replay`: a script carried out, with no screen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def replay(
    script: Annotated[Path, typer.Argument(help="an edit script, *.surgery.json, or a mergekit file, *.yml")],
    model: Annotated[str | None, typer.Option(help="the base; by default where the script says")] = None,
    out: Annotated[Path | None, typer.Option(help="folder to save the result in")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace a model that is there")] = False,
    plain: Annotated[
        bool,
        typer.Option(
            "--plain", help="save what transformers loads alone: ties copied, adapters folded, widths padded"
        ),
    ] = False,
    memory: Annotated[
        str | None,
        typer.Option(help='read and write piece by piece; tensors take no more than this, such as "4GB"'),
    ] = None,
    allow_factory: Annotated[
        str | None, typer.Option(metavar="NAME", help="run this factory if the script names it as its base")
    ] = None,
    reselect: Annotated[
        bool,
        typer.Option("--reselect", help="on another model: resolve the selectors anew, and show to what"),
    ] = False,
) -> None:
    """Apply a script's steps to its model, check the fingerprints, save the result."""
    import surgery
    from surgery import mergekit
    from surgery.checkpoint.load import read_manifest
    from surgery.reselecting import reselected

    if plain and out is None:
        raise surgery.SurgeryError("--plain says how a model is saved, and --out is not given")
    steps = mergekit.read(script, model) if mergekit.is_file(script) else surgery.Script.read(script)
    session = surgery.replay(
        steps,
        model,
        out,
        overwrite=overwrite,
        plain=plain,
        allow_factory=allow_factory,
        reselect=reselect,
        memory=memory,
    )
    count = len(session.steps)
    print(f"{count} step{'' if count == 1 else 's'} replayed on {session.opened.name}")
    if reselect:
        print("\n".join(reselected(steps.steps, session.steps)))
        print("the result is not compared with the one recorded: the selectors were resolved anew")
    if out is None or memory is None:
        print(f"fingerprint {session.fingerprint()}")
    else:
        print(f"fingerprint {read_manifest(out)['fingerprint']}")
    if out is not None:
        print(f"saved to {out}")
