"""One stage of training, from a YAML to a folder."""
