"""What is asked and answered, without torch and without tensors. Importing this package registers every task."""

from ullava.configs.registry import import_modules

import_modules(__name__)
