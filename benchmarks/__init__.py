"""Measured figures: ratios taken side by side in one run, so that those of two machines compare."""
