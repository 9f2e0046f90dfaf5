"""Heads. Importing this package registers them all."""

from ullava.models.heads import box, contrast, detector, mask  # noqa: F401
