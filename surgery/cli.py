"""The command `surgery`. Refusals print one sentence and exit with 2."""

from __future__ import annotations

import sys
from inspect import signature
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Open any PyTorch model as a graph; tie, merge, prune and adapt it; replay every edit.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Model = Annotated[
    str,
    typer.Argument(
        help="a transformers folder or config.json, a hub id, a saved folder, timm:NAME, torchvision:NAME, a "
        'factory package.module:function (its code is run), "demo", "demo-cnn" or "demo-vit"'
    ),
]


@app.command()
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
    from surgery.show import print_tree, refuse_mixed, written

    formats = {"--json": json, "--dot": dot, "--graphml": graphml}
    views = {"--depth": depth is not None, "--select": bool(select), "--unfold": unfold}
    chosen = refuse_mixed(formats, views)
    session = surgery.open(model, skeleton=skeleton)
    if chosen:  # bytes, so that it is UTF-8 whatever the terminal speaks
        typer.echo(written(session.graph, chosen).encode(), nl=False)
    else:
        levels = 3 if depth is None else depth
        print_tree(session.graph, depth=levels, select=select, unfold=unfold, note=session.note)


@app.command()
def replay(
    script: Annotated[Path, typer.Argument(help="an edit script, *.surgery.json")],
    model: Annotated[str | None, typer.Option(help="the base; by default where the script says")] = None,
    out: Annotated[Path | None, typer.Option(help="folder to save the result in")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace a model that is there")] = False,
    plain: Annotated[
        bool,
        typer.Option(
            "--plain", help="save what transformers loads alone: ties copied, adapters folded, widths padded"
        ),
    ] = False,
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
    from surgery.reselecting import reselected

    if plain and out is None:
        raise surgery.SurgeryError("--plain says how a model is saved, and --out is not given")
    steps = surgery.Script.read(script)
    session = surgery.replay(
        steps, model, out, overwrite=overwrite, plain=plain, allow_factory=allow_factory, reselect=reselect
    )
    count = len(session.steps)
    print(f"{count} step{'' if count == 1 else 's'} replayed on {session.opened.name}")
    if reselect:
        print("\n".join(reselected(steps.steps, session.steps)))
        print("the result is not compared with the one recorded: the selectors were resolved anew")
    print(f"fingerprint {session.fingerprint()}")
    if out is not None:
        print(f"saved to {out}")


@app.command()
def evaluate(
    model: Model,
    script: Annotated[Path | None, typer.Option(help="steps to apply first; compared with the base")] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(help="what to measure, such as accuracy or generation:tokens=32; may be repeated"),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="a text file, a folder of them, of images, or of Hugging Face datasets"),
    ] = None,
    text: Annotated[list[Path] | None, typer.Option(help="text files to measure on")] = None,
    stride: Annotated[
        int | None,
        typer.Option(help="tokens from one window of text to the next; by default a window", min=1),
    ] = None,
    split: Annotated[str | None, typer.Option(help="the split of a Hugging Face data set")] = None,
    budget: Annotated[float, typer.Option(help="seconds to spend", min=0.1)] = 2.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="the report as JSON")] = False,
) -> None:
    """Measure a model, or a script's result against its base; `surgery tasks` lists what can be measured."""
    import surgery
    from surgery.evaluate import examples_at, text_files
    from surgery.evaluate.data.windows import window_for
    from surgery.evaluate.tasks import tasks_of

    if text and data:
        raise surgery.SurgeryError("--text and --data both say what to measure on: give one")
    tasks = tasks_of(task) if task else None
    session = surgery.replay(script, model) if script else surgery.open(model)
    opened, examples = session.opened, None
    if data:
        examples = examples_at(data, opened, stride=stride, split=split)
    elif text:
        examples = text_files(text, opened.tokenizer, window_for(opened.model), stride)
    report = session.evaluate(budget, examples, device, tasks)
    typer.echo(dumps(report.to_dict(), indent=2) if json else str(report))


@app.command()
def tasks() -> None:
    """List all tasks of evaluations with their fields and sources."""
    from surgery.show import print_tasks

    print_tasks()


@app.command()
def sweep(
    model: Model,
    operation: Annotated[str, typer.Argument(help="an operation, as `surgery operations` lists them")],
    select: Annotated[str, typer.Argument(help="where to try it, such as 'model.layers[*]'")],
    field: Annotated[
        list[str] | None, typer.Option(help="a field of the operation, such as ratio=0.5; may be repeated")
    ] = None,
    of: Annotated[int, typer.Option(help="so many neighbouring modules at a time", min=1)] = 1,
    each: Annotated[bool, typer.Option("--each", help="narrow: each head, neuron or expert in turn")] = False,
    task: Annotated[list[str] | None, typer.Option(help="what to measure, as in `evaluate`")] = None,
    data: Annotated[Path | None, typer.Option(help="what to measure on, as in `evaluate`")] = None,
    budget: Annotated[float, typer.Option(help="seconds to spend in all", min=0)] = 30.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps")] = "auto",
    exact: Annotated[bool, typer.Option("--exact", help="each edit by itself; none share a pass")] = False,
    ray: Annotated[
        bool,
        typer.Option("--ray", help="on workers of Ray, one thread each; of the cluster RAY_ADDRESS, or here"),
    ] = False,
    resume: Annotated[
        Path | None, typer.Option(help="keep results in this file, and go on from it if it is there")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="write the results to this file")] = None,
    script: Annotated[Path | None, typer.Option(help="write the best edits to this script")] = None,
    best: Annotated[int, typer.Option(help="how many edits the script has", min=1)] = 1,
) -> None:
    """Try an edit at every selected place and say what each costs, best first. Ctrl-C shows what is known."""
    import torch

    import surgery
    from surgery.evaluate import Stopped, examples_at
    from surgery.show.progress import interruptible
    from surgery.typed import field_in

    fields = dict(field_in(text) for text in field or ())
    for name in signature(surgery.Session.sweep).parameters.keys() & fields:
        raise surgery.SurgeryError(
            "is no field of an operation but an option of the sweep", path=name, hint=f"`--{name}`"
        )
    for path in (json, script):  # a sweep is long: what stands in the way of its end is said before it
        if path is not None and not path.parent.is_dir():
            raise surgery.SurgeryError("there is no such folder", path=str(path.parent))
    if ray:
        torch.set_num_threads(1)  # workers have as many as this process
    session = surgery.open(model)
    examples = examples_at(data, session.opened) if data else None
    try:
        with interruptible() as (progress, stop):
            report = session.sweep(
                operation,
                select,
                of=of,
                each=each,
                budget_s=budget,
                examples=examples,
                device=device,
                tasks=task,
                exact=exact,
                ray=ray,
                resume=resume,
                progress=progress,
                stop=stop,
                **fields,
            )
    except Stopped:
        print("surgery: stopped before anything was measured", file=sys.stderr)
        raise typer.Exit(130) from None
    print(report)
    if json:
        json.write_text(dumps(report.to_dict(), indent=1), encoding="utf-8")
    if script:
        for step in report.best(best):
            session.apply(step)
        session.script.write(script)


@app.command()
def speed(
    model: Model,
    script: Annotated[Path | None, typer.Option(help="steps to apply; compared with the base")] = None,
    budget: Annotated[float, typer.Option(help="seconds to spend", min=0)] = 4.0,
    prompt: Annotated[int, typer.Option(help="tokens of a prompt", min=1)] = 128,
    batch: Annotated[int, typer.Option(help="prompts at a time", min=1)] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps")] = "auto",
) -> None:
    """Measure latency, peak memory and size of a model, or of a script's result against its base."""
    import surgery

    session = surgery.replay(script, model) if script else surgery.open(model)
    print(session.speed(budget, device, prompt=prompt, batch=batch))


@app.command()
def diff(
    before: Model,
    after: Annotated[str | None, typer.Argument(help="the other model, given in the same ways")] = None,
    script: Annotated[Path | None, typer.Option(help="compare with what these steps make of it")] = None,
    weights: Annotated[bool, typer.Option(help="read values: alike blocks are told apart")] = False,
    json: Annotated[bool, typer.Option(help="the difference as JSON")] = False,
) -> None:
    """Show what is different between two models, or between a model and a script's result on it.

    Modules removed, added and moved, ties, shapes and attributes; with --weights also values. Only
    structure is read otherwise, and of alike blocks nothing tells which one is gone. Exit status 0 if
    nothing is different, 1 if something is, 2 for an error.
    """
    import surgery
    from surgery.compare import compare, compare_with_base
    from surgery.show.diff import diff_json, print_diff

    if (after is None) == (script is None):
        raise surgery.SurgeryError("diff needs a second model or a script, and not both")
    if script is not None:
        found = compare_with_base(surgery.replay(script, before), weights=weights)
    else:
        one, two = (surgery.open(str(model), skeleton=not weights) for model in (before, after))
        found = compare(one, two, weights=weights)
    if json:
        print(diff_json(found))
    else:
        print_diff(found)
    raise typer.Exit(1 if found else 0)


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
