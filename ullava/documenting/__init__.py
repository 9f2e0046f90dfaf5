"""Pages of docs/ that are made from the code: every key of a YAML, and every name that a registry knows."""
