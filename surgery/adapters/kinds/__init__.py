"""The kinds of adapters that ship: one a file, in the order of menus."""

from surgery.adapters.kinds.bottleneck import BOTTLENECK
from surgery.adapters.kinds.dora import DORA
from surgery.adapters.kinds.ia3 import IA3
from surgery.adapters.kinds.kind import Kind, Settings
from surgery.adapters.kinds.lora import LORA, RSLORA
from surgery.adapters.kinds.mole import MOLE
from surgery.adapters.kinds.s2lora import S2LORA
from surgery.adapters.kinds.scse import SCSE
from surgery.adapters.kinds.sharelora import SHARELORA

KINDS: dict[str, Kind] = {
    kind.name: kind for kind in (LORA, RSLORA, DORA, IA3, SHARELORA, S2LORA, MOLE, BOTTLENECK, SCSE)
}

__all__ = ["KINDS", "Kind", "Settings"]
