"""The operations that ship, one per file."""

from surgery.operation import Operation
from surgery.operations.attach import Attach
from surgery.operations.cast import Cast
from surgery.operations.detach import Detach
from surgery.operations.duplicate import Duplicate
from surgery.operations.fold import Fold
from surgery.operations.freeze import Freeze
from surgery.operations.insert import Insert
from surgery.operations.keep import Keep
from surgery.operations.merge import Merge
from surgery.operations.move import Move
from surgery.operations.narrow import Narrow
from surgery.operations.pad import Pad
from surgery.operations.recalibrate import Recalibrate
from surgery.operations.remove import Remove
from surgery.operations.replace import Replace
from surgery.operations.skip import Skip
from surgery.operations.sparsify import Sparsify
from surgery.operations.swap import Swap
from surgery.operations.tie import Tie
from surgery.operations.untie import Untie
from surgery.operations.wrap import Wrap

BUILT_IN: tuple[type[Operation], ...] = (
    *(Remove, Keep, Move, Swap, Duplicate),
    *(Tie, Untie, Merge, Sparsify, Narrow, Pad, Attach, Detach, Fold),
    *(Cast, Freeze, Skip, Insert, Replace, Wrap, Recalibrate),
)
