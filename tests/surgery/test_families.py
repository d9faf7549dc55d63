"""The proof a family of transformers gives before edits of depth are allowed on it.

What is compared with is built by transformers alone: a model of the class, from a config written by hand,
into whose blocks the wanted blocks of the original are loaded.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import Session, SurgeryError
from surgery.families import FAMILIES
from surgery.quiet import quiet
from surgery.registry import operation_named
from tests.surgery.contract import cached_equals_uncached, generated, loads_again, run, snapshot, untouched
from tests.zoo import ATLAS
from tests.zoo.families import DECODERS, ENCODERS, STAGES, TOWERS, TRANSLATORS, VARIANTS

SMALL = DECODERS | ENCODERS | TRANSLATORS | TOWERS | STAGES | VARIANTS
TWO_LISTS = TRANSLATORS | TOWERS | STAGES
CACHED = DECODERS | TRANSLATORS | VARIANTS
EDITS: dict[str, tuple[str, dict[str, Any], list[int]]] = {
    "remove-first": ("remove", {"targets": "[0]"}, [1, 2, 3]),
    "remove-middle": ("remove", {"targets": "[1]"}, [0, 2, 3]),
    "keep-every-second": ("keep", {"targets": "[::2]"}, [0, 2]),
    "move": ("move", {"targets": "[0]", "to": "[2]", "place": "after"}, [1, 2, 0, 3]),
    "swap": ("swap", {"target": "[0]", "other": "[3]"}, [3, 1, 2, 0]),
    "duplicate": ("duplicate", {"targets": "[1:3]"}, [0, 1, 2, 1, 2, 3]),
}
"""By name: the operation, its fields with paths from the block list on, the order of the blocks then."""

# A T5 generates only if its encoder has no fewer blocks than its decoder.
ROOM = {("t5", 0): {"num_decoder_layers": 2}, ("t5", -1): {"num_layers": 6}}

# A variant knows its blocks and their names as its family does; what is its own is the cache.
CASES = [
    *((name, 0, edit) for name in DECODERS | ENCODERS for edit in EDITS),
    *((name, 0, "remove-first") for name in TWO_LISTS),
    *((name, -1, edit) for name in TWO_LISTS for edit in ("remove-middle", "duplicate")),
    *((name, -1, "move") for name in TWO_LISTS if name != "resnet"),
    *((name, 0, "move") for name in VARIANTS),
    *((name, 0, "duplicate") for name in ("bart-decoder", "whisper-decoder")),
]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tensors this small are computed sooner by one thread than handed to two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small(name: str, which: int = 0, **more: Any) -> tuple[nn.Module, Any]:
    """The small model, with room for an edit of its first or last list, and inputs."""
    return SMALL[name](**ROOM.get((name, which), {}) | more)


def block_lists(model: nn.Module) -> list[str]:
    """The paths of the lists of four blocks, found without the engine."""
    lists = (nn.ModuleList, nn.Sequential)
    found = [path for path, module in model.named_modules() if isinstance(module, lists)]
    return [path for path in found if len(model.get_submodule(path)._modules) == 4]


def edited(session: Session, edit: str, blocks: str) -> None:
    """Carries out the edit on the blocks of that list."""
    operation, fields, _ = EDITS[edit]
    paths = {key: value if key == "place" else blocks + value for key, value in fields.items()}
    session.apply(operation_named(operation).from_fields(paths))


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


def lengths(model: Any, inputs: Any, what: str) -> list[int]:
    """How many of `hidden_states` or `attentions` each part of the model gives when asked for them."""
    with torch.no_grad():
        out = model(**inputs, **{f"output_{what}": True})
    parts = [out, *(value for value in out.values() if hasattr(value, "items"))]
    named = [(key, value) for part in parts for key, value in part.items()]
    return [len(value) for key, value in named if key.endswith(what) and isinstance(value, tuple)]


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
    with quiet():
        loaded, report = type(model).from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]
    assert torch.equal(run(loaded.eval(), inputs), run(model, inputs))


@pytest.mark.parametrize(("name", "which", "edit"), CASES)
def test_depth(name: str, which: int, edit: str, tmp_path: Path) -> None:
    """The edited model is the one made by hand: outputs, cache, hidden states, folder; and undo undoes it."""
    model, inputs = small(name, which)
    before = untouched(model)
    session = surgery.open(model, inputs)
    lengths(session.model, inputs, "hidden_states")  # transformers hooks the blocks it finds this first time
    original, blocks = run(session.model, inputs), block_lists(model)[which]
    made = by_hand(model, blocks, EDITS[edit][2])
    edited(session, edit, blocks)

    output = run(session.model, inputs)
    assert torch.equal(output, run(made, inputs))
    assert not torch.allclose(output, original, atol=1e-2)
    counted = lengths(session.model, inputs, "hidden_states")
    assert counted == lengths(made, inputs, "hidden_states") != []
    if name in CACHED:
        cached_equals_uncached(session.model, heard(name, inputs))
    loads_again(session, tmp_path / "out")
    if name == "swin" and edit != "duplicate":  # of which alone every second shifts as before
        manifest = json.loads((tmp_path / "out" / "surgery.json").read_text())
        assert re.match(r"swin\.encoder\.layers.*shift_size is", manifest["because"])
    else:
        loads_with_transformers_alone(session.model, inputs, tmp_path / "out")

    session.undo()
    assert torch.equal(run(session.model, inputs), original)
    assert untouched(model) == before
    assert torch.equal(run(model, inputs), original)


@pytest.mark.parametrize("name", [name for name in SMALL if name not in ("convnext", "resnet")])
def test_eager_attention(name: str) -> None:
    """The other implementation of attention, which masks in another way and can show itself."""
    model, inputs = small(name, attn_implementation="eager")
    session = surgery.open(model, inputs)
    lengths(session.model, inputs, "attentions")
    blocks = block_lists(model)[0]
    edited(session, "remove-first", blocks)
    made = by_hand(model, blocks, EDITS["remove-first"][2])
    assert made.config._attn_implementation == "eager"
    assert torch.equal(run(session.model, inputs), run(made, inputs))
    assert lengths(session.model, inputs, "attentions") == lengths(made, inputs, "attentions") != []
    if name in CACHED:
        cached_equals_uncached(session.model, heard(name, inputs))


@pytest.mark.parametrize("name", ["llama", "gemma3_text", "gpt2", "bert-decoder", *TRANSLATORS])
def test_beams_and_a_static_cache(name: str) -> None:
    """Beams reorder every slot of the cache, and a static one is made for as many as the config says."""
    model, inputs = small(name, -1)
    session = surgery.open(model, inputs)
    edited(session, "remove-first", block_lists(model)[-1])
    for beams in (1, 2):
        plain = generated(session.model, heard(name, inputs), num_beams=beams, use_cache=False)
        for cache in ("dynamic", "static"):
            settings = {"num_beams": beams, "cache_implementation": cache}
            assert torch.equal(generated(session.model, heard(name, inputs), **settings), plain)


@pytest.mark.parametrize("name", ["gemma3_text", "mixtral", "distilbert", "t5", "whisper", "resnet"])
def test_shared_copies(name: str, tmp_path: Path) -> None:
    """Each has its own slot in the cache; the folder, which transformers cannot load, keeps them shared."""
    model, inputs = small(name)
    session = surgery.open(model, inputs)
    blocks = block_lists(model)[0]
    session.duplicate(f"{blocks}[1:3]", shared=True)
    assert torch.equal(run(session.model, inputs), run(by_hand(model, blocks, [0, 1, 2, 1, 2, 3]), inputs))
    if name in CACHED:
        cached_equals_uncached(session.model, heard(name, inputs))
    loads_again(session, tmp_path / "out")


@pytest.mark.parametrize("name", SMALL)
def test_the_model_without_its_head(name: str) -> None:
    """Its blocks are found where they are then."""
    model, inputs = small(name)
    bare: Any = model.base_model
    session = surgery.open(bare, inputs)
    edited(session, "remove-first", block_lists(bare)[0])
    made: Any = by_hand(model, block_lists(model)[0], EDITS["remove-first"][2])
    with torch.no_grad():
        assert torch.equal(session.model(**inputs)[0], made.base_model(**inputs)[0])


@pytest.mark.parametrize("name", TWO_LISTS)
def test_both_lists_at_once(name: str) -> None:
    """One step may cut both, and what any config in the model says of either is right."""
    model, inputs = SMALL[name]()
    session = surgery.open(model, inputs)
    first, second = block_lists(model)
    session.remove(f"{first}[1], {second}[1:3]")
    made = by_hand(by_hand(model, first, [0, 2, 3]), second, [0, 3])
    assert torch.equal(run(session.model, inputs), run(made, inputs))
    assert configs(session.model) == configs(made)


@pytest.mark.parametrize("name", [name for name in TWO_LISTS if name != "resnet"])
def test_merged_and_tied_blocks(name: str, tmp_path: Path) -> None:
    """Blocks of each list become their mean or share parameters; untied they compute the same."""
    model, inputs = SMALL[name]()
    session, made = surgery.open(model, inputs), model
    for blocks in reversed(block_lists(model)):
        session.merge(f"{blocks}[0:2]")
        session.tie(f"{blocks}[1]", to=f"{blocks}[0]")
        mean, made = copy.deepcopy(model.get_submodule(f"{blocks}.0")), by_hand(made, blocks, [0, 2, 3])
        with torch.no_grad():
            for path, parameter in model.get_submodule(f"{blocks}.1").named_parameters():
                mean.get_parameter(path).add_(parameter).mul_(0.5)
        for place in (0, 1):
            load(made, f"{blocks}.{place}", mean)
    output = run(session.model, inputs)
    assert torch.equal(output, run(made, inputs))
    assert not torch.allclose(output, run(model, inputs), atol=1e-2)
    loads_again(session, tmp_path / "out")
    for blocks in block_lists(model):
        session.untie(f"{blocks}[1]")
    assert torch.equal(run(session.model, inputs), output)


def test_a_swin_that_ran_is_saved(tmp_path: Path) -> None:
    """A forward takes the shift from windows as large as the image; that is no difference."""
    model, inputs = small("swin", window_size=4)
    run(model, inputs)
    assert {block.shift_size for block in model.swin.encoder.layers[1].blocks} == {0}
    session = surgery.open(model, inputs)
    session.remove("swin.encoder.layers[0].blocks[1:3]")
    loads_again(session, tmp_path / "out")
    loads_with_transformers_alone(session.model, inputs, tmp_path / "out")
    fresh, _ = small("swin", window_size=4)
    other = surgery.open(fresh, inputs)
    assert other.fingerprint() == surgery.open(model, inputs).fingerprint()
    other.swap("swin.encoder.layers[1].blocks[0]", "swin.encoder.layers[1].blocks[1]")
    other.save(tmp_path / "other")  # before it ran
    assert "shift_size" in json.loads((tmp_path / "other" / "surgery.json").read_text())["because"]


@pytest.mark.parametrize("name", ["swin", "convnext"])
def test_rates_of_dropped_paths_need_the_script(name: str, tmp_path: Path) -> None:
    """They rise from block to block, so a model made anew from the config would train otherwise."""
    model, inputs = small(name, drop_path_rate=0.3)
    session = surgery.open(model, inputs)
    session.remove(f"{block_lists(model)[0]}[1:3]")
    loads_again(session, tmp_path / "out")
    assert "drop_path" in json.loads((tmp_path / "out" / "surgery.json").read_text())["because"]


@pytest.mark.parametrize(
    ("edit", "values"),
    [
        ("remove", {"targets": "[0]"}),
        ("keep", {"targets": "[1:3]"}),
        ("move", {"targets": "[0]", "to": "[2]"}),
        ("swap", {"target": "[1]", "other": "[0]"}),
        ("duplicate", {"targets": "[0]"}),
    ],
)
def test_the_block_that_leads_into_a_stage_stays_the_first(edit: str, values: dict[str, str]) -> None:
    """It changes width and resolution; the sentence names it, and nothing has changed."""
    session = surgery.open(*small("resnet"))
    before, stage = session.fingerprint(), "resnet.encoder.stages.1.layers"
    paths = {key: stage + value for key, value in values.items()}
    with pytest.raises(SurgeryError, match=rf"^{re.escape(stage)}\.0: .* Try: `{re.escape(stage)}\[1:\]`"):
        session.apply(operation_named(edit).from_fields(paths))
    assert session.fingerprint() == before


def test_merged_statistics_are_refused() -> None:
    """Those of the first block are not those of the merged one."""
    session = surgery.open(*small("resnet"))
    with pytest.raises(SurgeryError, match=r"stages\.1\.layers\.1\..*running_mean: .* running statistics"):
        session.merge("resnet.encoder.stages.1.layers[1:3]")


def test_a_t5_that_could_not_generate_is_refused() -> None:
    """Transformers gives its cache as many slots as the encoder has blocks; the sentence says what to do."""
    model, inputs = SMALL["t5"]()
    session = surgery.open(model, inputs)
    before = session.fingerprint()
    said = r"^decoder\.block: .* as encoder\.block has blocks; got 4 blocks, expected at most 3\."
    with pytest.raises(SurgeryError, match=said):
        session.remove("encoder.block[0]")
    with pytest.raises(SurgeryError, match="got 6 blocks, expected at most 4"):
        session.duplicate("decoder.block[1:3]")
    assert session.fingerprint() == before
    session.remove("decoder.block[0]")
    session.remove("encoder.block[0]")
    cached_equals_uncached(session.model, heard("t5", inputs))


@pytest.mark.parametrize(
    ("edit", "values", "order"),
    [
        ("keep", {"targets": "[2:4]"}, [2, 3]),
        ("swap", {"target": "[0]", "other": "[3]"}, [3, 1, 2, 0]),
        ("duplicate", {"targets": "[0]"}, [0, 0, 1, 2, 3]),
        ("duplicate", {"targets": "[0:2]", "shared": True}, [0, 1, 0, 1, 2, 3]),
    ],
)
def test_the_bias_of_positions_stays_with_the_first_block(
    edit: str, values: dict[str, Any], order: list[int]
) -> None:
    """A T5's modules, and the configs that its parts have, are those of the model made by hand."""
    model, inputs = small("t5")
    session, blocks = surgery.open(model, inputs), "encoder.block"
    before = snapshot(session.model)
    fields = {key: blocks + value if isinstance(value, str) else value for key, value in values.items()}
    session.apply(operation_named(edit).from_fields(fields))
    made: Any = by_hand(model, blocks, order)
    bias = model.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight
    first = session.model.encoder.block[0].layer[0].SelfAttention
    assert first.relative_attention_bias.weight.data_ptr() == bias.data_ptr()
    assert list(session.model.state_dict()) == list(made.state_dict())
    assert torch.equal(run(session.model, inputs), run(made, inputs))
    assert configs(session.model) == configs(made)
    flags = [
        block.layer[0].SelfAttention.has_relative_attention_bias for block in session.model.encoder.block
    ]
    assert flags == [True] + [False] * (len(order) - 1)
    session.undo()
    assert snapshot(session.model) == before


def test_the_heads_that_tell_when_a_word_was_said_follow_their_blocks() -> None:
    """Whisper's alignment heads are pairs of block and head; the opened model's stay."""
    model, inputs = SMALL["whisper"]()
    settings: Any = model.generation_config
    settings.alignment_heads = [[0, 1], [1, 2], [3, 0], [3, 3]]
    session = surgery.open(model, inputs)
    session.remove("model.decoder.layers[1]")
    mine: Any = session.model
    assert mine.generation_config.alignment_heads == [[0, 1], [2, 0], [2, 3]]
    session.duplicate("model.decoder.layers[2]")
    assert mine.generation_config.alignment_heads == [[0, 1], [2, 0], [3, 0], [2, 3], [3, 3]]
    session.move("model.decoder.layers[0]", to="model.decoder.layers[1]", place="after")
    assert mine.generation_config.alignment_heads == [[1, 1], [2, 0], [3, 0], [2, 3], [3, 3]]
    session.goto(0)
    assert (
        mine.generation_config.alignment_heads == settings.alignment_heads == [[0, 1], [1, 2], [3, 0], [3, 3]]
    )


def test_every_family_is_proved() -> None:
    """None is in the table without a model here."""
    assert {*DECODERS, *ENCODERS, *TRANSLATORS, *TOWERS, *STAGES} == set(FAMILIES)
    assert all(SMALL[name]()[0].config.model_type == name for name in FAMILIES)


def test_a_family_that_is_not_proved_is_refused_by_name() -> None:
    """With the names of those that are."""
    session = surgery.open(*ATLAS["mamba"]())
    with pytest.raises(SurgeryError, match=r"'mamba'.*gemma2"):
        session.remove("backbone.layers[0]")
