"""Scores of files, without a model: `ullava score`, `ullava compare`, `ullava export-masks`."""
