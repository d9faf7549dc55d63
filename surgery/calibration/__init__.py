"""What goes into a model's linear layers on calibration data: for edits that weigh weights by their inputs.

`layers_of` finds the layers, `collect` what they are given as the model is, `in_turn` what they are given
once those before them were edited. A `measure` calls one of them and freezes what its plan needs: `Inputs`
says what there is, `surgery.calibration.freezing` keeps Grams.
"""

from surgery.calibration.collecting import collect
from surgery.calibration.layers import Layer, layers_of
from surgery.calibration.observing import Inputs
from surgery.calibration.telling import listening
from surgery.calibration.turns import in_turn

__all__ = ["Inputs", "Layer", "collect", "in_turn", "layers_of", "listening"]
