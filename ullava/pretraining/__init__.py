"""Pretrains the embedded world's foundation models: `python -m ullava.pretraining language | tower | segmenter`.

They are made to measure: they learn from the world's own symbols, on scenes of a seed that no split shares.
"""
