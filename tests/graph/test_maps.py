"""Where the channels of maps lie, told by the layers that make and take them."""

import torch
from torch import Tensor, nn

from graph import extract, overview
from graph.maps import channels
from graph.stages import drawn, given
from tests.graph.traced import traced


class Turned(nn.Module):
    """A convolution, a block on channels behind the sides, and, if asked for, a convolution at the end."""

    def __init__(self, side: int, back: bool = False) -> None:
        super().__init__()
        self.side, self.back = side, back
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.LayerNorm(8)
        self.wide = nn.Linear(8, 12)
        self.head = nn.Conv2d(12, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.wide(torch.relu(self.norm(self.stem(x).permute(0, 2, 3, 1))))
        return self.head(x.permute(0, 3, 1, 2)) if self.back else x

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """What is drawn of each of its modules."""
        return drawn(extract(self, (torch.zeros(1, 3, self.side, self.side),)))


def test_channels_behind_the_sides_are_said_before_them() -> None:
    """All maps read alike, however they lie in memory."""
    assert Turned(16).shapes() == {
        "": (12, 16, 16),
        "stem": (8, 16, 16),
        "norm": (8, 16, 16),
        "wide": (12, 16, 16),
    }


def test_a_map_as_wide_as_it_is_deep_is_told_by_its_takers() -> None:
    """Sizes say nothing where all are eight; the linear layer that takes the map does."""
    graph = extract(Turned(8), (torch.zeros(1, 3, 8, 8),))
    where = channels(graph)
    assert [where[call.id] for call in graph.calls] == ["first", "last", "last", "last", "last"]


def test_a_convolution_behind_turns_it_back() -> None:
    """What is turned twice is again as it was."""
    shapes = Turned(8, back=True).shapes()
    assert shapes["head"] == shapes[""] == (5, 8, 8)
    assert shapes["wide"] == (12, 8, 8)


def test_what_no_layer_tells_is_not_said() -> None:
    """Sides and heads of attention, boxes of points, bare arithmetic: nobody knows what is what."""

    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3, 1, 1))
            self.mix = nn.Linear(16, 16)

        def forward(self, x: Tensor) -> Tensor:
            return self.mix(x * self.scale)

    graph = extract(Bare(), (torch.zeros(1, 3, 16, 16),))
    assert given(graph)["mix"] == (3, 16, 16)
    assert channels(graph) == {}
    assert drawn(graph) == {}


def test_heads_of_attention_are_no_maps() -> None:
    """Norms over the heads of a decoder give four dimensions, of which none is a side."""
    assert channels(traced("qwen3").graph) == {}


def test_segmentation_says_its_maps_alike_and_its_points_not_at_all() -> None:
    """SAM's encoder has channels behind the sides, its neck before them; the decoder's tokens are no map."""
    graph = traced("sam").graph
    said = {node.path: node.gives for node in overview(graph).nodes if node.gives}
    assert said == {
        "vision_encoder.patch_embed": "16 × 8 × 8",
        "vision_encoder.layers": "16 × 8 × 8",
        "vision_encoder.neck": "8 × 8 × 8",
        "mask_decoder.upscale_conv1": "2 × 16 × 16",
        "mask_decoder.upscale_conv2": "1 × 32 × 32",
    }


def test_pooling_and_norms_over_channels_tell_too() -> None:
    """Without a convolution: a pooled map has its channels before the sides, and what led to it as well."""
    model = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2), nn.GELU(), nn.GroupNorm(1, 3))
    assert drawn(extract(model, (torch.zeros(1, 3, 8, 8),))) == {
        "": (3, 4, 4),
        "0": (3, 8, 8),
        "1": (3, 4, 4),
        "2": (3, 4, 4),
        "3": (3, 4, 4),
    }


def test_a_sound_is_said_as_positions_and_their_width() -> None:
    """A convolution over one side has channels before it; a linear layer behind it reads positions."""

    class Sound(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv1d(1, 6, 4, stride=2)
            self.more = nn.Conv1d(6, 8, 4, stride=2)
            self.wide = nn.Linear(8, 10)

        def forward(self, x: Tensor) -> Tensor:
            return self.wide(self.more(self.stem(x)).transpose(1, 2))

    shapes = drawn(extract(Sound(), (torch.zeros(1, 1, 64),)))
    assert shapes == {"stem": (31, 6), "more": (14, 8), "wide": (14, 10), "": (14, 10)}
