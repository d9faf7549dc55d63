"""Names where there is little room for them."""

from __future__ import annotations


def told_apart(names: list[str]) -> list[str]:
    """Paths without the segments that all of them begin or end with."""
    parts = [name.split(".") for name in names]
    most = min(map(len, parts)) - 1
    if len(parts) < 2:
        return names
    start = next((at for at in range(most) if len({part[at] for part in parts}) > 1), most)
    ends = range(most - start)
    end = next((at for at in ends if len({part[-1 - at] for part in parts}) > 1), len(ends))
    return [".".join(part[start : len(part) - end]) for part in parts]
