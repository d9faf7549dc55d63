"""`surgery speed`: latency, peak memory and size."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from surgery.cli.arguments import Model


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
