"""What a replay would write, as text."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from graph.units import short
from surgery.stream.outlook import Outlook, Written


def outlook_lines(found: Outlook) -> Iterator[str]:
    """A line for each file and for each tensor in it, and a last one for all."""
    for file, tensors in groupby(found.tensors, key=lambda tensor: tensor.file):
        yield f"{file}  {short(found.files[file], 'B')}"
        for tensor in tensors:
            yield f"  {_line(tensor)}"
    yield _total(found)


def _line(tensor: Written) -> str:
    shape = " × ".join(map(str, tensor.shape)) or "a number"
    read, written, memory = (
        short(size, "B") for size in (tensor.read_bytes, tensor.size_bytes, tensor.memory_bytes)
    )
    sizes = f"{read} read, {written} written, {memory} of memory"
    return f"{tensor.name}  {shape} {tensor.dtype}  {sizes}  from {tensor.source}"


def _total(found: Outlook) -> str:
    count, files = len(found.tensors), len(found.files)
    further = f" (and {short(found.further_bytes, 'B')} for fingerprints)" if found.further_bytes else ""
    said = (
        f"{count:,} tensor{'' if count == 1 else 's'} in {files:,} file{'' if files == 1 else 's'}: "
        f"{short(found.read_bytes, 'B')} read{further}, {short(found.written_bytes, 'B')} written"
    )
    if found.largest is not None:
        said += f"; {short(found.largest.memory_bytes, 'B')} of memory at the least, for {found.largest.name}"
    return said
