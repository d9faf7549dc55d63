"""`surgery inspect`: a model as a tree, or its graph for other programs."""

from __future__ import annotations

from typing import Annotated

import typer

from surgery.cli.arguments import Model


def inspect(
    model: Model,
    depth: Annotated[int | None, typer.Option(help="levels of the tree to show; by default 3", min=0)] = None,
    select: Annotated[str, typer.Option(help="only modules this selector matches")] = "",
    unfold: Annotated[bool, typer.Option("--unfold", help="show each of the blocks that are alike")] = False,
    skeleton: Annotated[bool, typer.Option(help="do not load weights")] = False,
    json: Annotated[bool, typer.Option("--json", help="the whole graph as JSON")] = False,
    dot: Annotated[bool, typer.Option("--dot", help="its calls in Graphviz's language")] = False,
    graphml: Annotated[bool, typer.Option("--graphml", help="its calls as GraphML")] = False,
) -> None:
    """Show a model's tree with parameters, bytes, MACs and ties."""
    import surgery
    from surgery.show.formats import refuse_mixed, written
    from surgery.show.tree import print_tree

    formats = {"--json": json, "--dot": dot, "--graphml": graphml}
    views = {"--depth": depth is not None, "--select": bool(select), "--unfold": unfold}
    chosen = refuse_mixed(formats, views)
    session = surgery.open(model, skeleton=skeleton)
    if chosen:  # bytes, so that it is UTF-8 whatever the terminal speaks
        typer.echo(written(session.graph, chosen).encode(), nl=False)
    else:
        levels = 3 if depth is None else depth
        print_tree(session.graph, depth=levels, select=select, unfold=unfold, note=session.note)
