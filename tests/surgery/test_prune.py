"""Prune: what matters least over all layers goes, until the model is as small as asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import surgery
from graph.costs import costs
from surgery import Session, SurgeryError
from surgery.charts import Bars, Curves
from surgery.edits import Edit
from surgery.fields import Targets
from surgery.model import Patient
from surgery.widths.importance import Shown, importance
from surgery.widths.neurons import neurons
from surgery.widths.target import Figure
from tests.surgery.calibration.models import session_of, text
from tests.zoo.channels import CHANNELS
from tests.zoo.families import DECODERS


class Feed(nn.Module):
    """One feed-forward layer added to what came in; four inputs, and neurons of very different sizes."""

    def __init__(self, neurons: int, scale: float) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(4, neurons), nn.Linear(neurons, 4)
        with torch.no_grad():
            self.fc1.weight.mul_(torch.linspace(0.1, 2.0, neurons).flip(0)[:, None] * scale)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.fc2(torch.tanh(self.fc1(x)))
        return x + made


def feeds(*widths: int) -> nn.Sequential:
    """Layers behind one another, the later ones ten times as large; logits of four classes."""
    torch.manual_seed(0)
    return nn.Sequential(*(Feed(width, 10.0**place) for place, width in enumerate(widths))).eval()


def labelled(count: int = 24) -> list[dict[str, Tensor]]:
    """Batches of inputs and their classes, of two lengths."""
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(count, 4, generator=generator)
    classes = torch.randint(0, 4, (count,), generator=generator)
    return [
        {"input": part, "labels": of} for part, of in zip(inputs.split(10), classes.split(10), strict=True)
    ]


def session_on(model: nn.Module, data: list[Any] | None = None) -> Session:
    """A session on a model of four inputs, with data."""
    session = surgery.open(model, (torch.randn(2, 4),))
    session.data = labelled() if data is None else data
    return session


@pytest.mark.parametrize("by", ["taylor", "fisher", "activation", "magnitude"])
def test_as_few_go_as_meet_the_target(by: str) -> None:
    """Those of lowest score of all layers, and one fewer would not do: counted out on two layers."""
    session = session_on(feeds(6, 12))
    before = sum(item.numel() for item in session.model.parameters())
    step = session.prune("**", to="-30 %", by=by, floor=0.0).step
    after = sum(item.numel() for item in session.model.parameters())
    assert after <= 0.7 * before < after + 9  # 4 + 1 + 4 numbers of a neuron
    assert step is not None
    kept = {path: places.tolist() for path, places in step.measured.tensors.items()}  # type: ignore[attr-defined]
    again = session_on(feeds(6, 12))
    parts = neurons(again.patient)
    scores = importance(again.patient, [[part] for part in parts], by, Shown(again.data, 128, 0, "this"))  # type: ignore[arg-type]
    if by in ("activation", "magnitude"):
        scores = [item / item.mean() for item in scores]
    order = sorted(
        (float(s), p.path, at) for p, of in zip(parts, scores, strict=True) for at, s in enumerate(of)
    )
    gone = {(path, at) for _, path, at in order[: (before - after) // 9]}
    for part in parts:
        stay = [at for at in range(part.count) if (part.path, at) not in gone]
        assert kept.get(part.path, list(range(part.count))) == stay


def test_what_is_gone_had_been_read_as_zeros() -> None:
    """Uneven widths: the logits are those of the original with the columns of what is gone set to zero."""
    session = session_on(feeds(6, 12))
    step = session.prune("**", to="-40 %", by="taylor").step
    reference, inputs = feeds(6, 12), torch.randn(5, 4)
    assert step is not None
    for path, places in step.measured.tensors.items():  # type: ignore[attr-defined]
        weight = reference.get_parameter(f"{path}.fc2.weight")
        gone = [place for place in range(weight.shape[1]) if place not in places.tolist()]
        weight.data[:, gone] = 0
    assert torch.allclose(session.model(inputs), reference(inputs), atol=1e-6)


def test_so_many_stay_of_each_layer() -> None:
    """No layer has less than the floor, rounded up; without one a layer may lose all but one."""
    widths = []
    for floor in (0.5, 0.0):
        session = session_on(feeds(7, 30))
        session.prune("**", to="-45 %", by="fisher", floor=floor)
        widths.append([layer.fc1.out_features for layer in session.model])
    assert widths[0][0] >= 4 and widths[0][1] >= 15
    assert widths[1] != widths[0] and min(widths[1]) >= 1


def test_the_nearest_target_is_said_and_can_be_met() -> None:
    """Where all that may go is not enough, in the preview and when it is made."""
    session = session_on(feeds(6, 12))
    with pytest.raises(SurgeryError, match=r"cannot be met.*got to=\"-90 %\".*Try: `to=\"-") as refused:
        session.preview("prune", "**", to="-90 %", floor=0.5)
    with pytest.raises(SurgeryError, match="cannot be met"):
        session.prune("**", to="-90 %", floor=0.5)
    assert refused.value.hint is not None
    session.prune("**", to=refused.value.hint.split('"')[1], floor=0.5)
    assert [layer.fc1.out_features for layer in session.model] == [3, 6]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "both": ({"to": "-30 %", "ratio": 0.5}, "needs one of to and ratio; got both"),
    "neither": ({}, "needs one of to and ratio; got neither"),
    "no size": ({"to": "a lot"}, "says no size"),
    "no latency": ({"to": "1.2 M", "figure": "latency"}, "says no latency"),
    "met already": ({"to": "1 M"}, "no larger or slower than that already"),
    "no unit": ({"ratio": 0.01}, "no unit would go"),
    "no units": ({"ratio": 0.5, "units": "heads"}, "has no heads that prune knows how to take apart"),
    "found of neurons": ({"ratio": 0.5, "found": []}, "prune.found belongs to channels"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused(case: str) -> None:
    """Fields that contradict one another, and what no model can come to."""
    fields, message = REFUSED[case]
    session = session_on(feeds(6, 12))
    with pytest.raises(SurgeryError, match=message):
        session.prune("**", **fields)


def test_no_data_no_labels_no_slope() -> None:
    """Slopes need a loss, and say where it comes from; activations need data alone; magnitudes none."""
    session = session_on(feeds(6, 12), [])
    with pytest.raises(SurgeryError, match="prune needs data"):
        session.prune("**", ratio=0.5)
    session.prune("**", ratio=0.5, by="magnitude")
    session.undo()
    session.data = [batch["input"] for batch in labelled()]
    with pytest.raises(SurgeryError, match="no loss to take: no labels"):
        session.prune("**", ratio=0.5)
    session.prune("**", ratio=0.5, by="activation")


def test_no_example_inputs_no_macs() -> None:
    """MACs and times are of example inputs."""
    session = surgery.open(feeds(6, 12))
    with pytest.raises(SurgeryError, match=r'MACs are of example inputs.*`figure="parameters"`'):
        session.prune("**", to="-30 %", figure="macs", by="magnitude")


def test_experts_are_weighed_and_not_measured() -> None:
    """No layer reads an expert's units: by magnitude alone, and as many stay as a token is sent to."""
    session = session_of("qwen_moe")
    with pytest.raises(SurgeryError, match=r"no layer reads its units.*Try: `by=\"magnitude\"`"):
        session.prune("**", units="experts", ratio=0.5)
    session.prune("**", units="experts", to="-10 %", by="magnitude")
    session.model(**text()[0])


def test_by_magnitude_the_units_are_those_of_narrow() -> None:
    """With one ratio for all layers, without data, bit for bit."""
    found = []
    for verb in ("prune", "narrow"):
        session = session_of("gpt2")
        getattr(session, verb)("**", units="heads", ratio=0.5, by="magnitude")
        found.append(session.fingerprint())
    assert found[0] == found[1]


def test_parts_that_must_be_alike_stay_alike() -> None:
    """Phi-3 asks its config for the number of heads: its blocks lose as many each."""
    model, inputs = DECODERS["phi3"]()
    session = surgery.open(model, inputs)
    session.data, before = text(), model.config.num_attention_heads
    session.prune("**", units="heads", to="-3 %", by="activation")
    widths = {layer.self_attn.o_proj.in_features for layer in session.model.model.layers}
    assert len(widths) == 1 and session.model.config.num_attention_heads < before


def test_a_latency_is_met(monkeypatch: pytest.MonkeyPatch) -> None:
    """Candidates are timed with their weights; here a forward takes as many ms as there are parameters."""

    def timed(figure: Figure, edits: Callable[[Patient], list[Edit]]) -> int:
        return 10**6 * Figure(figure.patient, "parameters")(edits)

    monkeypatch.setattr(Figure, "_timed", timed)
    for to, most in (("100 ms", 100), ("-30 %", 0.7 * 170)):
        session = session_on(feeds(6, 12))
        assert session.preview("prune", "**", to=to, figure="latency").bounds is not None
        session.prune("**", to=to, figure="latency")
        assert sum(item.numel() for item in session.model.parameters()) <= most


def test_fewer_units_that_are_no_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small models take their time whatever their width: no target is named then, least of all a growth."""

    def timed(figure: Figure, edits: Callable[[Patient], list[Edit]]) -> int:
        return 10**9 // Figure(figure.patient, "parameters")(edits)

    monkeypatch.setattr(Figure, "_timed", timed)
    with pytest.raises(SurgeryError, match=r"no less than the 5\.88 ms there are") as refused:
        session_on(feeds(6, 12)).prune("**", to="-5 %", figure="latency")
    assert refused.value.hint == "a lower `floor`, or more targets"


def test_a_forward_is_timed() -> None:
    """On a shell of the edited model, on the example inputs."""
    session = session_on(feeds(6, 12))
    assert Figure(session.patient, "latency")(lambda _: []) > 0


def test_channels_by_labels_and_a_replay_without_data(tmp_path: Path) -> None:
    """The script says which channels stay; measures that need no labels take the same batches."""
    model, inputs = CHANNELS["mobilenet"]()
    classes, images = model(**inputs).shape[-1], inputs["x"]
    batch = {"x": images, "labels": torch.arange(len(images)) % classes}
    session = surgery.open(model, inputs)
    session.data = [batch]
    session.prune("**", units="channels", to="-30 %", figure="macs")
    session.recalibrate()
    script = session.script.write(tmp_path / "edits.surgery.json")
    again = surgery.replay(script, CHANNELS["mobilenet"]()[0], inputs=inputs)
    assert again.fingerprint() == session.fingerprint()


def test_measured_elsewhere_is_refused() -> None:
    """Places of another model, or of one that is narrower by now."""
    session = session_on(feeds(6, 12))
    step = session.measured(surgery.operations.Prune(targets=Targets("**"), ratio=0.5))
    other = session_on(feeds(6))
    with pytest.raises(SurgeryError, match=r"measured on another model|recorded on other modules"):
        other.apply(step)
    session.narrow("**", count=2)
    with pytest.raises(SurgeryError, match="measured at another width"):
        session.apply(step)


def test_its_charts() -> None:
    """Of a ratio the sorted importance with a mark, of a target what stays of each layer."""
    session = session_on(feeds(6, 12))
    curves = session.chart("prune", "**", ratio=0.5)
    assert isinstance(curves, Curves) and curves.mark == 0.5
    assert all(list(line) == sorted(line, key=lambda point: point[1]) for line in curves.lines.values())
    bars = session.chart("prune", "**", to="-30 %")
    assert isinstance(bars, Bars) and len(bars.values) == 2 and min(bars.values) < 100


@pytest.mark.parametrize("units", ["neurons", "width"])
def test_what_stays_is_a_multiple(units: str) -> None:
    """Of eight, in every layer that loses any, with the target met; of a ratio too, as previewed."""
    session = surgery.open(*DECODERS["llama"]())
    most = costs(session.graph).parameters * 85 // 100
    session.prune("**", units=units, to="-15 %", by="magnitude", multiple=8)
    assert costs(session.graph).parameters <= most
    widths = {parameter.shape[-1] for parameter in session.model.parameters()}
    assert all(width % 8 == 0 for width in widths)
    session.undo()
    preview = session.preview("prune", "**", units=units, ratio=0.4, by="magnitude", multiple=8)
    session.prune("**", units=units, ratio=0.4, by="magnitude", multiple=8)
    assert preview.after.parameters == costs(session.graph).parameters
    name = "model.layers.0.mlp.down_proj.weight"
    assert 8 * (30 // 8 if units == "neurons" else 20 // 8) in session.model.get_parameter(name).shape
