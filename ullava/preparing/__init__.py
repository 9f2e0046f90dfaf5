"""`ullava prepare KIND`: what a dataset needs before it can be read, one file a kind. Importing this registers all."""

from ullava.configs.registry import import_modules

import_modules(__name__)
