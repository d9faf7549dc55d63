"""What `surgery replay` does where no model is needed: see `surgery.stream.unopened`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from surgery.stream.unopened import Unopened


def replay_unopened(
    base: Unopened,
    out: Path,
    *,
    overwrite: bool,
    memory: str | None,
    shard_size: str | None,
    resume: bool,
    device: str,
    ray: bool,
) -> None:
    """Writes the result into `out` and says what it is."""
    from surgery.show.progress import bytes_shown
    from surgery.stream.unopened import carried_out

    out = out.expanduser()
    limit, memory_bytes = _sizes(memory, shard_size)
    with bytes_shown(True) as told:
        script, found = carried_out(
            base,
            out,
            limit=limit,
            overwrite=overwrite,
            memory_bytes=memory_bytes,
            resume=resume,
            told=told,
            device=device,
            ray=ray,
        )
    count = len(script.steps)
    typer.echo(f"{count} step{'' if count == 1 else 's'} replayed on {base.folder.name}")
    typer.echo(f"tensors {found}")
    typer.echo(f"saved to {out}")


def print_foreseen(
    base: Unopened, out: Path | None, overwrite: bool, memory: str | None, size: str | None
) -> None:
    """Prints every tensor that would be written."""
    from surgery.checkpoint.manifest import may_write, refuse_source
    from surgery.show.outlook import outlook_lines
    from surgery.stream.unopened import foreseen

    if out is not None:
        may_write(out.expanduser(), overwrite)
        refuse_source(out.expanduser(), base.folder)
    limit, memory_bytes = _sizes(memory, size)
    typer.echo("\n".join(outlook_lines(foreseen(base, limit=limit, memory_bytes=memory_bytes))))


def _sizes(memory: str | None, shard_size: str | None) -> tuple[int, int | None]:
    from surgery.checkpoint.shards import size_of

    return size_of(shard_size or "5GB"), None if memory is None else size_of(memory, "memory")
