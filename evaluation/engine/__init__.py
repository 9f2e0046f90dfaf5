"""Asks a model every question of an evaluation and scores the answers; writes no page."""
