"""Classifiers answer with classes, encoders with neighbours; both have steps to blame."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

import surgery
from surgery import Session, SurgeryError
from surgery.demo.digits import held_out
from surgery.evaluate import tensors
from surgery.prompting import ClassAnswers, NeighbourAnswers
from tests.zoo import ATLAS
from tests.zoo.families import ENCODERS, stirred


@pytest.fixture(scope="module")
def digits() -> Session:
    """The convolutional classifier with two damages."""
    session = surgery.open("demo-cnn")
    session.scale("stage1[1]", factor=0.2)
    session.remove("stage2[0]")
    return session


def classes(session: Session, *given: object, **fields: object) -> ClassAnswers:
    """What a classifier answers."""
    answers = session.ask(*given, device="cpu", **fields)  # type: ignore[arg-type]
    assert isinstance(answers, ClassAnswers)
    return answers


def test_a_classifier_names_its_likeliest_classes(digits: Session) -> None:
    """Of both models, with probabilities and ranks; the right one where the data say it."""
    answers = classes(digits, example=3, top=2)
    image, label = held_out()[0][3:4], int(held_out()[1][3])
    with torch.no_grad():
        p, q = (model.eval()(image)[0].double().softmax(-1) for model in (digits.opened.model, digits.model))
    assert answers.label == str(label)
    for choice in answers.choices:
        assert choice.probabilities == pytest.approx((float(p[choice.id]), float(q[choice.id])), abs=1e-5)
        assert choice.ranks == (1 + int((p > p[choice.id]).sum()), 1 + int((q > q[choice.id]).sum()))
    assert {1, 2} <= {choice.ranks[0] for choice in answers.choices}
    assert {1, 2} <= {choice.ranks[1] for choice in answers.choices}
    assert answers.kl == pytest.approx(float((p * (p / q).log()).sum()), rel=1e-3)


def test_a_step_is_to_blame_for_classes(digits: Session) -> None:
    """Each of the two by itself."""
    answers = classes(digits, example=3)
    blame = digits.blame(answers, device="cpu")
    assert blame.position is None and blame.effect == pytest.approx(answers.kl, rel=1e-4)
    alone = surgery.open("demo-cnn")
    alone.remove("stage2[0]")
    without = classes(alone, example=3).kl
    assert blame.steps[0].blame == pytest.approx(answers.kl - without, abs=1e-5)


def test_images_are_given_as_files_pictures_and_tensors(digits: Session, tmp_path: Path) -> None:
    """A model without a processor has them resized, and says so; a tensor is taken as it is."""
    image = held_out()[0][5]
    picture = Image.fromarray((image[0] * 255).round().to(torch.uint8).numpy())
    picture.save(tmp_path / "digit.png")
    wanted = classes(digits, image)
    for given in (tmp_path / "digit.png", str(tmp_path / "digit.png"), picture):
        found = classes(digits, given)
        assert found.kl == pytest.approx(wanted.kl, rel=0.02) and "no image processor" in found.notes[0]
    assert wanted.notes == ()
    assert classes(digits, image.unsqueeze(0)).kl == wanted.kl


def test_images_go_by_the_name_that_the_model_has_for_them() -> None:
    """A vision transformer of transformers."""
    session = surgery.open("demo-vit")
    session.remove("vit.layers[2]" if hasattr(session.model.vit, "layers") else "vit.encoder.layer[2]")
    one = classes(session, example=7)
    same = classes(session, {"pixel_values": held_out()[0][7:8]})
    assert one.choices == same.choices and one.kl > 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("nowhere.png", "no such image"),
        (torch.zeros(2, 1, 8, 8), "a prompt is one example"),
        ({"pixel_values": 3}, "tensors by name"),
        ({}, "tensors by name"),
    ],
)
def test_what_is_no_image_is_refused(digits: Session, given: object, said: str) -> None:
    """In a sentence."""
    with pytest.raises(SurgeryError, match=said):
        digits.ask(given)


def test_a_file_that_is_no_image_is_refused(digits: Session, tmp_path: Path) -> None:
    """Whatever it is called."""
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(SurgeryError, match="cannot be prepared"):
        digits.ask(tmp_path / "a.png")


def test_a_text_model_takes_no_image(tmp_path: Path) -> None:
    """It says what it takes."""
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(SurgeryError, match="takes no image"):
        surgery.open("demo").ask(tmp_path / "a.png")


def test_an_encoder_names_the_nearest_of_the_data() -> None:
    """By cosine, of both models; ranks move, and the drift is the mean change."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 5))
    session = surgery.open(Pooled(model), inputs=(torch.randn(1, 4, 6),))
    session.scale("model[2]", factor=0.5)
    session.scale("model[0]", factor=3.0)
    data = tensors(torch.randn(20, 4, 6, generator=torch.Generator().manual_seed(1)))
    prompt = torch.randn(4, 6, generator=torch.Generator().manual_seed(2))
    answers = session.ask(prompt, examples=data, top=3, device="cpu")
    assert isinstance(answers, NeighbourAnswers) and answers.compared == 20
    found = []
    with torch.no_grad():
        for each in (session.opened.model, session.model):
            mine, theirs = each(prompt[None])[1], each(data.inputs["input"])[1]
            found.append(torch.cosine_similarity(mine, theirs))
    assert answers.neighbours[0].example == int(found[0].argmax())
    for item in answers.neighbours:
        assert item.similarities == pytest.approx([float(each[item.example]) for each in found], abs=1e-5)
        assert item.ranks == tuple(1 + int((each > each[item.example]).sum()) for each in found)
    assert answers.drift == pytest.approx(float((found[0] - found[1]).abs().mean()), abs=1e-5)
    blame = session.blame(answers, examples=data, device="cpu")
    assert blame.unit == "cosine" and blame.effect == pytest.approx(answers.drift, abs=1e-6)
    assert blame.steps[1].blame == pytest.approx(answers.drift, abs=0.2) and blame.steps[0].gain is None
    json.dumps([answers.to_dict(), blame.to_dict()], allow_nan=False)


class Pooled(nn.Module):
    """An encoder that gives hidden states and their mean, as transformers do."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> Output:
        states = self.model(x)
        return Output(last_hidden_state=states, pooler_output=states.mean(1))


class Output(dict[str, torch.Tensor]):
    """A mapping that is also read by number."""

    def __getitem__(self, key: object) -> torch.Tensor:
        return list(self.values())[key] if isinstance(key, int) else super().__getitem__(str(key))


def test_an_encoder_of_text_reads_a_prompt() -> None:
    """One that fills masks sees the whole text, so it has neighbours and writes nothing."""
    session = surgery.open(*ENCODERS["bert"]())
    session.scale("bert.encoder.layer[1]", factor=0.5)
    answers = session.ask([3, 5, 9, 11], device="cpu", top=2)
    assert isinstance(answers, NeighbourAnswers) and answers.drift > 0
    assert answers.neighbours[0].name.startswith("window ")


def test_a_classifier_of_texts_names_classes() -> None:
    """Token ids in, classes out."""
    session = surgery.open(*ATLAS["roberta"]())
    stirred(session.model)
    assert len(classes(session, [3, 5, 9, 11]).choices) == 3
