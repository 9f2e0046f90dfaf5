"""Readers of boxes, masks, label maps and the phrases that describe them."""

from ullava.configs.registry import import_modules

import_modules(__name__)
