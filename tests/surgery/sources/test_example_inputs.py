"""Example inputs made from configs: the model itself runs with them, and so does the trace."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import surgery
from graph.extract import extract
from surgery.families import model_type
from surgery.sources.example_inputs import LENGTH, example_inputs
from surgery.sources.example_inputs.image import sides
from tests.surgery.states import run
from tests.zoo import ATLAS
from tests.zoo.building import VOCABULARY, built

TINY = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
TEXT = {**TINY, "vocab_size": VOCABULARY, "max_position_embeddings": 64}
PICTURE = {**TINY, "image_size": 16, "patch_size": 8}


def llava() -> nn.Module:
    """A language model that is shown images: 4 tokens each."""
    from transformers import CLIPVisionConfig, LlamaConfig

    vision, text = CLIPVisionConfig(**PICTURE), LlamaConfig(**TEXT, num_key_value_heads=2)
    return built(
        "LlavaConfig",
        "LlavaForConditionalGeneration",
        vision_config=vision,
        text_config=text,
        image_token_index=5,
        vision_feature_layer=-1,
    )


def wav2vec2(model_class: str = "Wav2Vec2ForCTC") -> nn.Module:
    """Waves through convolutions."""
    small = {"conv_dim": (8, 8), "conv_stride": (5, 4), "conv_kernel": (10, 8), "num_feat_extract_layers": 2}
    return built(
        "Wav2Vec2Config",
        model_class,
        **TINY,
        **small,
        vocab_size=VOCABULARY,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
    )


def clap() -> nn.Module:
    """Sound as a picture beside text."""
    audio = {
        "window_size": 4, "spec_size": 32, "num_mel_bins": 16, "depths": [1, 1],
        "num_attention_heads": [1, 2], "hidden_size": 32, "patch_embeds_hidden_size": 16,
        "projection_dim": 8, "enable_fusion": False,
    }  # fmt: skip
    return built(
        "ClapConfig",
        "ClapModel",
        audio_config=audio,
        text_config={**TEXT, "projection_dim": 8},
        projection_dim=8,
    )


def spectrogram() -> nn.Module:
    """A transformer over a spectrum of a given length."""
    return built(
        "ASTConfig", "ASTModel", **TINY, num_mel_bins=16, max_length=32, patch_size=8,
        time_stride=8, frequency_stride=8,
    )  # fmt: skip


def codec() -> nn.Module:
    """A codec of waves."""
    return built(
        "DacConfig", "DacModel", encoder_hidden_size=4, downsampling_ratios=[2, 4], decoder_hidden_size=16,
        upsampling_ratios=[4, 2], codebook_size=8, codebook_dim=2, n_codebooks=2,
    )  # fmt: skip


def videos() -> nn.Module:
    """A transformer over frames."""
    return built("TimesformerConfig", "TimesformerModel", **PICTURE, num_frames=2)


def speech_to_text() -> nn.Module:
    """An encoder of (frames, features) and a decoder."""
    return built(
        "Speech2TextConfig", "Speech2TextForConditionalGeneration", vocab_size=VOCABULARY, d_model=16,
        encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=24, decoder_ffn_dim=24, input_feat_per_channel=12, conv_channels=16,
        max_source_positions=64, max_target_positions=16,
    )  # fmt: skip


def series() -> nn.Module:
    """A transformer over patches of a series."""
    return built(
        "PatchTSTConfig", "PatchTSTModel", num_input_channels=2, context_length=8, patch_length=2, d_model=16,
        num_hidden_layers=1, num_attention_heads=2, ffn_dim=24,
    )  # fmt: skip


def patches() -> nn.Module:
    """An encoder of an image that comes cut up, and a decoder."""
    vision = {"hidden_size": 16, "d_ff": 24, "d_kv": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
              "patch_embed_hidden_size": 48, "seq_len": 64}  # fmt: skip
    text = {
        "vocab_size": VOCABULARY,
        "hidden_size": 16,
        "d_ff": 24,
        "d_kv": 8,
        "num_layers": 1,
        "num_heads": 2,
    }
    return built(
        "Pix2StructConfig", "Pix2StructForConditionalGeneration", vision_config=vision, text_config=text
    )


OWN = (llava, wav2vec2, clap, spectrogram, codec, videos, speech_to_text, series, patches)
MODELS = {made.__name__: made for made in OWN}
FAMILIES = [
    name for name in ATLAS if name not in ("python_routed",) and model_type(ATLAS[name]()[0]) is not None
]


def model_named(name: str) -> nn.Module:
    """One of ours or of the atlas."""
    return MODELS[name]() if name in MODELS else ATLAS[name]()[0]


@pytest.mark.parametrize("name", [*FAMILIES, *MODELS])
def test_a_model_of_transformers_runs_with_its_example(name: str) -> None:
    """With real values, so no id is out of range and no width is wrong; and the trace has no problem."""
    model = model_named(name)
    session = surgery.open(model)
    assert session.opened.guessed and session.opened.inputs is not None
    run(model, session.opened.inputs)
    assert session.graph.problem is None and session.graph.calls
    assert session.note is None


def test_there_are_twenty_families_and_more() -> None:
    """The atlas shrinking would make the test above say less than it seems."""
    assert len(FAMILIES) + len(MODELS) >= 20


@pytest.mark.parametrize("name", ["llama", "qwen2", "gpt2"])
def test_a_decoder_gets_token_ids(name: str) -> None:
    """One row of ids below the vocabulary, as long as the positions allow, without a cache."""
    inputs = surgery.open(ATLAS[name]()[0]).opened.inputs
    assert inputs["input_ids"].shape == (1, min(64, LENGTH))
    assert inputs["input_ids"].dtype == torch.int64
    assert int(inputs["input_ids"].min()) >= 0 and int(inputs["input_ids"].max()) < VOCABULARY
    assert inputs["use_cache"] is False


SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "roberta": {"input_ids": (1, 14)},  # 16 positions, two of them for padding
    "bart": {"input_ids": (1, 16), "decoder_input_ids": (1, 16)},
    "vit": {"pixel_values": (1, 3, 16, 16)},
    "clip": {"input_ids": (1, 16), "pixel_values": (1, 3, 16, 16)},
    "whisper": {"input_features": (1, 8, 20), "decoder_input_ids": (1, 16)},
    "wav2vec2": {"input_values": (1, 16_000)},
    "spectrogram": {"input_values": (1, 32, 16)},
    "speech_to_text": {"input_features": (1, 128, 12), "decoder_input_ids": (1, 16)},
    "codec": {"input_values": (1, 1, 16_000)},
    "clap": {"input_ids": (1, 62), "input_features": (1, 1, 64, 16)},
    "videos": {"pixel_values": (1, 2, 3, 16, 16)},
    "series": {"past_values": (1, 8, 2)},
    "patches": {"flattened_patches": (1, 64, 50), "decoder_input_ids": (1, 128)},
    "llava": {"input_ids": (1, 64), "pixel_values": (1, 3, 16, 16)},
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_shapes_are_the_configs(name: str) -> None:
    """Sizes, channels, mels and positions are those the config says; at most LENGTH of text."""
    inputs = example_inputs(model_named(name)).inputs
    assert inputs is not None
    shapes = {key: tuple(value.shape) for key, value in inputs.items() if isinstance(value, torch.Tensor)}
    assert shapes == SHAPES[name]


def test_an_image_has_a_token_for_each_of_its_features() -> None:
    """What the vision tower gives is put where those tokens stand, so the tower is called; text has none."""
    model = llava()
    inputs = surgery.open(model).opened.inputs
    assert inputs["input_ids"][0, :4].tolist() == [5] * 4
    assert 5 not in inputs["input_ids"][0, 4:]
    called = {call.module for call in surgery.open(model).graph.calls}
    assert any(path.startswith("model.vision_tower") for path in called)


def test_text_alone_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where features cannot be counted a language model is given text, and the note says so."""

    def absent(*_: object, **__: object) -> None:
        raise ValueError("wants more than pixels")

    model = llava()
    monkeypatch.setattr(type(model), "get_image_features", absent)
    session = surgery.open(model)
    assert list(session.opened.inputs) == ["input_ids"]
    assert session.graph.problem is None
    assert "what takes pixel_values is not called" in str(session.note)
    assert 'inputs={"input_ids": ..., "pixel_values": ...}' in str(session.note)


def test_what_no_table_knows_is_named() -> None:
    """A parameter that nothing is known of leaves the model untraced, and the sentence says which it is."""
    model = ATLAS["bert"]()[0]

    class Scored(type(model)):  # type: ignore[misc]
        def forward(self, input_ids: Any, scores: Any, use_cache: bool = False) -> Any:
            return super().forward(input_ids)

    model.__class__ = Scored
    session = surgery.open(model)
    assert session.opened.inputs is None and session.graph.calls == ()
    assert "the config does not say what scores looks like" in str(session.note)
    assert '`surgery.open(model, inputs={"input_ids": ..., "scores": ...})`' in str(session.note)


def test_a_config_that_is_not_as_expected_is_no_crash() -> None:
    """A field of another kind than it has anywhere else ends in a note."""
    model: Any = ATLAS["vit"]()[0]
    vars(model.config)["image_size"] = "wide"  # past the checks of transformers, as classes of others do
    assert surgery.open(model).opened.inputs["pixel_values"].shape == (1, 3, 224, 224)
    vars(model.config)["image_size"] = ["wide"]
    session = surgery.open(model)
    assert session.opened.inputs is None and "its config is not as expected" in str(session.note)


def test_a_forward_that_fails_with_a_guess_says_so() -> None:
    """The problem stays in the graph; the note says that the inputs may be at fault, but for own ones."""
    model: Any = ATLAS["vit"]()[0]
    model.config.image_size = 24  # not what it was built with
    session = surgery.open(model)
    assert session.graph.problem is not None
    assert "the example inputs made here, which may be at fault" in str(session.note)
    assert 'inputs={"pixel_values": ...}' in str(session.note)
    own = surgery.open(model, session.opened.inputs)
    assert own.graph.problem is not None and own.note is None


def test_own_inputs_are_kept() -> None:
    """What the caller gave is what is traced."""
    model, inputs = ATLAS["llama"]()
    session = surgery.open(model, inputs)
    assert session.opened.inputs is inputs and not session.opened.guessed
    assert session.graph.tokens == inputs["input_ids"].numel()


def test_making_an_example_leaves_the_model_and_the_random_state_alone() -> None:
    """Counting the features of an image runs a copy on fake tensors."""
    model = llava()
    before, state = {name: id(module) for name, module in model.named_modules()}, torch.get_rng_state()
    example_inputs(model)
    assert {name: id(module) for name, module in model.named_modules()} == before
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(parameter.is_meta for parameter in model.parameters())


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (32, (32, 32)),
        ([32, 48], (32, 48)),
        ((64,), (64, 64)),
        ((3, 32, 48), (32, 48)),
        ({"height": 32, "width": 48}, (32, 48)),
        ({"shortest_edge": 32}, (32, 224)),
        (None, (224, 224)),
    ],
)
def test_sides_are_read_in_every_way_configs_write_them(size: Any, expected: tuple[int, int]) -> None:
    """A number, a pair, with channels, or by name."""
    assert sides(size) == expected


def test_the_graph_alone_takes_the_example() -> None:
    """Nothing in it needs a session."""
    model = ATLAS["bart"]()[0]
    inputs = example_inputs(model).inputs
    assert inputs is not None and extract(model, inputs).problem is None
