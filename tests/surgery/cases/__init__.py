"""What the contract is held on, a file for each family of operations; decoders generate too."""

from tests.surgery.cases import blocks, calibrated, merges, plain, thin

DECODERS = [*blocks.DECODERS, *calibrated.DECODERS, *thin.DECODERS]
OTHERS = [*plain.OTHERS, *calibrated.OTHERS, *thin.OTHERS, *merges.OTHERS]
