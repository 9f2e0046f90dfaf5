"""Pretrains the embedded world's foundation models: `python -m ullava.pretraining FOUNDATION`,
one of language, tower, segmenter, detector.

They are made for this world alone: they learn from its own symbols, on scenes drawn by seeds that no split shares.
"""
