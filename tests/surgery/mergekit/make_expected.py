"""Writes what mergekit makes of the cases, and the parameters of its methods.

Run it where mergekit is installed:

    python tests/surgery/mergekit/make_expected.py

The kept `expected.safetensors` and `methods.json` were made by mergekit 0.1.5.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def main() -> None:
    """Runs every case and keeps a few tensors of each."""
    import torch
    from mergekit.merge_methods import registered_methods
    from mergekit.merge_methods.base import MISSING
    from safetensors.torch import save_file

    sys.path.insert(0, str(HERE))
    from cases import CASES, IN_HALVES, KEPT, KEPT_OF_HALVES, of_halves
    from models import HALVES, write_all

    kept: dict[str, torch.Tensor] = {}
    with tempfile.TemporaryDirectory() as place:
        write_all(Path(place))
        os.chdir(place)
        for name, text in CASES.items():
            kept |= {f"{name}/{key}": tensor for key, tensor in merged(text, KEPT).items()}
        os.chdir(Path(place) / HALVES)
        for name in IN_HALVES:
            made = merged(of_halves(name), KEPT_OF_HALVES)
            kept |= {f"{HALVES}/{name}/{key}": tensor for key, tensor in made.items()}
    save_file(kept, HERE / "expected.safetensors")
    specs = {
        method.spec.name: {
            item.name: [item.scope.value, "required" if item.default is MISSING else item.default]
            for item in method.spec.parameters
        }
        for method in registered_methods()
    }
    (HERE / "methods.json").write_text(json.dumps(specs, indent=1, sort_keys=True) + "\n")
    print(f"{len(kept)} tensors of {len(CASES)} cases, {len(specs)} methods")


def merged(text: str, names: tuple[str, ...]) -> dict[str, Any]:
    """These tensors of what mergekit writes."""
    import yaml
    from mergekit.config import MergeConfiguration
    from mergekit.io.tasks import LoaderCache
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions
    from safetensors import safe_open

    found = {}
    LoaderCache.loaders.clear()  # it knows models by the names in the file, whatever the working directory
    with tempfile.TemporaryDirectory() as out:
        config = MergeConfiguration.model_validate(yaml.safe_load(text))
        options = MergeOptions(write_model_card=False, copy_tokenizer=False, clone_tensors=True, quiet=True)
        run_merge(config, out, options)
        for file in sorted(Path(out).glob("*.safetensors")):
            with safe_open(file, framework="pt") as opened:
                found |= {name: opened.get_tensor(name) for name in opened.keys() if name in names}  # noqa: SIM118
    return found


if __name__ == "__main__":
    main()
