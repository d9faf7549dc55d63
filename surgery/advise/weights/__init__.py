"""Advisers that read weights and need no examples."""
