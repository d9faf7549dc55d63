"""What the canvas is told of a graph."""

import surgery
from tests.zoo import ZOO, convnext
from tests.zoo.experts import mixture
from widgets.desk import Desk
from widgets.scene import scene


def test_experts_are_cells_of_the_opened_block() -> None:
    """Each can be selected and hovered, as a block of the folded model can."""
    session = surgery.open(*mixture())
    told = scene(session.graph, Desk(opened="blocks.0"), session.history.current)
    (row,) = [node for node in told["open"]["nodes"] if node["kind"] == "strip"]
    paths = [cell["path"] for cell in row["cells"]]
    assert paths == [f"blocks.0.experts.{number}" for number in range(4)]
    assert set(paths) <= told["facts"].keys()


def test_stages_are_called_by_what_they_give() -> None:
    """A strip's title has channels and sides; modules of one name have more of their paths."""
    session = surgery.open(*convnext())
    nodes = scene(session.graph, Desk(), session.history.current)["overview"]["nodes"]
    assert {"stages.1.layers · 12 × 4 × 4", "stages.2.layers · 16 × 2 × 2"} <= {n["title"] for n in nodes}


def test_cells_keep_their_origin() -> None:
    """A block that moves up is told by the origin that it keeps, so that the picture can follow it."""
    session = surgery.open(*ZOO["llama"]())

    def origins() -> list[str]:
        told = scene(session.graph, Desk(), session.history.current)
        return [cell["origin"] for node in told["overview"]["nodes"] for cell in node["cells"]]

    before = origins()
    session.remove("model.layers[1]")
    assert origins() == [before[0], *before[2:]]
    assert len(set(before)) == 4
