"""What a measure runs on when nobody gave data: never what evaluations hold out."""

from __future__ import annotations

import pickle

import torch
from torch import nn

import surgery
from surgery.calibration.default import ManualText
from surgery.demo.digits import is_held_out
from surgery.demo.text import topics
from tests.surgery.calibration.models import text
from tests.zoo import ATLAS


def test_text_is_of_topics_that_are_not_held_out() -> None:
    """Each window of the demonstration's data is part of a topic to train on, and no paragraph held out."""
    session = surgery.open("demo")
    trained = "\0".join(topics("train"))
    held_out = {line.strip() for text in topics("held-out") for line in text.split("\n\n")}
    assert len(session.data) > 100
    for batch in session.data[::4]:
        assert batch["input_ids"].shape[1] == 256
        mask = batch.get("attention_mask", torch.ones_like(batch["input_ids"])).bool()
        for ids, real in zip(batch["input_ids"], mask, strict=True):
            said = bytes(ids[real].tolist()).decode(errors="ignore")
            assert said in trained
            assert not {part for part in said.split("\n\n")[1:-1] if len(part) > 20} & held_out


def test_digits_are_those_to_train_on() -> None:
    """Of both classifiers, under the name that each has for images, with a label each."""
    for name, called in (("demo-cnn", "images"), ("demo-vit", "pixel_values")):
        batch = surgery.open(name).data[0]
        images, labels = batch[called], batch["labels"]
        assert labels.shape == (len(images),) and len(set(labels.tolist())) == 10
        pixels = (images * 16).round().to(torch.uint8)
        assert not any(is_held_out(image.numpy().tobytes()) for image in pixels)


def test_other_models_have_none() -> None:
    """Not those of images, of tokens that nobody can make, nor those that translate; nor plain modules."""
    for name in ("llama", "vit", "t5"):
        assert len(surgery.open(*ATLAS[name]()).data) == 0, name
    assert len(surgery.open(nn.Linear(2, 2), (torch.zeros(1, 2),)).data) == 0


def test_windows_are_made_when_they_are_looked_at_and_go_elsewhere_without() -> None:
    """What is sent to other processes is how to make them."""
    data = ManualText(None, 32)
    assert len(pickle.dumps(data)) < 1000 and "batches" not in data.__dict__
    count = len(data)
    assert "batches" in data.__dict__ and len(pickle.dumps(data)) < 1000
    assert len(pickle.loads(pickle.dumps(data))) == count


def test_data_of_ones_own_take_their_place() -> None:
    """As before."""
    session = surgery.open("demo")
    session.data = text()
    assert session.data[0]["input_ids"].shape == (2, 12)
