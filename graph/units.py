"""Counts and sizes as people read them."""

_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def short(number: float, unit: str = "") -> str:
    """A count to three significant digits with its unit: 1479808 is `1.48 M`, 32768 `32.8 k`, 128 `128`."""
    rounded = float(f"{number:.3g}")  # first, so that 999 950 becomes 1.00 M and not 1000 k
    for size, prefix in _UNITS:
        if abs(rounded) >= size:
            value = rounded / size
            digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
            return f"{value:.{digits}f} {prefix}{unit}"
    return f"{number:.0f} {unit}".rstrip()
