"""The tape: what unchanged parts of a model gave before, given again instead of computed.

A call of a block is replayed only if the block is what it was (`signature`, `configs`), its arguments are
bit-equal to the recorded ones (`seen`), and recording it saw nothing irregular (`run`). All else runs.
Source: original.
"""

from surgery.evaluate.tape.block import Block
from surgery.evaluate.tape.run import Place
from surgery.evaluate.tape.tape import Tape

__all__ = ["Block", "Place", "Tape"]
