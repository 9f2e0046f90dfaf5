"""The sentences that ask, by where they come from. Importing this package registers every phrasebook."""

from ullava.configs.registry import import_modules

import_modules(__name__)
