"""Reads a YAML file as YAML 1.2 means it, and says where it is broken."""

import re
from pathlib import Path
from typing import Any

import yaml

from ullava.configs.registry import SHOWN, nearest

INDENTED = "; keys of one section begin in one column: indent this line as the others of its section"


class ConfigError(ValueError):
    """A YAML that does not fit the schema; one line per fault: file, key, what was found, the cure."""


class Yaml12Loader(yaml.SafeLoader):
    """PyYAML's safe loader, but `2e-4` is a number (YAML 1.2), and a key written twice is an error."""

    def compose_mapping_node(self, anchor):
        node = super().compose_mapping_node(anchor)
        keys = [key.value for key, _ in node.value]
        for i, (key, _) in enumerate(node.value):
            if key.value in keys[:i]:
                mark = key.start_mark
                raise ConfigError(f"{mark.name}:{mark.line + 1}: key {key.value!r} is written twice; keep one")
        return node


Yaml12Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"),
    list("-+0123456789."),
)
# The integer resolver has to be asked before the float one, which also matches "12".
for first, resolvers in Yaml12Loader.yaml_implicit_resolvers.items():
    Yaml12Loader.yaml_implicit_resolvers[first] = sorted(resolvers, key=lambda pair: pair[0].endswith(":float"))


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: no such file, invalid YAML (with its line), or not a mapping.
    """
    path = Path(path)
    if not path.is_file():
        beside = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        raise ConfigError(f"{path}: no such file; {nearest(path.name, beside)}")
    with path.open(encoding="utf-8") as file:
        try:
            tree = yaml.load(file, Yaml12Loader)  # noqa: S506, a subclass of SafeLoader
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            cure = INDENTED if "<block end>" in str(error) else ""
            raise ConfigError(f"{path}: invalid YAML: {' '.join(str(error).split())}{cure}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected keys and values, found {short(tree)}")
    return tree


def short(value: Any) -> str:
    """A value as a message shows it."""
    text = "nothing" if value is None else SHOWN.repr(value)
    return text if len(text) <= 60 else f"{text[:56]} ..."
