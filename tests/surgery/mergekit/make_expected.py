"""Writes `expected.safetensors`: what mergekit makes of the cases. Run it where mergekit is installed.

    python tests/surgery/mergekit/make_expected.py

The kept file was made by mergekit 0.1.5.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    """Runs every case and keeps a few tensors of each."""
    import torch
    import yaml
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions
    from safetensors import safe_open
    from safetensors.torch import save_file

    sys.path.insert(0, str(HERE))
    from cases import CASES, KEPT
    from models import write_all

    kept: dict[str, torch.Tensor] = {}
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        write_all(Path(place))
        for name, text in CASES.items():
            config = MergeConfiguration.model_validate(yaml.safe_load(text))
            out = Path(place) / f"out-{name}"
            options = MergeOptions(write_model_card=False, copy_tokenizer=False, clone_tensors=True, quiet=True)
            run_merge(config, str(out), options)
            for file in sorted(out.glob("*.safetensors")):
                with safe_open(file, framework="pt") as opened:
                    for tensor in opened.keys():
                        if tensor in KEPT:
                            kept[f"{name}/{tensor}"] = opened.get_tensor(tensor)
    save_file(kept, HERE / "expected.safetensors")
    print(f"{len(kept)} tensors of {len(CASES)} cases")


if __name__ == "__main__":
    main()
