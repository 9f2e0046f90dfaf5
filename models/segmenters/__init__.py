"""What draws masks. Importing this package registers all segmenters."""

from ullava.configs.registry import import_modules

import_modules(__name__)
