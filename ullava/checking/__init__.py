"""`ullava check`: what a YAML would do, and everything wrong with it and its data."""
