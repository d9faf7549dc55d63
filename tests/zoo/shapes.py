"""Forwards of unusual shape: loops over time, weights made by a network, records in and out."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.zoo.building import VOCABULARY, Inputs, ids


class _Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, 8)
        self.lstm = nn.LSTM(8, 12, num_layers=2, batch_first=True)
        self.cell = nn.GRUCell(12, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        seen, _ = self.lstm(self.embed(tokens))
        state = seen.new_zeros(seen.shape[0], 6)
        for step in range(seen.shape[1]):
            state = self.cell(seen[:, step], state)
        return self.head(state)


def recurrent() -> tuple[nn.Module, Inputs]:
    """An LSTM of two layers, then a GRU cell in a loop over its steps."""
    torch.manual_seed(0)
    return _Recurrent().eval(), {"tokens": ids(length=4)}


class _Hypernetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.code = nn.Parameter(torch.randn(3))
        self.maker = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 6 * 4 + 4))
        self.norm = nn.LayerNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.maker(self.code).split([6 * 4, 4])
        return self.norm(F.linear(x, weight.view(4, 6), bias))


def hypernetwork() -> tuple[nn.Module, Inputs]:
    """A network makes the weight of a linear map out of a learned code."""
    torch.manual_seed(0)
    return _Hypernetwork().eval(), (torch.randn(5, 6),)


class _Pyramid(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(6, 8)
        self.levels = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.stem(x)
        features = {}
        for index, level in enumerate(self.levels):
            x = F.relu(level(x))
            features[f"level{index}"] = x
        return features


class _TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.classes = nn.Linear(8, 3)
        self.boxes = nn.Linear(8, 4)

    def forward(self, features: dict[str, Tensor]) -> dict[str, list[Tensor]]:
        return {
            "classes": [self.classes(feature) for feature in features.values()],
            "boxes": [self.boxes(feature).sigmoid() for feature in features.values()],
        }


class _Detector(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = _Pyramid()
        self.heads = _TwoHeads()

    def forward(self, x: Tensor) -> dict[str, list[Tensor]]:
        return self.heads(self.backbone(x))


def dictionaries() -> tuple[nn.Module, Inputs]:
    """Features travel as a dictionary between modules; dictionaries of lists come out."""
    torch.manual_seed(0)
    return _Detector().eval(), {"x": torch.randn(2, 6)}


@dataclass
class Estimate:
    """A mean and a spread (batch, 2), and text that isn't a tensor."""

    mean: Tensor
    spread: Tensor | None = None
    unit: str = "m"


class _Estimator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(6, 8)
        self.mean = nn.Linear(8, 2)
        self.spread = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Estimate:
        x = torch.tanh(self.body(x))
        return Estimate(mean=self.mean(x), spread=F.softplus(self.spread(x)))


class _Calibrated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.estimator = _Estimator()
        self.scale = nn.Linear(2, 2, bias=False)

    def forward(self, x: Tensor) -> Estimate:
        found = self.estimator(x)
        assert found.spread is not None
        return Estimate(found.mean, self.scale(found.spread))


def dataclasses() -> tuple[nn.Module, Inputs]:
    """A dataclass of tensors between modules, and one out of the model."""
    torch.manual_seed(0)
    return _Calibrated().eval(), {"x": torch.randn(3, 6)}


class _Conditioned(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(6, 8)
        self.condition = nn.Linear(2, 8)
        self.never = nn.Linear(5, 8)
        self.head = nn.Linear(8, 3)

    def forward(
        self, x: Tensor, *, condition: Tensor | None = None, extra: Tensor | None = None, scale: float = 1.0
    ) -> Tensor:
        x = self.body(x)
        if condition is not None:
            x = x + scale * self.condition(condition)
        if extra is not None:
            x = x + self.never(extra)
        return self.head(F.relu(x))


def optional_inputs() -> tuple[nn.Module, Inputs]:
    """Keyword-only and optional inputs: one given, one left out, so that its module is never called."""
    torch.manual_seed(0)
    return _Conditioned().eval(), {"x": torch.randn(4, 6), "condition": torch.randn(4, 2)}
