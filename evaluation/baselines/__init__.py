"""Baselines that never see a picture. Importing this package registers every baseline."""

from ullava.configs.registry import import_modules

import_modules(__name__)
