"""Trains the demonstration's vision transformer on digits and writes it as an ordinary transformers folder.

python -m surgery.demo.train_vit                        # two or three minutes
python -m surgery.demo.train_vit --seed 1 --out other/  # its sibling, to be merged with it
"""

from pathlib import Path
from typing import Any

from torch import nn
from transformers import ViTForImageClassification

from surgery.demo import VIT
from surgery.demo.classifiers import vit_config
from surgery.demo.training import Schedule, run
from surgery.quiet import quiet

SCHEDULE = Schedule(epochs=100, learning_rate=3e-3, weight_decay=0.05, slant=0.18, shift=0.25)


def make() -> nn.Module:
    """The transformer with random weights."""
    model: nn.Module = ViTForImageClassification(vit_config())
    return model


def write(model: Any, folder: Path) -> None:
    """Config and tensors as transformers writes them."""
    with quiet():
        model.save_pretrained(folder)


if __name__ == "__main__":
    run(__doc__.splitlines()[0], VIT, make, SCHEDULE, write)
