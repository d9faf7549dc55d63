"""Parents of alignments: one that needs its script is told by it, one that holds no numbers is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import surgery
from surgery import SurgeryError
from surgery.alignment.parents import wide_parent
from tests.surgery.alignment.test_activations import more
from tests.surgery.alignment.test_rebasin import ZOO
from tests.surgery.states import run


def test_a_parent_that_needs_its_script(tmp_path: Path) -> None:
    """Its config.json says nothing: how wide heads are says its script, and what runs is made by it."""
    model, inputs = ZOO["llama"]()
    source = surgery.open(model, inputs)
    source.narrow("model.layers[1]", ratio=0.25)
    folder = source.save(tmp_path / "parent")
    session = surgery.open(model, inputs)
    session.data = [more(inputs)]
    session.otfusion("", parents=[str(folder)], ground="activations")
    step: Any = session.steps[0]
    parent = wide_parent(session.patient, step, step.units(session.patient))
    assert torch.equal(run(parent, inputs), run(source.model, inputs))


@pytest.mark.parametrize("name", ["rebasin", "otfusion"])
def test_what_is_no_number_is_refused(name: str, tmp_path: Path) -> None:
    """Nothing is like it: the tensor is named, whichever of the two models has it."""
    model, inputs = ZOO["llama"]()
    broken, _ = ZOO["llama"]()
    with torch.no_grad():
        broken.get_parameter("model.layers.1.mlp.up_proj.weight")[3, 4] = torch.nan
    for here, there in ((model, broken), (broken, model)):
        folder = surgery.open(there, inputs).save(tmp_path / f"{len(list(tmp_path.iterdir()))}")
        with pytest.raises(SurgeryError, match=r"^model\.layers\.1\.mlp\.up_proj\.weight: .*not finite"):
            getattr(surgery.open(here, inputs), name)("", parents=[str(folder)])
