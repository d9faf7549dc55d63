"""Widths: what a model has side by side and can have less of, such as neurons, heads, experts.

A kind of unit is a file here: a function that finds the parts with such units and says which slices of
which tensors belong to one. The operations `narrow` and `pad` do the rest.
"""
