"""Published checkpoints in, published checkpoints out: one table of names per kind, read in two directions."""
