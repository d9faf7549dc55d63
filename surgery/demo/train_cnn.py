"""Trains the demonstration's convolutional classifier of digits and writes its folder.

python -m surgery.demo.train_cnn                        # about a minute
python -m surgery.demo.train_cnn --seed 1 --out other/  # its sibling, to be merged with it
"""

from pathlib import Path

from safetensors.torch import save_file
from torch import nn

from surgery.demo import CNN
from surgery.demo.classifiers import DigitsCnn
from surgery.demo.training import Schedule, run

SCHEDULE = Schedule(epochs=80, learning_rate=1e-2, weight_decay=0.05, slant=0.2, shift=0.3)


def write(model: nn.Module, folder: Path) -> None:
    """The tensors as safetensors; the class is in `surgery.demo.classifiers`."""
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    run(__doc__.splitlines()[0], CNN, DigitsCnn, SCHEDULE, write)
