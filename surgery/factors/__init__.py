"""Weights as products of thin ones: which can be factorised, their spectra, and ranks under a budget."""
