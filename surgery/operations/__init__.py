"""The operations that ship, one per file; those that merge with other checkpoints in a folder of their
own.
"""

from surgery.operation import Operation
from surgery.operations.adopt import Adopt
from surgery.operations.attach import Attach
from surgery.operations.cast import Cast
from surgery.operations.detach import Detach
from surgery.operations.duplicate import Duplicate
from surgery.operations.fold import Fold
from surgery.operations.freeze import Freeze
from surgery.operations.insert import Insert
from surgery.operations.keep import Keep
from surgery.operations.merge import Merge
from surgery.operations.merging.arcee_fusion import ArceeFusion
from surgery.operations.merging.breadcrumbs import Breadcrumbs
from surgery.operations.merging.dare import Dare
from surgery.operations.merging.della import Della
from surgery.operations.merging.karcher import Karcher
from surgery.operations.merging.model_stock import ModelStock
from surgery.operations.merging.multislerp import Multislerp
from surgery.operations.merging.nearswap import Nearswap
from surgery.operations.merging.nuslerp import Nuslerp
from surgery.operations.merging.ram import Ram
from surgery.operations.merging.sce import Sce
from surgery.operations.merging.slerp import Slerp
from surgery.operations.merging.soup import Soup
from surgery.operations.merging.task_arithmetic import TaskArithmetic
from surgery.operations.merging.ties import Ties
from surgery.operations.move import Move
from surgery.operations.narrow import Narrow
from surgery.operations.pad import Pad
from surgery.operations.recalibrate import Recalibrate
from surgery.operations.remove import Remove
from surgery.operations.replace import Replace
from surgery.operations.scale import Scale
from surgery.operations.skip import Skip
from surgery.operations.sparsify import Sparsify
from surgery.operations.swap import Swap
from surgery.operations.tie import Tie
from surgery.operations.untie import Untie
from surgery.operations.wrap import Wrap

BUILT_IN: tuple[type[Operation], ...] = (
    *(Remove, Keep, Move, Swap, Duplicate),
    *(Tie, Untie, Merge, Sparsify, Narrow, Pad, Attach, Adopt, Detach, Fold),
    *(Soup, TaskArithmetic, Ties, Dare, Della, Breadcrumbs, Sce, Ram, ModelStock),
    *(Slerp, Nuslerp, Multislerp, Karcher, Nearswap, ArceeFusion),
    *(Scale, Cast, Freeze, Skip, Insert, Replace, Wrap, Recalibrate),
)
