"""Every type that the installed PEFT has for a class of layers does what PEFT does with it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

from surgery import SurgeryError
from surgery.adapters.export import export
from surgery.adapters.peft import offered
from surgery.adapters.peft.kinds import fitting
from tests.surgery.adapters.peft.models import LAYERS, Pair, attached, theirs, types_on
from tests.surgery.adapters.trained import adapters_of, train


def test_peft_has_types_for_each_layer() -> None:
    """The types that any PEFT of these years has are among those that are found."""
    assert {"peft:loha", "peft:lokr", "peft:oft", "peft:boft", "peft:hra"} <= set(types_on("Linear"))
    assert {"peft:loha", "peft:lokr"} <= set(types_on("Conv2d"))
    assert types_on("LayerNorm") == ["peft:ln_tuning"]


@pytest.mark.parametrize("kind", offered())
def test_computes_what_peft_computes(kind: str, tmp_path: Path) -> None:
    """On each layer that it fits it is PEFT's; on the others it is refused in PEFT's own words."""
    for layer in LAYERS:
        if kind in types_on(layer):
            _is_pefts(layer, kind, tmp_path / layer)
        else:
            with pytest.raises(SurgeryError, match="PEFT's") as refusal:
                attached(layer, kind)
            assert refusal.value.path == "net.a"


def _is_pefts(layer: str, kind: str, folder: Path) -> None:
    """With equal tensors the output is PEFT's; off or detached it is the base's; the folder loads in PEFT."""
    session, x = attached(layer, kind)
    make, _ = LAYERS[layer]
    with torch.no_grad():
        before, first = Pair(make).eval()(x), session.model(x)
        found = fitting(make())[kind]
        if found.exact:
            assert torch.equal(first, before)
        assert torch.allclose(first, before, atol=1e-5) == found.identity
        train(session.model)
        wanted = session.model(x)
        assert not torch.allclose(wanted, before, atol=1e-3)
        config: Any = PEFT_TYPE_TO_CONFIG_MAPPING[kind.removeprefix("peft:").upper()]
        given = _ranked(config)
        assert torch.equal(theirs(session, layer, config(target_modules=["a", "b"], **given))(x), wanted)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = PeftModel.from_pretrained(Pair(make).eval(), str(export(session, folder))).eval()
        assert torch.equal(loaded(x), wanted)
        if kind != "peft:lora":  # that is read as our own kind, on linear modules
            again, _ = attached(layer, None)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                again.adopt([str(folder)])
            assert torch.equal(again.model(x), wanted)
        session.activate(off=True)
        assert torch.equal(session.model(x), before)
        session.undo()
        if found.folds is not None:
            session.fold()
            assert not adapters_of(session.model)
            assert torch.allclose(session.model(x), wanted, rtol=1e-4, atol=1e-3)
            session.undo()
        session.detach()
        assert torch.equal(session.model(x), before)


def _ranked(config: Any) -> dict[str, int]:
    """The rank that `attach` gives by default, where the type has one by default."""
    default = getattr(config, "r", 0)
    return {"r": 8} if isinstance(default, int) and default > 0 else {}
