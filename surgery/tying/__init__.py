"""What ties below the level of modules need: loops of blocks, and attention heads as parameters."""
