"""Readers of the flat JSON files of u-LLaVA (github.com/OPPOMKLab/u-LLaVA, dataset/)."""

from ullava.configs.registry import import_modules

import_modules(__name__)
