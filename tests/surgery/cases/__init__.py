"""What the contract is held on, a file for each family of operations; decoders generate too."""

from tests.surgery.cases import adapters, aligned, blocks, calibrated, merges, plain, rewrites, several, thin

_FAMILIES = (blocks, plain, adapters, calibrated, thin, merges, aligned, rewrites, several)

DECODERS = [case for family in _FAMILIES for case in getattr(family, "DECODERS", [])]
OTHERS = [case for family in _FAMILIES for case in getattr(family, "OTHERS", [])]
