"""Checkpoints of any size that take no room on the disk: headers, and holes where the data would be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from surgery.checkpoint.headers import DTYPES


def sparse_checkpoint(config: Any, cls: Any, folder: Path, files: int, dtype: torch.dtype) -> int:
    """A folder with this config, an index and so many files of zeros; returns the bytes of its tensors."""
    with torch.device("meta"):
        state = cls(config).state_dict()
    folder.mkdir(parents=True)
    config.architectures, config.dtype = [cls.__name__], dtype
    config.save_pretrained(folder)
    name_of = {value: key for key, value in DTYPES.items()}
    total = sum(tensor.numel() for tensor in state.values()) * dtype.itemsize
    groups: list[dict[str, torch.Tensor]] = [{} for _ in range(files)]
    before = 0
    for name, tensor in state.items():
        groups[before * files // total][name] = tensor
        before += tensor.numel() * dtype.itemsize
    weight_map: dict[str, str] = {}
    for number, group in enumerate(groups, 1):
        file, at = f"model-{number:05}-of-{len(groups):05}.safetensors", 0
        said: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        for name, tensor in group.items():
            end = at + tensor.numel() * dtype.itemsize
            said[name] = {"dtype": name_of[dtype], "shape": list(tensor.shape), "data_offsets": [at, end]}
            at, weight_map[name] = end, file
        text = json.dumps(said).encode()
        with (folder / file).open("wb") as opened:
            opened.write(len(text).to_bytes(8, "little") + text)
            opened.truncate(8 + len(text) + at)
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return total
