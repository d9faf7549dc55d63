"""The zoo: small models for tests, each with example inputs and a fixed seed.

Every function returns (model in eval mode, inputs as keyword arguments or a tuple).
"""

from tests.zoo.building import Maker
from tests.zoo.convolutions import resnet18, unet
from tests.zoo.decoders import deepseek, gemma3, gpt2, llama, mamba, neox, qwen2, qwen3
from tests.zoo.encoders import bart, bert, roberta, t5
from tests.zoo.experts import mixtral, mixtral_eager, python_routed, qwen_moe
from tests.zoo.multimodal import clip, whisper
from tests.zoo.plain import cnn, encoder, nested_lists, reused, siamese, tied_head
from tests.zoo.shapes import dataclasses, dictionaries, hypernetwork, optional_inputs, recurrent
from tests.zoo.vision import convnext, detr, resnet, sam, swin, vit


def _named(*makers: Maker) -> dict[str, Maker]:
    return {made.__name__: made for made in makers}


# What the contract of operations runs over; it is dear, so new models go to the atlas alone.
ZOO = _named(llama, qwen2, gpt2, tied_head, siamese, cnn, reused, encoder, nested_lists)

# Every model there is: what the graph is tested on.
ATLAS = ZOO | _named(
    *(qwen3, gemma3, neox, deepseek, mamba),
    *(mixtral, mixtral_eager, qwen_moe, python_routed),
    *(bert, roberta, t5, bart),
    *(vit, swin, convnext, resnet, detr, sam),
    *(clip, whisper),
    *(resnet18, unet),
    *(recurrent, hypernetwork, dictionaries, dataclasses, optional_inputs),
)
