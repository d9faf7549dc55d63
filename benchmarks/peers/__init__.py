"""Other tools that draw models, each in a process of its own, under an interpreter of their own."""
