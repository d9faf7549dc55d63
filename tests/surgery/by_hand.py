"""Models of the families, edited by hand: what transformers alone makes of a config written for it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests.surgery.states import loaded_alone, run
from tests.zoo.families import DECODERS, ENCODERS, STAGES, TOWERS, TRANSLATORS, VARIANTS

SMALL = DECODERS | ENCODERS | TRANSLATORS | TOWERS | STAGES | VARIANTS
TWO_LISTS = TRANSLATORS | TOWERS | STAGES
CACHED = DECODERS | TRANSLATORS | VARIANTS
# A T5 generates only if its encoder has no fewer blocks than its decoder.
ROOM = {("t5", 0): {"num_decoder_layers": 2}, ("t5", -1): {"num_layers": 6}}


def small(name: str, which: int = 0, **more: Any) -> tuple[nn.Module, Any]:
    """The small model, with room for an edit of its first or last list, and inputs."""
    return SMALL[name](**ROOM.get((name, which), {}) | more)


def block_lists(model: nn.Module) -> list[str]:
    """The paths of the lists of four blocks, found without the engine."""
    lists = (nn.ModuleList, nn.Sequential)
    found = [path for path, module in model.named_modules() if isinstance(module, lists)]
    return [path for path in found if len(model.get_submodule(path)._modules) == 4]


def by_hand(model: nn.Module, blocks: str, order: list[int]) -> nn.Module:
    """A model of the class with these of the blocks of `model`, made without the engine."""
    source: Any = model
    config = copy.deepcopy(source.config)
    if "layer_types" in config.to_dict():
        config.layer_types = [config.layer_types[index] for index in order]
    say(config, blocks, len(order))
    made = type(model)(config).eval()
    around = {key: value for key, value in model.state_dict().items() if not key.startswith(f"{blocks}.")}
    report = made.load_state_dict(around, strict=False)
    assert not report.unexpected_keys
    assert all(key.startswith(f"{blocks}.") for key in report.missing_keys)
    for place, index in enumerate(order):
        load(made, f"{blocks}.{place}", model.get_submodule(f"{blocks}.{index}"))
    for path, module in model.named_modules():
        if hasattr(module, "shift_size") and not path.startswith(f"{blocks}."):
            made.get_submodule(path).shift_size = module.shift_size
    if "t5" in config.model_type:  # its first block makes the bias of positions for all
        bias = f"{blocks}.0.layer.0.SelfAttention.relative_attention_bias"
        made.get_submodule(bias).load_state_dict(model.get_submodule(bias).state_dict())
    return made


def say(config: Any, blocks: str, count: int) -> None:
    """Writes into the config how many blocks there are, as its documentation has it."""
    if hasattr(config, "decoder_layers"):
        name = "encoder_layers" if "encoder" in blocks else "decoder_layers"
        setattr(config, name, count)
        if not config.is_encoder_decoder:
            config.encoder_layers = count  # by which transformers makes the cache
    elif hasattr(config, "num_decoder_layers"):
        setattr(config, "num_layers" if "encoder" in blocks else "num_decoder_layers", count)
    elif hasattr(config, "vision_config"):
        tower = config.text_config if blocks.startswith("text") else config.vision_config
        tower.num_hidden_layers = count
    elif hasattr(config, "depths"):
        stage = int(blocks.split(".")[-2])
        config.depths = [count if place == stage else depth for place, depth in enumerate(config.depths)]
    else:
        config.num_hidden_layers = count


def load(made: nn.Module, path: str, block: nn.Module) -> None:
    """Gives the block at `path` what is in the other one; of Swin's, every second shifts its windows."""
    if hasattr(block, "shift_size"):
        made.get_submodule(path).shift_size = block.shift_size
    state = {key: value for key, value in block.state_dict().items() if "relative_attention" not in key}
    report = made.get_submodule(path).load_state_dict(state, strict=False)
    assert not report.unexpected_keys
    assert all("relative_attention" in key for key in report.missing_keys)


def configs(model: nn.Module) -> dict[str, Any]:
    """What the config of each module that has one says: parts of a T5 have their own."""
    found = {path: module.__dict__.get("config") for path, module in model.named_modules()}
    return {path: config.to_dict() for path, config in found.items() if config is not None}


def heard(name: str, inputs: Any) -> Any:
    """What the encoder gets, if there is one beside a decoder."""
    if name not in TRANSLATORS:
        return None
    return {key: value for key, value in inputs.items() if not key.startswith("decoder")}


def loads_with_transformers_alone(model: Any, inputs: Any, folder: Path) -> None:
    """`from_pretrained` of the class finds every tensor and nothing else, and gives the same outputs."""
    assert (folder / "config.json").is_file()  # without it transformers would make a model of full size
    assert torch.equal(run(loaded_alone(model, folder), inputs), run(model, inputs))
