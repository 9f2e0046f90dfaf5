"""`ullava demo`: the whole job on the embedded world."""
