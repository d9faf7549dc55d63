"""The operations that merge this model with other checkpoints, one per file."""
