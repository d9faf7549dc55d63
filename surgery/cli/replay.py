"""`surgery replay`: a script carried out, with no screen."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from surgery.cli.arguments import Data, Factory, Models, Script, Tasks, base_and_others, refuse_unevaluated
from surgery.cli.beforehand import print_check, print_dry_run, refuse_with
from surgery.cli.outcome import print_outcome
from surgery.cli.unopened import print_foreseen, replay_unopened


def replay(
    script: Script,
    model: Models = None,
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
    resume: Annotated[
        bool, typer.Option("--resume", help="with --memory: go on with a run that was killed or stopped")
    ] = False,
    shard_size: Annotated[
        str | None, typer.Option(help='divide the weights into files of at most this size; by default "5GB"')
    ] = None,
    device: Annotated[
        str, typer.Option(help="with --memory: where values are computed, such as cuda")
    ] = "cpu",
    ray: Annotated[
        bool,
        typer.Option(
            "--ray",
            help="with --memory: on workers of Ray, each so large; of the cluster RAY_ADDRESS, or here",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="write nothing: show every tensor that --memory would write")
    ] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="write nothing: compare base, parents and --out with the script"),
    ] = False,
    evaluate: Annotated[
        bool,
        typer.Option("--evaluate", help="then measure each further model and the result beside the base"),
    ] = False,
    task: Tasks = None,
    data: Data = None,
    budget: Annotated[float, typer.Option(help="with --evaluate: seconds for each", min=0.1)] = 2.0,
    allow_factory: Factory = None,
    reselect: Annotated[
        bool,
        typer.Option("--reselect", help="on another model: resolve the selectors anew, and show to what"),
    ] = False,
) -> None:
    """Apply a script's steps to its model, check the fingerprints, save the result."""
    import surgery
    from surgery.checkpoint.manifest import read_manifest
    from surgery.identities import base_of
    from surgery.mergekit import script_in
    from surgery.reselecting import reselected
    from surgery.show.progress import bytes_shown
    from surgery.stream.unopened import unopened

    place, others = base_and_others(model or [])
    if dry_run and check:
        raise surgery.SurgeryError("--dry-run and --check each say what is done instead: give one")
    elsewhere = {"--ray": ray, "--device": device != "cpu"}
    after: dict[str, Any] = {"--evaluate": evaluate, "--task": task, "--data": data}
    refuse_unevaluated(evaluate, task=task, data=data)
    if check:
        refuse_with(
            "--check",
            {
                "--reselect": reselect,
                "--resume": resume,
                "--plain": plain,
                "--overwrite": overwrite,
                **elsewhere,
                **after,
            },
        )
        print_check(script, place, out, allow_factory, others)
        return
    spreading: dict[str, Any] = {"device": device, "ray": ray}
    saving: dict[str, Any] = {"overwrite": overwrite, "plain": plain, "max_shard_size": shard_size or "5GB"}
    base: dict[str, Any] = {"allow_factory": allow_factory, "reselect": reselect, "memory": memory}
    steps = script_in(script, place).with_models(others)
    alone = None if plain or reselect or (out is None and not dry_run) else unopened(steps, place)
    if dry_run:
        refuse_with("--dry-run", {"--resume": resume, **elsewhere, **after})
        if alone is not None:
            print_foreseen(alone, out, overwrite, memory, shard_size)
        else:
            print_dry_run(steps, place, out, base | saving)
        return
    for option, given in {
        "--plain": plain,
        "--shard-size": shard_size,
        "--resume": resume,
        **elsewhere,
    }.items():
        if given and out is None:
            raise surgery.SurgeryError(f"{option} says how a model is saved, and --out is not given")
    try:
        if alone is not None and out is not None:
            replay_unopened(
                alone,
                out,
                overwrite=overwrite,
                memory=memory,
                shard_size=shard_size,
                resume=resume,
                **spreading,
            )
            if evaluate:
                print_outcome(steps, alone.folder, memory is not None, task, data, budget)
            return
        with bytes_shown(out is not None and memory is not None) as told:
            session = surgery.replay(
                steps, place, out, **base, **saving, **spreading, resume=resume, progress=told
            )
    except KeyboardInterrupt as stopped:
        print(f"surgery: {stopped or 'stopped, and nothing was written.'}", file=sys.stderr)
        raise typer.Exit(130) from None
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
    if evaluate:
        source = base_of(steps, place, allow_factory)
        print_outcome(steps, source, memory is not None, task, data, budget)
