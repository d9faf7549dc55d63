"""How large what is built is: panels, JupyterLab's extension, and wheel and sdist where they lie in `dist`.

`python -m tools.sizes`; `python -m build` makes wheel and sdist.
"""

import gzip
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PARTS = {
    "panels": "widgets/static/*",
    "JupyterLab extension": "widgets/labextension/**/*",
    "trained demonstrations": "surgery/demo/**/*.safetensors",
    "wheel": "dist/*.whl",
    "sdist": "dist/*.tar.gz",
}


def files(pattern: str) -> list[Path]:
    """The files of a part; those for a browser's debugger do not count."""
    return sorted(path for path in ROOT.glob(pattern) if path.is_file() and path.suffix != ".map")


def lines(pattern: str, name: str) -> Iterator[str]:
    """The whole of a part, then its files, the largest first; of scripts also what they weigh compressed."""
    found = files(pattern)
    yield row(sum(path.stat().st_size for path in found), _packed(found), name if found else f"{name}: none")
    if len(found) > 1:
        for path in sorted(found, key=lambda path: -path.stat().st_size):
            yield row(path.stat().st_size, _packed([path]), f"  {path.relative_to(ROOT)}")


def row(size_bytes: int, packed_bytes: int, name: str) -> str:
    """Bytes, bytes as gzip where there are any, and what of."""
    return f"{size_bytes:>12,}  {f'{packed_bytes:,}' if packed_bytes else '':>10}  {name}"


def _packed(paths: Iterable[Path]) -> int:
    scripts = (path for path in paths if path.suffix in (".js", ".css"))
    return sum(len(gzip.compress(path.read_bytes())) for path in scripts)


def main() -> None:
    """The command."""
    print(f"{'bytes':>12}  {'gzip':>10}")
    for name, pattern in PARTS.items():
        print("\n".join(lines(pattern, name)))
    if not files(PARTS["wheel"]):
        print("Try: python -m build, for wheel and sdist.", file=sys.stderr)


if __name__ == "__main__":
    main()
