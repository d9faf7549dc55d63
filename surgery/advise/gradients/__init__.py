"""Advisers that ask how a loss on examples would change."""
