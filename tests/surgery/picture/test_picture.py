"""The picture: all of the graph, as text that any program reads, the same bytes for the same graph."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import combinations
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import surgery
from graph import extract
from surgery import SurgeryError
from surgery.picture import DARK, LIGHT, PAGE, Picture, Shown, picture_of
from surgery.picture.scene import scene
from tests.zoo import ATLAS, gpt2, llama, mixtral_eager, resnet18, t5
from tests.zoo.experts import mixture

HOSTILE = "<img src=x onerror=alert(1)>"
SVG = "{http://www.w3.org/2000/svg}"


class Hostile(nn.Module):
    """A model with a module whose name is markup."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(3)])
        self.add_module(HOSTILE, nn.Linear(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.get_submodule(HOSTILE)(x)


def texts(picture: str) -> list[str]:
    """All that is written in a picture."""
    return ["".join(node.itertext()) for node in ET.fromstring(picture).iter(f"{SVG}text")]


def drawn(name: str, opened: str | None = None) -> str:
    """A model of the atlas."""
    return picture_of(extract(*ATLAS[name]()), title=name, opened=opened)


@pytest.mark.parametrize("name", sorted(ATLAS))
def test_every_model_is_drawn_and_always_the_same(name: str) -> None:
    """As XML, with a title and words for whoever cannot see it."""
    picture = drawn(name)
    root = ET.fromstring(picture)
    assert root.findtext(f"{SVG}title") == name and "From left to right" in (
        root.findtext(f"{SVG}desc") or ""
    )
    assert picture == drawn(name)


@pytest.mark.parametrize("name", sorted(ATLAS))
def test_no_box_of_a_scene_lies_on_another(name: str) -> None:
    """Neither in the overview nor in an opened block, which hangs below it."""
    graph = extract(*ATLAS[name]())
    blocks = [path for node in scene(graph).nodes for path in (cell.path for cell in node.cells)]
    found = scene(graph, blocks[-1] if blocks else None)
    boxes = [node.box for node in found.nodes]
    assert not any(one.overlaps(two) for one, two in combinations(boxes, 2))
    if found.opened:
        inner = [node.box for node in found.opened.nodes]
        assert not any(one.overlaps(two) for one, two in combinations(inner, 2))
        assert found.opened.box.y > max(box.bottom for box in boxes)
        for box in inner:
            assert found.opened.box.x <= box.x and box.right <= found.opened.box.right
            assert box.bottom <= found.opened.box.bottom


def test_nothing_is_loaded_and_nothing_runs() -> None:
    """No element that could do either, and no address but the name of the format."""
    picture = drawn("t5", "decoder.block.2")
    kinds = {node.tag.removeprefix(SVG) for node in ET.fromstring(picture).iter()}
    assert kinds <= {"svg", "title", "desc", "rect", "circle", "path", "text"}
    assert picture.count("http") == picture.count("http://www.w3.org/2000/svg") == 1


def test_names_are_text() -> None:
    """One that is markup is shown as it is, cut off where there is no room."""
    model = Hostile()
    session = surgery.open(model, inputs=(torch.randn(2, 4),))
    picture = session.picture(open=HOSTILE)
    assert "<img" not in picture
    assert any(text.startswith("<img src=x") for text in texts(picture))


def test_a_control_character_does_not_break_the_file() -> None:
    """XML has no way to write one: it is shown as Python writes it."""
    model = nn.Sequential()
    model.add_module("a\x00b\x1b", nn.Linear(4, 4))
    model.add_module("c", nn.Linear(4, 4))
    picture = surgery.open(model, inputs=(torch.randn(2, 4),)).picture()
    assert r"a\x00b\x1b" in texts(picture)


def test_an_opened_block_shows_its_flow() -> None:
    """With its path, its class and how many are like it."""
    shown = texts(picture_of(extract(*llama()), title="llama", opened="model.layers.1"))
    assert {"model.layers.1", "q_proj", "gate_proj", "attention", "+", "×"} <= set(shown)
    assert any(text.startswith("LlamaDecoderLayer") and "alike" in text for text in shown)


def test_modules_of_one_name_are_told_apart() -> None:
    """An encoder's and a decoder's, by as much of the path as that takes."""
    shown = {text.partition(" · ")[0] for text in texts(picture_of(extract(*t5()), title="t5"))}
    assert {"encoder.embed_tokens", "decoder.embed_tokens", "encoder.block", "decoder.block"} <= shown
    assert "lm_head" in shown


def test_stages_say_what_they_give() -> None:
    """A stage's name is followed by channels and sides; a card has them under its name."""
    shown = set(texts(picture_of(extract(*resnet18()), title="resnet18")))
    assert any(text.startswith("layer2 · 8 × 4 × 4") for text in shown)
    assert "4 × 16 × 16" in shown


def test_an_opened_block_shows_its_experts_in_a_row() -> None:
    """What a strip is in the folded model, it is in a block: a cell for each."""
    drawn = scene(extract(*mixture()), "blocks.0")
    assert drawn.opened is not None
    rows = [node for node in drawn.opened.nodes if node.kind == "strip"]
    assert [[cell.path for cell in row.cells] for row in rows] == [
        [f"blocks.0.experts.{i}" for i in range(4)]
    ]
    inside = [drawn.opened.box.x, rows[0].cells[0].box.x, rows[0].cells[-1].box.right, drawn.opened.box.right]
    assert inside == sorted(inside)


def test_ties_have_a_thread_a_number_and_words() -> None:
    """In the first of Okabe and Ito's colours."""
    picture = picture_of(extract(*gpt2()), title="tied")
    assert 'stroke="#0072b2" stroke-width="2.4"' in picture
    assert "1" in texts(picture) and any(text.endswith("the same weights") for text in texts(picture))


def test_what_edits_did_is_marked() -> None:
    """Before: what will be gone; after: what is new or changed inside; a key says which is which."""
    session = surgery.open("demo")
    before = session.graph
    session.remove("model.layers[3]")
    session.attach("model.layers[2].self_attn.q_proj", "lora", rank=2)
    gone = scene(before, None, Shown(result=session.graph))
    assert [cell.path for node in gone.nodes for cell in node.cells if cell.mark == "gone"] == [
        "model.layers.3"
    ]
    now = scene(session.graph, "model.layers.2", Shown(base=before))
    assert [cell.path for node in now.nodes for cell in node.cells if cell.mark] == ["model.layers.2"]
    assert now.opened is not None
    assert [node.title for node in now.opened.nodes if node.mark == "new"] == ["q_proj"]
    words = texts(session.picture("model.layers[2]"))
    assert {"new", "changed inside", "with an adapter"} <= set(words) and "taken out" not in words


def test_a_forward_that_fails_is_said_with_its_place() -> None:
    """What comes behind it was never called, and is not there."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(5, 4))
    words = texts(surgery.open(model, inputs=(torch.zeros(1, 4),)).picture())
    assert "the forward fails at 1" in words


def test_names_of_strips_have_room() -> None:
    """Nothing lies on them: SAM has a strip among other things of its layer."""
    found = scene(extract(*ATLAS["sam"]()))
    strip = next(node for node in found.nodes if node.kind == "strip")
    name = strip.box.moved(0, -16)
    assert not any(name.overlaps(node.box) for node in found.nodes if node is not strip)


def test_opaque_modules_are_hatched() -> None:
    """And the key says what that means."""
    picture = picture_of(extract(*mixtral_eager()), title="moe", opened="model.layers.1")
    assert "hatched: the trace could not look inside" in texts(picture)
    assert not any("hatched" in text for text in texts(picture_of(extract(*llama()), title="llama")))


def test_a_sweep_colours_the_blocks_of_its_state() -> None:
    """With what it is of, and its ends with their unit."""
    session = surgery.open("demo-vit")
    plain = session.picture()
    session.sweep("remove", "vit.layers[*]", budget_s=0)
    words = texts(session.picture())
    assert "accuracy after remove" in words and any(text.endswith(" %") for text in words)
    assert "#ffea46" in session.picture() and "#ffea46" not in plain
    session.remove("vit.layers[0]")
    assert "#ffea46" not in session.picture()


def test_light_dark_and_the_pages_own() -> None:
    """A picture alone has literal colours and a ground; in a page it has the page's."""
    graph = extract(*llama())
    light, dark, page = (picture_of(graph, title="llama", inks=inks) for inks in (LIGHT, DARK, PAGE))
    assert LIGHT.ground in light and DARK.ground in dark and "var(" not in light + dark
    assert "var(--ink)" in page and LIGHT.ink not in page and "llama" not in texts(page)


def test_one_module_can_be_opened() -> None:
    """A selector of several is refused, and one of none."""
    session = surgery.open(*llama())
    with pytest.raises(SurgeryError, match=r"^model.layers\[\*\]: one module can be opened"):
        session.picture("model.layers[*]")
    with pytest.raises(SurgeryError, match="matches nothing"):
        session.picture("model.layer")


def test_a_model_that_was_not_traced_says_so() -> None:
    """There is no flow to draw then."""
    assert any(
        text.startswith("Nothing was traced") for text in texts(surgery.open(nn.Linear(2, 2)).picture())
    )


def test_it_is_written_whole_and_shown_in_notebooks(tmp_path: Path) -> None:
    """The path is returned; a folder that is not there is a sentence."""
    picture = surgery.open(*llama()).picture()
    assert isinstance(picture, Picture) and picture._repr_svg_() == picture
    assert picture.write(tmp_path / "graph.svg").read_text(encoding="utf-8") == picture
    assert [path.name for path in tmp_path.iterdir()] == ["graph.svg"]
    with pytest.raises(SurgeryError, match="cannot write the picture: No such file"):
        picture.write(tmp_path / "no" / "graph.svg")
