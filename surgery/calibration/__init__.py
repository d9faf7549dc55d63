"""What goes into a model's linear layers on calibration data: for edits that weigh weights by their inputs.

`layers_of` finds the layers, `collect` what they are given as the model is, `in_turn` what they are given
once those before them were edited. A `measure` calls one of them and freezes what its plan needs: `Inputs`
says what there is, `surgery.calibration.freezing` keeps Grams.
"""
