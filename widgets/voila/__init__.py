"""What a visitor's kernel runs, and the pages around it."""
