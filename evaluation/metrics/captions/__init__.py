"""Scores of captions."""

from ullava.configs.registry import import_modules

import_modules(__name__)
