"""The wrappers that ship."""
