"""The door for other people's code: modules outside the package that register tasks, heads, readers, metrics and more.

    plugins: [my_shapes]                             in the YAML of a training or an evaluation
    ULLAVA_PLUGINS=my_shapes,lab.heads ullava ask ...    for every command, comma between, or what $PATH has

Only modules that the user names are imported, found on Python's own path ($PYTHONPATH) or else in the working
directory, which is searched last. The folder of a model is data: what its card or its config.yaml names as plugins is
never imported because the folder is opened.
"""

import os
import re
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from ullava.configs.yaml12 import ConfigError

VARIABLE = "ULLAVA_PLUGINS"
SEPARATORS = re.compile(rf"[,{re.escape(os.pathsep)}]")
CURE = "put its folder on PYTHONPATH, or start the command in that folder"


def load_plugins(names: Iterable[str] = ()) -> None:
    """Imports the modules that `$ULLAVA_PLUGINS` and then `names` list, so that they register what they define.

    A module that is already imported stays as it is. The names are added to `$ULLAVA_PLUGINS`, by which the processes
    that this one starts know them: a data worker calls this function without names.

    Args:
        names: dotted names of modules; a YAML's `plugins:`.

    Raises:
        ConfigError: a name is no module's, the module is not found, or it raises while it is imported.
    """
    wanted = {name: f"${VARIABLE}" for name in listed(os.environ.get(VARIABLE, ""))}
    wanted |= {name: "plugins" for name in names if name not in wanted}
    if not wanted:
        return
    search_working_directory()
    for name, source in wanted.items():
        load(name, source)
    os.environ[VARIABLE] = ",".join(wanted)


def load_plugins_of(tree: Mapping[str, Any]) -> None:
    """Imports the plugins that a YAML's tree names, before the schema looks at it: a head may declare losses.

    Raises:
        ConfigError: see `load_plugins`. What is no list of names is left for the schema to refuse.
    """
    names = tree.get("plugins")
    if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
        load_plugins(names)


def listed(text: str) -> list[str]:
    """The module names in the value of `$ULLAVA_PLUGINS`."""
    return [name.strip() for name in SEPARATORS.split(text) if name.strip()]


def search_working_directory() -> None:
    """Lets Python look for modules in the working directory as well.

    The `ullava` command lacks it, other than `python -m ullava`. It comes last, so that a file that happens to lie
    there never stands in for an installed module.
    """
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)


def load(name: str, source: str) -> None:
    """Imports one module.

    Args:
        source: where its name was written, for messages.

    Raises:
        ConfigError: see `load_plugins`.
    """
    if name.endswith(".py") or not all(part.isidentifier() for part in name.split(".")):
        expected = "expected the dotted name of a module, such as my_shapes or lab.heads"
        raise ConfigError(f"{source}: {expected}, found {name!r}; leave out the folder and .py")
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise ConfigError(f"{source}: no module {name!r} in {os.getcwd()} or on Python's path; {CURE}") from error
        lacks = f"{source}: {name} imports {error.name!r}, which is not here"
        raise ConfigError(f"{lacks}; install it, or {CURE}") from error
    except Exception as error:  # whatever somebody else's module does: it is the user's to cure
        reason = f"{type(error).__name__}: {error}"
        fails = f"{source}: {name} fails when it is imported: {reason}"
        raise ConfigError(f"{fails}; mend the module, or take it out of the list") from error
