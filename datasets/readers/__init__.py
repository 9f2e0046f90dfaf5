"""Readers: one file per annotation format. Importing this package registers them all."""

from ullava.configs.registry import import_modules

import_modules(__name__)
