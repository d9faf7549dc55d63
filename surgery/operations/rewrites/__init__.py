"""Operations that write a model down in another way: what it computes stays, up to rounding."""
