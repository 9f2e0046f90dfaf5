"""Lets transformers' Auto classes know our types as soon as both are imported, in either order.

`import ullava` has to stay light (no torch, no transformers), so it cannot register anything yet. It leaves a finder
in Python's path of finders instead, which waits for transformers' two tables and adds our line when they are there.
"""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

CONFIGS, MODELS = "transformers.models.auto.configuration_auto", "transformers.models.auto.modeling_auto"


def add_config(table: ModuleType) -> None:
    """Adds our configuration to `AutoConfig`."""
    from ullava.models.auto_config import UllavaConfig

    table.AutoConfig.register(UllavaConfig.model_type, UllavaConfig, exist_ok=True)


def add_model(table: ModuleType) -> None:
    """Adds our model to `AutoModelForCausalLM`."""
    from ullava.models.auto import UllavaForCausalLM

    table.AutoModelForCausalLM.register(UllavaForCausalLM.config_class, UllavaForCausalLM, exist_ok=True)


class Waiting(MetaPathFinder):
    """Finds one module as others do, and calls `then` with it when it is imported; then it is gone."""

    def __init__(self, name: str, then: Callable[[ModuleType], None]):
        self.name, self.then = name, then

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec and spec.loader:
            run = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                run(module)
                self.then(module)

            spec.loader.exec_module = exec_module
        return spec


def register() -> None:
    """Adds our types now, or when transformers is imported."""
    for name, add in ((CONFIGS, add_config), (MODELS, add_model)):
        if name in sys.modules:
            add(sys.modules[name])
        elif not any(isinstance(finder, Waiting) and finder.name == name for finder in sys.meta_path):
            sys.meta_path.insert(0, Waiting(name, add))
