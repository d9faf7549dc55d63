"""The command `surgery`. Refusals print one sentence and exit with 2."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Open any PyTorch model as a graph; tie, merge, prune and adapt it; replay every edit.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Model = Annotated[str, typer.Argument(help='a transformers folder, a hub id, a saved folder, or "demo"')]


@app.command()
def inspect(
    model: Model,
    depth: Annotated[int, typer.Option(help="levels of the tree to show")] = 3,
    select: Annotated[str, typer.Option(help="only modules this selector matches")] = "",
    skeleton: Annotated[bool, typer.Option(help="do not load weights")] = False,
    json: Annotated[bool, typer.Option(help="the whole graph as JSON")] = False,
) -> None:
    """Show a model's tree with parameters, bytes, MACs and ties."""
    import surgery
    from surgery.show import graph_json, print_tree

    session = surgery.open(model, skeleton=skeleton)
    if json:
        print(graph_json(session.graph))
    else:
        print_tree(session.graph, depth=depth, select=select)


@app.command()
def replay(
    script: Annotated[Path, typer.Argument(help="an edit script, *.surgery.json")],
    model: Annotated[str | None, typer.Option(help="the base; by default where the script says")] = None,
    out: Annotated[Path | None, typer.Option(help="folder to save the result in")] = None,
    overwrite: Annotated[bool, typer.Option(help="replace a model that is there")] = False,
) -> None:
    """Apply a script's steps to its model, check the fingerprints, save the result."""
    import surgery

    session = surgery.replay(script, model, out, overwrite=overwrite)
    count = len(session.script.steps)
    print(f"{count} step{'' if count == 1 else 's'} replayed on {session.opened.name}")
    print(f"fingerprint {session.fingerprint()}")
    if out is not None:
        print(f"saved to {out}")


@app.command()
def evaluate(
    model: Model,
    script: Annotated[Path | None, typer.Option(help="steps to apply first; compared with the base")] = None,
    text: Annotated[list[Path] | None, typer.Option(help="text files to measure on")] = None,
    budget: Annotated[float, typer.Option(help="seconds to spend", min=0.1)] = 2.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps")] = "auto",
) -> None:
    """Measure fidelity and perplexity of a model, or of a script's result against its base."""
    import surgery
    from surgery.evaluate import text_files

    session = surgery.replay(script, model) if script else surgery.open(model)
    examples = None
    if text:
        examples = text_files(text, session.opened.tokenizer)
    print(session.evaluate(budget, examples, device))


@app.command()
def operations() -> None:
    """List all operations with their fields and sources."""
    from surgery.show import print_operations

    print_operations()


@app.command(name="app", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def start(context: typer.Context) -> None:
    """Start the studio as a web app on this machine."""
    from surgery.frontends import frontend

    raise typer.Exit(frontend("app")(context.args))


def main() -> None:
    """The entry point: SurgeryError becomes a sentence and exit status 2."""
    from surgery.errors import SurgeryError

    try:
        app()
    except SurgeryError as error:
        print(f"surgery: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
