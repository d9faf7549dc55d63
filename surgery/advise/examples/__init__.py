"""Advisers that look at what goes through the model on examples."""
