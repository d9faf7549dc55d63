"""Model Surgery: open any PyTorch model, operate on it, measure every cut, replay the script.

s = surgery.open("path/or/hub-id")
s.remove("model.layers[20:24]")
print(s.evaluate())
s.save("out/")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from surgery.siblings import check_siblings

if TYPE_CHECKING:
    from surgery.advise.register import advisers
    from surgery.checkpoint.load import load
    from surgery.errors import SurgeryError
    from surgery.replay import replay
    from surgery.script import Script
    from surgery.selecting import select
    from surgery.session import Session
    from surgery.sources import open

__version__ = "0.1.0"
__all__ = ["Script", "Session", "SurgeryError", "advisers", "load", "open", "replay", "select"]

# Imported when first used: `surgery --help` should not wait for torch.
_HOMES = {
    "Script": "surgery.script",
    "Session": "surgery.session",
    "SurgeryError": "surgery.errors",
    "advisers": "surgery.advise.register",
    "load": "surgery.checkpoint.load",
    "open": "surgery.sources",
    "replay": "surgery.replay",
    "select": "surgery.selecting",
}

check_siblings()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'surgery' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
