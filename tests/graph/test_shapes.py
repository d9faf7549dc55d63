"""Shapes of models: stages, skips, towers and rows of experts, as they are drawn."""

import pytest
import torch
from torch import Tensor, nn

from graph import Flow, extract, inside, overview
from graph.stages import given, said
from tests.graph.test_flow import edges, titles
from tests.zoo import (
    bart,
    clip,
    convnext,
    llama,
    mixtral,
    mixtral_eager,
    python_routed,
    qwen_moe,
    resnet18,
    swin,
    t5,
    unet,
    whisper,
)
from tests.zoo.experts import mixture


def gives(flow: Flow) -> dict[str, str]:
    """By path, what is said of what a node gives."""
    return {node.path: node.gives for node in flow.nodes if node.gives}


def strips(flow: Flow) -> dict[str, int]:
    """Strips by their container, and how many cells they have."""
    return {node.path: len(node.paths) for node in flow.nodes if node.kind == "strip"}


def test_stages_are_strips_that_say_channels_and_sides() -> None:
    """Also those whose first block widens and so is not alike to the rest; norms say nothing again."""
    flow = overview(extract(*resnet18()))
    assert strips(flow) == {"layer1": 2, "layer2": 2, "layer3": 2, "layer4": 2}
    assert gives(flow) == {
        "conv1": "4 × 16 × 16",
        "maxpool": "4 × 8 × 8",
        "layer1": "4 × 8 × 8",
        "layer2": "8 × 4 × 4",
        "layer3": "16 × 2 × 2",
        "layer4": "32 × 1 × 1",
    }


def test_stages_in_a_list_stay_apart() -> None:
    """Stages of one class are no blocks of one strip: each gives another map."""
    flow = overview(extract(*convnext()))
    assert strips(flow) == {"convnext.encoder.stages.1.layers": 2, "convnext.encoder.stages.2.layers": 2}
    said_of = gives(flow)
    assert said_of["convnext.encoder.stages.0"] == "8 × 8 × 8"
    assert said_of["convnext.encoder.stages.2.layers"] == "16 × 2 × 2"
    assert said_of["convnext.encoder.stages.3"] == "24 × 1 × 1"


def test_hierarchical_transformer_says_tokens() -> None:
    """Swin's stages give sequences: fewer positions, and wider ones."""
    flow = overview(extract(*swin()))
    assert strips(flow) == {"swin.encoder.layers.0.blocks": 2, "swin.encoder.layers.1.blocks": 4}
    assert gives(flow)["swin.encoder.layers.0.blocks"] == "64 tokens × 16"
    assert gives(flow)["swin.encoder.layers.1.blocks"] == "16 tokens × 32"


@pytest.mark.parametrize("made", [llama, t5, bart, whisper, clip])
def test_where_nothing_narrows_nothing_is_said(made) -> None:  # type: ignore[no-untyped-def]
    """A decoder's width is the same from end to end, and so is each tower's."""
    assert gives(overview(extract(*made()))) == {}


def test_unet_reads_from_left_to_right_with_skips() -> None:
    """Lists whose parts run in turns are drawn part by part; what goes round others is a skip."""
    flow = overview(extract(*unet()))
    assert edges(flow) == [
        "input -> 0",
        "0 -> 1",
        "1 -> middle",
        "middle -> 02",
        "1 ~> 03",
        "02 -> 03",
        "03 -> 12",
        "0 ~> 13",
        "12 -> 13",
        "13 -> out",
        "out -> output",
    ]
    assert gives(flow)["down.1"] == gives(flow)["up.0"] == "8 × 8 × 8"


def test_encoder_feeds_decoder_by_one_edge() -> None:
    """T5's first blocks are in the strips of the rest; the encoder's states go to the decoder, not out."""
    flow = overview(extract(*t5()))
    assert strips(flow) == {"encoder.block": 3, "decoder.block": 3}
    assert edges(flow) == [
        "input -> embed_tokens",
        "embed_tokens -> block",
        "block -> final_layer_norm",
        "input -> embed_tokens2",
        "embed_tokens2 -> block2",
        "final_layer_norm -> block2",
        "block2 -> final_layer_norm2",
        "final_layer_norm2 -> lm_head",
        "lm_head -> output",
    ]


def test_maps_that_are_returned_on_the_way_are_drawn_quietly() -> None:
    """A pyramid's levels are its result; hidden states beside the result are not."""

    class Pyramid(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fine, self.coarse = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 8, 3, 2)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            fine = self.fine(x)
            return fine, self.coarse(fine)

    flow = overview(extract(Pyramid(), (torch.zeros(1, 3, 12, 12),)))
    assert edges(flow) == [
        "input -> fine",
        "fine -> coarse",
        "fine ~> output",
        "coarse -> output",
    ]


def test_first_block_without_experts_is_in_the_strip() -> None:
    """One strip for the depth of the model, whatever its blocks hold."""
    assert strips(overview(extract(*qwen_moe()))) == {"model.layers": 3}


@pytest.mark.parametrize("made", [mixtral, mixtral_eager])
def test_fused_experts_say_how_many_they_are(made) -> None:  # type: ignore[no-untyped-def]
    """Two tensors with a slice for each expert are one card, in a loop or in groups."""
    flow = inside(extract(*made()), "model.layers.0.mlp")
    assert titles(flow) == ["input", "gate", "experts", "output"]
    assert flow.nodes[2].subtitle == "4 experts · 18.4 k"


def test_experts_that_are_modules_are_one_row() -> None:
    """The router weighs them in one product and one sum, not in one for each."""
    flow = inside(extract(*mixture()), "blocks.0")
    assert strips(flow) == {"blocks.0.experts": 4}
    assert edges(flow) == [
        "input -> router",
        "router -> softmax",
        "input -> experts",
        "softmax -> ×",
        "experts -> ×",
        "input ~> +",
        "× -> +",
        "+ -> output",
    ]


def test_opaque_mixture_shows_what_it_holds() -> None:
    """Nobody saw what flows in it: the router and the row of experts stand there without edges."""
    flow = inside(extract(*python_routed()), "mixture")
    assert titles(flow) == ["router", "experts"]
    assert strips(flow) == {"mixture.experts": 3}
    assert flow.edges == ()


def test_channels_by_length_are_no_merged_tokens() -> None:
    """A sequence that is turned round has not become shorter and wider."""
    assert said({"one": (32, 10), "two": (10, 32)}, [("one", "two")]) == {}
    assert said({"one": (64, 16), "two": (16, 32)}, [("one", "two")])["two"] == "16 tokens × 32"


def test_given_is_what_the_first_run_gives_last() -> None:
    """Of leaves and of what holds them, without the batch; ids are no shape that is given."""
    shapes = given(extract(*llama()))
    assert shapes["model.layers.0"] == shapes["model.norm"] == shapes["model.embed_tokens"]
    assert len(shapes["model.norm"]) == 2
