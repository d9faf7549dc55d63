"""What the canvas is told of a graph."""

import surgery
from tests.zoo import ZOO
from widgets.desk import Desk
from widgets.scene import scene


def test_cells_keep_their_origin() -> None:
    """A block that moves up is told by the origin that it keeps, so that the picture can follow it."""
    session = surgery.open(*ZOO["llama"]())
    origins = lambda: [  # noqa: E731
        cell["origin"] for node in scene(session.graph, Desk())["overview"]["nodes"] for cell in node["cells"]
    ]
    before = origins()
    session.remove("model.layers[1]")
    assert origins() == [before[0], *before[2:]]
    assert len(set(before)) == 4
