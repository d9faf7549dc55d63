"""Two models as one: the front blocks of one, a linear layer, the back blocks of another."""
