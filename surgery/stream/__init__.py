"""Plans carried out on tensors that lie in files, piece by piece, in bounded memory."""
