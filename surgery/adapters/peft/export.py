"""Adapters of PEFT's types written by PEFT itself, and read back before the folder is there."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from surgery import fence
from surgery.adapters.adapter import Adapter, root_of
from surgery.adapters.peft.adapter import PeftAdapter
from surgery.adapters.peft.described import standing_in
from surgery.adapters.peft.layers import NAME, Tree, config, state, values
from surgery.checkpoint.adapter import CONFIG
from surgery.checkpoint.replacing import written_whole
from surgery.errors import SurgeryError


def export_peft(found: Mapping[str, Adapter], source: str | None, place: Path) -> Path:
    """Writes adapters of one type by the paths of what they adapt; SurgeryError for what no folder can say.

    What PEFT loads of it must be what they are, tensor by tensor: it is loaded around modules without values
    before the folder gets its name.
    """
    from peft import PeftModel

    place = fence.writing(place)
    adapters = {path: _plain(path, item) for path, item in found.items()}
    specs: dict[str, str] = {}
    for path, item in adapters.items():
        specs.setdefault(item.spec, path)
    if len(specs) > 1:
        raise SurgeryError(
            "differ in their options, and PEFT's format holds one setting for all",
            path=" and ".join(specs.values()),
            got=" and ".join(specs),
            hint="different names for them, one folder each",
        )
    spec = next(iter(specs))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT speaks of the tree, which nobody has made but we
        tree = Tree({path: root_of(item) for path, item in adapters.items()})
        told = config(spec, sorted(adapters))
        told.base_model_name_or_path = source
        written: Any = PeftModel(tree, told, NAME)
        for path, item in adapters.items():
            around, _, name = path.rpartition(".")
            tree.get_submodule(around)._modules[name] = item.layer()
        with written_whole(place) as partial:
            written.save_pretrained(str(partial))
            (partial / "README.md").unlink(missing_ok=True)
            _named(partial, source)
            _refuse_other(adapters, partial, type(written))
    return place


def _plain(path: str, item: Adapter) -> PeftAdapter:
    if not isinstance(item, PeftAdapter):
        raise SurgeryError(
            "PEFT's format holds one kind of adapter",
            path=path,
            got=item.kind,
            hint="different names for them, one folder each",
        )
    if item.strength != 1.0:
        raise SurgeryError("is weighed", path=path, got=item.strength, hint="`s.save`")
    return item


def _named(folder: Path, source: str | None) -> None:
    """The configuration with the base that we know, and lists in one order: PEFT writes sets."""
    place = folder / CONFIG
    told = json.loads(place.read_text(encoding="utf-8")) | {"base_model_name_or_path": source}
    told["target_modules"] = sorted(told["target_modules"])
    place.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def _refuse_other(adapters: Mapping[str, PeftAdapter], folder: Path, loads: Any) -> None:
    """SurgeryError where PEFT makes something else of the folder than was written."""
    seeds = torch.random.get_rng_state()
    try:
        torch.manual_seed(20_000)  # what hangs on the seed is not in the folder
        tree = Tree({path: standing_in(item.described) for path, item in adapters.items()})
        loads.from_pretrained(tree, str(folder), adapter_name=NAME)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SurgeryError(
            f"PEFT does not load what it writes of this type: {' '.join(str(error).split())[:160]}",
            path=next(iter(adapters)),
            hint="`s.save`",
        ) from None
    finally:
        torch.random.set_rng_state(seeds)
    for path, item in adapters.items():
        read, own = tree.get_submodule(path), item.layer()
        for theirs, ours in ((values(read), values(own)), (state(read), state(own))):
            for name, value in ours.items():
                if name not in theirs or not torch.equal(theirs[name].to(value), value.detach()):
                    raise SurgeryError(
                        f"PEFT's format does not hold its {name}", path=path, got=item.kind, hint="`s.save`"
                    )
