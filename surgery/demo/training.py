"""How both demonstration classifiers are trained and measured."""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from surgery.demo.digits import digits

BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how hard to train.

    `epochs`: passes over the training images; `learning_rate`: the highest; `weight_decay`: AdamW's, of
    matrices; `slant` and `shift`: the most that an image is distorted and moved, see `moved`.
    """

    epochs: int
    learning_rate: float
    weight_decay: float
    slant: float
    shift: float


def logits_of(model: nn.Module, images: Tensor) -> Tensor:
    """Logits (n, 10) for images (n, 1, 8, 8), of a plain module or one of transformers."""
    made: Any = model(images)
    logits: Tensor = getattr(made, "logits", made)
    return logits


@torch.no_grad()
def held_out_accuracy(model: nn.Module) -> float:
    """The share of the held-out images that `model` classifies rightly; puts it in evaluation mode."""
    images, labels = digits(held_out=True)
    return (logits_of(model.eval(), images).argmax(-1) == labels).float().mean().item()


def moved(images: Tensor, schedule: Schedule, generator: torch.Generator) -> Tensor:
    """Each of the images (n, 1, 8, 8) turned, sheared, stretched and shifted a little, at random.

    Entries of its matrix differ from the identity's by up to `slant` (0.2 turns by 11 degrees); it moves by
    up to `shift` in units of half its width (0.25 is a pixel).
    """
    matrix = torch.eye(2, 3).repeat(len(images), 1, 1)
    matrix[:, :, :2] += (torch.rand(len(images), 2, 2, generator=generator) * 2 - 1) * schedule.slant
    matrix[:, :, 2] = (torch.rand(len(images), 2, generator=generator) * 2 - 1) * schedule.shift
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, the number of cores changes no bit; such small models are no slower so."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@one_thread()
def trained(make: Callable[[], nn.Module], schedule: Schedule, seed: int) -> nn.Module:
    """The model that `make` makes, trained on the images not held out; `seed` draws all that is random."""
    torch.manual_seed(seed)
    model, generator = make().train(), torch.Generator().manual_seed(seed)
    images, labels = digits(held_out=False)
    groups = [
        {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": schedule.weight_decay},
        {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=schedule.learning_rate)
    steps = schedule.epochs * math.ceil(len(images) / BATCH)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, schedule.learning_rate, total_steps=steps, pct_start=0.15
    )
    began = time.time()
    for epoch in range(1, schedule.epochs + 1):
        for rows in torch.randperm(len(images), generator=generator).split(BATCH):
            loss = F.cross_entropy(logits_of(model, moved(images[rows], schedule, generator)), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            rate.step()
        if epoch % 10 == 0:
            print(f"epoch {epoch}: {loss.item():.3f} nats, {time.time() - began:.0f} s", flush=True)
    return model.eval()


def run(
    description: str,
    out: Path,
    make: Callable[[], nn.Module],
    schedule: Schedule,
    write: Callable[[nn.Module, Path], None],
) -> None:
    """The command of a training script: trains, writes the folder, prints the held-out accuracy.

    `write` puts the model into the folder, which exists; `training.json` beside it says how it was made.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--out", type=Path, default=out, help="folder to write, by default the one that ships"
    )
    parser.add_argument("--seed", type=int, default=0, help="draws the weights, the order and the shifts")
    arguments = parser.parse_args()
    model = trained(make, schedule, arguments.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)
    write(model, arguments.out)
    accuracy, count = held_out_accuracy(model), len(digits(held_out=True)[1])
    how = {
        "class": type(model).__name__,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "data": "scikit-learn's digits",
        "seed": arguments.seed,
        **asdict(schedule),
        "batch": BATCH,
        "torch": torch.__version__,
        "held_out_images": count,
        "held_out_accuracy": round(accuracy, 4),
    }
    (arguments.out / "training.json").write_text(json.dumps(how, indent=1) + "\n", encoding="utf-8")
    print(f"held out: {accuracy:.2%} of {count} images")
