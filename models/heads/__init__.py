"""Heads. Importing this package registers them all."""

from ullava.models.heads import box, mask  # noqa: F401
