"""Alignment: which units of a model may change places together, and how those of two models match.

`groups` finds the units, `named` those that are known by names, `reordering` plans the edits; `matching`
finds the order in which another model's units are most like this one's, `activations` does so on data.
"""
