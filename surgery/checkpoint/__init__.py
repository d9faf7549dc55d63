"""Checkpoints: safetensors on disk, folders that load alone, folders that carry a script."""
