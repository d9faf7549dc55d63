"""A check at import: `graph` and `widgets` are top-level names that a user's own file may shadow."""

from importlib.util import find_spec
from pathlib import Path


def check_siblings() -> None:
    """ImportError naming the file in the way, if `graph` or `widgets` is not the one beside this package."""
    home = Path(__file__).resolve().parent.parent
    for name in ("graph", "widgets"):
        spec = find_spec(name)
        places = [Path(place).resolve() for place in (spec.submodule_search_locations or [])] if spec else []
        if home / name not in places:
            found = spec.origin if spec else "nothing"
            raise ImportError(
                f"model-surgery needs its own package {name!r}, but {found} is in the way; "
                f"rename that file or start Python in another folder"
            )
