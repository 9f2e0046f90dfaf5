"""What a run is, in words: names, tokens, schema, and the YAML files that use them; no torch."""
