from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery.demo.digits import digits
from surgery.demo.text import topics
from surgery.errors import SurgeryError
from surgery.evaluate import default_examples, demo_text, noise_like
from surgery.evaluate.data.vocabulary import positions
from tests.surgery.evaluate.data.test_windows import Words
from tests.zoo import clip, detr, whisper
from tests.zoo.families import ENCODERS


class Configured(nn.Module):
    """A module with a config of the given fields and nothing else."""

    def __init__(self, **fields: int) -> None:
        super().__init__()
        self.config = type("Config", (), fields)()


def test_demo_bytes() -> None:
    """Without a tokenizer the windows are the held-out manual's bytes, each topic a document."""
    examples, texts = demo_text(), [text.encode() for text in topics("held-out")]
    ids, documents = examples.inputs["input_ids"], examples.documents
    assert documents is not None
    for number, text in enumerate(texts):
        rows = documents == number
        real = ids[rows][examples.inputs["attention_mask"][rows].bool()]
        assert bytes(real.tolist()) == text
    assert examples.label == "Python's manual, held out: not your data"


def test_default_for_bytes() -> None:
    """A model of 256 tokens without tokenizer gets the manual's bytes in windows it has positions for."""
    examples = default_examples(Configured(vocab_size=256, max_position_embeddings=64))
    assert (examples.name, examples.inputs["input_ids"].shape[1]) == ("Python's manual, held out", 64)


def test_default_for_unknown_tokens() -> None:
    """Another vocabulary without tokenizer gets random tokens below it, labelled as what they are."""
    examples = default_examples(Configured(vocab_size=1000))
    assert examples.label == "random tokens: shows that the model runs, not how well"
    assert (examples.noise, 990 < int(examples.inputs["input_ids"].max()) < 1000) == (True, True)


def test_default_for_images() -> None:
    """A model of images gets noise of its example's shape, labelled as what it is."""
    examples = default_examples(nn.Linear(2, 2), inputs=torch.zeros(1, 3, 8, 8))
    (images,) = examples.inputs.values()
    assert examples.label == "random images: shows that the model runs, not how well"
    assert images.shape == (64, 3, 8, 8) and 0.9 < float(images.std()) < 1.1
    assert examples.noise and examples.labels is None


@pytest.mark.parametrize("make", [clip, whisper, detr], ids=lambda make: make.__name__)
def test_default_for_more_than_text(make: Any) -> None:
    """A vocabulary in the config is no reason to show text alone to what wants images or sound."""
    session = surgery.open(*make())
    report = session.evaluate(0.0)
    assert report.unchanged and report.data.startswith("random ")


def test_noise_keeps_what_is_no_number() -> None:
    """Beside noise, masks and ids are those of the example."""
    examples = noise_like({"pixels": torch.zeros(1, 2, 3), "where": torch.tensor([[4, 5]])})
    assert {(4, 5)} == set(map(tuple, examples.inputs["where"].tolist()))
    assert not torch.equal(examples.inputs["pixels"][0], examples.inputs["pixels"][1])


@pytest.mark.parametrize("name", ["demo-cnn", "demo-vit"])
def test_default_for_the_demonstration_classifiers(name: str) -> None:
    """The digits they never saw, with labels, said not to be the user's data."""
    session = surgery.open(name)
    examples = session.evaluator().examples
    images, labels = digits(held_out=True)
    (held,) = examples.inputs.values()
    assert examples.labels is not None and torch.equal(held, images) and torch.equal(examples.labels, labels)
    assert examples.label == "scikit-learn's digits, held out: not your data"


def test_default_without_a_clue() -> None:
    """A module that does not say what it takes is refused with the way out."""
    with pytest.raises(SurgeryError, match=r"which examples Linear takes\. Try: .*token_windows"):
        default_examples(nn.Linear(2, 2))


def test_foreign_tokenizer() -> None:
    """A tokenizer with tokens the model does not have is refused."""
    with pytest.raises(SurgeryError, match="the tokenizer does not belong to this model; got token"):
        default_examples(Configured(vocab_size=300), Words())


def test_positions_behind_the_padding_token() -> None:
    """RoBERTa numbers them from there: the longest window that runs is so much shorter."""
    model, _ = ENCODERS["roberta"]()
    room = positions(model)
    assert room is not None and room == model.config.max_position_embeddings - model.config.pad_token_id - 1
    text = torch.full((1, room), 5)
    assert model(input_ids=text).logits.shape[1] == room
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, room + 1), 5))
    assert default_examples(model).inputs["input_ids"].shape[1] <= room
