"""Reads a YAML file into the schema and refuses what that does not know: all errors at once, each with its cure."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from ullava.configs.legacy import modern
from ullava.configs.plugins import load_plugins_of
from ullava.configs.registry import nearest
from ullava.configs.yaml12 import ConfigError, Yaml12Loader, read_yaml, short

S = TypeVar("S", bound=BaseModel)
CONFIGS = Path(__file__).resolve().parent  # of the file, not of the link under ullava/


def find_yaml(name: str | Path) -> Path:
    """The YAML that a user names: a file, or a shipped one by its name below `configs/`, such as `tiny/stage1`.

    Raises:
        ConfigError: there is neither; names the nearest of both.
    """
    path = Path(name)
    if path.is_file() or path.is_absolute():
        return path
    below = path.relative_to("configs") if path.parts[:1] == ("configs",) else path
    for candidate in (CONFIGS / below, CONFIGS / f"{below}.yaml"):
        if candidate.is_file():
            return candidate
    beside = [str(other) for other in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
    raise ConfigError(f"{path}: no such file; {nearest(str(path), [*beside, *shipped_yamls()])}")


def shipped_yamls() -> list[str]:
    """Names of the YAML files that come with the package, but for catalogues."""
    names = (path.relative_to(CONFIGS).with_suffix("") for path in sorted(CONFIGS.rglob("*.yaml")))
    return [name.as_posix() for name in names if name.parts[0] != "datasets"]


def find_shipped(name: str) -> str:
    """A path as it stands, or, where nothing is there, that of the same file of the package: `models/zoo/tiny/llm`.

    Shipped recipes name their foundations from the root of a checkout; so they run from any folder, and from a wheel.
    """
    path = Path(name)
    if path.exists() or path.parts[:1] not in (("configs",), ("models",)):
        return name
    shipped = CONFIGS.parent / path
    return str(shipped) if shipped.exists() else name


def read_run(path: str | Path) -> dict[str, Any]:
    """The mapping in a run's YAML; of one of u-LLaVA's own files, what it means in our words.

    Args:
        path: as `find_yaml`.

    Raises:
        ConfigError: see `find_yaml`, `read_yaml` and `modern`.
    """
    path = find_yaml(path)
    return modern(read_yaml(path), path)


def load(path: str | Path, schema: type[S], overrides: Sequence[str] = (), *, plugins: bool = False) -> S:
    """Returns the `schema` instance written in `path`, after `key.sub=value` overrides (`data.0.portion=0.5`).

    Args:
        plugins: whether to import the modules that the YAML names under `plugins:`. A command does so for the YAML that
            its user names, and never for one that lies in the folder of a run.

    Raises:
        ConfigError: every fault of the file and the overrides, one per line.
    """
    tree = read_run(path)
    faults = []
    for override in overrides:
        try:
            apply(tree, override)
        except ConfigError as error:
            faults.append(str(error))
    if plugins:
        try:
            load_plugins_of(tree)
        except ConfigError as error:
            faults.append(f"{path}: {error}")
    try:
        config = build(schema, tree, str(path))
    except ConfigError as error:
        faults.append(str(error))
        raise ConfigError("\n".join(faults)) from None
    if faults:
        raise ConfigError("\n".join(faults))
    return config


def apply(tree: dict[str, Any], override: str) -> None:
    """Writes one `key.sub=value` into a tree; the value is read as YAML.

    Raises:
        ConfigError: it has another form, its value is invalid YAML, or it goes into a plain value or an absent item.
    """
    key, equals, value = override.partition("=")
    *parents, leaf = key.strip().split(".")
    if not equals or not all((*parents, leaf)):
        hint = "; a YAML is the first argument" if override.endswith((".yaml", ".yml")) else ""
        raise ConfigError(f"{override!r}: expected key=value, e.g. training.batch_size=4{hint}")
    try:
        parsed = yaml.load(value, Yaml12Loader)  # noqa: S506
    except yaml.YAMLError as error:
        raise ConfigError(f"{override!r}: invalid YAML: {' '.join(str(error).split())}") from error
    node: Any = tree
    for step in parents:
        place = place_in(node, step, override)
        if isinstance(node, dict) and node.get(place) is None:
            node[place] = {}
        node = node[place]
    node[place_in(node, leaf, override)] = parsed


def place_in(node: Any, step: str, override: str) -> str | int:
    """Key or index that one step of an override's key means in `node`."""
    if isinstance(node, dict):
        return step
    if not isinstance(node, list):
        raise ConfigError(f"{override!r}: no place for {step!r} in {short(node)}")
    if not step.isdecimal() or int(step) >= len(node):
        raise ConfigError(f"{override!r}: expected the number of an item, below {len(node)}; found {step!r}")
    return int(step)


def build(schema: type[S], tree: dict[str, Any], where: str) -> S:
    """Turns a plain tree into `schema`; `where` begins every message."""
    try:
        return schema.model_validate(tree)
    except ValidationError as error:
        # A list "too short" though something is in it has faulty items, and each of them has its own line.
        faults = [fault for fault in error.errors() if fault["type"] != "too_short" or not fault["input"]]
        raise ConfigError("\n".join(message(schema, where, fault) for fault in faults)) from None


def message(schema: type[BaseModel], where: str, fault: Mapping[str, Any]) -> str:
    """One line for one pydantic fault: file, place, what was expected and found."""
    keys = [key for key in fault["loc"] if key != "[key]"]
    if fault["type"] in ("extra_forbidden", "missing") or "[key]" in fault["loc"]:
        *parents, leaf = keys
        if fault["type"] == "missing":
            return f"{at(where, parents)}: key {leaf!r} is missing"
        known = keys_at(schema, parents)
        if fault["type"] == "literal_error":
            known = re.findall(r"'([^']+)'", fault["ctx"]["expected"])
        return f"{at(where, parents)}: no key {leaf!r}; {nearest(leaf, known)}"
    problem = fault["msg"].replace("valid tuple", "list")  # what a YAML calls it
    expected = "expected keys and values" if fault["type"] == "model_type" else problem[:1].lower() + problem[1:]
    return f"{at(where, keys)}: {expected}, found {short(fault['input'])}"


def at(where: str, keys: Sequence[str | int]) -> str:
    """`where: data[2].portion`."""
    place = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")
    return f"{where}: {place}" if place else where


def keys_at(schema: Any, parents: Sequence[str | int]) -> list[str]:
    """Keys that the section at `parents` may hold."""
    for key in parents:
        if isinstance(key, str) and hasattr(schema, "model_fields"):
            schema = schema.model_fields[key].annotation
        sections = [s for s in (schema, *get_args(schema)) if isinstance(s, type) and issubclass(s, BaseModel)]
        schema = sections[0] if sections else schema
    return [*schema.model_fields, *getattr(schema, "declared", ())] if hasattr(schema, "model_fields") else []


def data_root() -> Path:
    """Root of relative data paths: $ULLAVA_DATA, default `data/`."""
    return Path(os.environ.get("ULLAVA_DATA", "data"))
