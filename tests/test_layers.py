"""The house rules, executed: who may import whom, under which name, and how long a page may be."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BELOW = {  # room -> rooms it may import from, besides itself
    "configs": set(),
    "datasets": {"configs"},
    "tasks": {"configs", "datasets"},
    "models": {"configs", "datasets"},
    "evaluation": {"configs", "datasets", "tasks", "models"},
    "ullava": {"configs", "datasets", "tasks", "models", "evaluation"},
}
FLOORS = {  # room -> its sub-rooms and modules from the ground up: each may import from those before it only
    "configs": ("tokens", "registry", "yaml12", "plugins", "messages", "legacy_words", "legacy_data", "legacy", "load",
                "arguments"),
    "datasets": (
        "opening", "watchdog", "tracing", "outlines", "moments", "keywords", "masks", "structures", "boxes",
        "components", "images", "mirror", "videos", "formats", "tables", "readers", "exclude", "splits", "catalogue",
        "tiny_world",
    ),
    "tasks": ("base", "phrases", "answers"),
    "models": (
        "stages", "losses", "lora", "weights", "folders", "text", "batching", "backbones", "segmenters", "detectors",
        "heads", "ullava", "vocabulary", "inheritance", "processor_from_config", "assembly", "convert", "quantisation",
        "answering", "given_pictures", "asking", "auto_config", "auto_processor", "auto",
    ),
    "evaluation": ("metrics", "engine", "baselines", "report", "score", "ask", "evaluator"),
    "ullava": ("checking", "memory", "training", "generating", "preparing", "pretraining", "demo", "serving",
               "commands", "auto", "__main__"),
}  # fmt: skip
COMMANDS = {  # how one ends, how one listens, and what two of them say while they work
    ROOT / "configs" / "messages.py", ROOT / "evaluation" / "ask" / "chat.py",
    ROOT / "ullava" / "training" / "train.py", ROOT / "ullava" / "demo" / "demo.py",
}  # fmt: skip
LIGHT = {"configs", "datasets", "tasks"}  # rooms that work without the network's packages
NETWORK = {"torch", "transformers", "peft", "accelerate", "safetensors", "deepspeed"}
VAGUE = {"utils", "util", "tools", "common", "misc", "helpers", "helper"}
FILES = sorted(
    path
    for room in BELOW
    for path in (ROOT / room).rglob("*.py")
    if not any(parent.is_symlink() for parent in path.parents)
)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def nodes(*kinds: type[ast.AST]) -> Iterator[tuple[str, str, ast.AST]]:
    """Yields (room, "path:line", node) for every node of these kinds in the house."""
    for path in FILES:
        place = path.relative_to(ROOT)
        for node in ast.walk(tree_of(path)):
            if isinstance(node, kinds):
                yield place.parts[0], f"{place}:{node.lineno}", node


def names_of(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Dotted names that a statement imports; of a relative one they begin with a dot."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    stem = "." * node.level + (node.module or "")
    return [stem, *(f"{stem}.{alias.name}" for alias in node.names)]


def imports() -> Iterator[tuple[str, str, str]]:
    """Yields (room, "path:line", dotted name) of every import in the house, wherever in its file."""
    for room, place, node in nodes(ast.Import, ast.ImportFrom):
        yield from ((room, place, name) for name in names_of(node))


def is_command(path: Path) -> bool:
    """Whether a file is what a user runs, and so may speak to the terminal: it has a `main`, or is how one ends."""
    functions = [node.name for node in tree_of(path).body if isinstance(node, ast.FunctionDef)]
    return "main" in functions or path in COMMANDS


def test_imports_point_downwards():
    upwards = [
        f"{place}: {room} must not import {name}"
        for room, place, name in imports()
        for top, below, *_ in [(*name.split("."), "")]
        if top == "ullava" and below in BELOW and below not in BELOW[room] | {room}
    ]
    assert not upwards


def module_of(path: Path) -> str:
    """The dotted name under which a file is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return ".".join(parts if parts[0] == "ullava" else ("ullava", *parts))


MODULES = {module_of(path): path for path in FILES}


def arrows() -> Iterator[tuple[str, str]]:
    """Yields (module, module that it imports when it is loaded) for every import at the top of a file."""
    for module, path in MODULES.items():
        for node in tree_of(path).body:
            for name in names_of(node) if isinstance(node, ast.Import | ast.ImportFrom) else ():
                if name in MODULES and name != module:
                    yield module, name


@pytest.mark.parametrize("room", FLOORS)
def test_subrooms_import_downwards(room):
    floors = FLOORS[room]
    stem = "ullava" if room == "ullava" else f"ullava.{room}"
    upwards = []
    for _, place, node in nodes(ast.Import, ast.ImportFrom):
        path = ROOT / place.rpartition(":")[0]
        for name in names_of(node) if path.is_relative_to(ROOT / room) else ():
            here, there = (floor_of(other, stem) for other in (module_of(path), name))
            if here in floors and there in floors and floors.index(there) > floors.index(here):
                upwards.append(f"{place}: {here} must not import {name}")
    assert not upwards


def floor_of(module: str, stem: str) -> str | None:
    """The sub-room or module of the room `stem` that a dotted name lies in."""
    return module.removeprefix(f"{stem}.").split(".")[0] if module.startswith(f"{stem}.") else None


def test_every_floor_is_there():
    for room, floors in FLOORS.items():
        stem = "ullava" if room == "ullava" else f"ullava.{room}"
        assert not [floor for floor in floors if f"{stem}.{floor}" not in MODULES]


def test_no_module_imports_itself_by_way_of_others():
    order = TopologicalSorter({module: set() for module in MODULES})
    for module, other in arrows():
        if MODULES[other].name != "__init__.py":  # a package's page imports its modules, and they lie inside it
            order.add(module, other)
    order.prepare()  # raises CycleError, which names the circle


def test_what_the_tiny_world_draws_is_known_to_few():
    allowed = ("datasets/tiny_world/", "ullava/demo/", "ullava/preparing/tiny_world.py", "ullava/pretraining/")
    users = {place for _, place, name in imports() if name.startswith("ullava.datasets.tiny_world")}
    assert not [place for place in users if not place.startswith(allowed)]


def test_a_folder_holds_at_most_twenty_modules():
    for folder in {path.parent for path in FILES}:
        assert len(list(folder.glob("*.py"))) <= 20, f"{folder.relative_to(ROOT)}: divide it"


def test_imports_are_absolute_and_under_the_packages_name():
    wrong = [
        f"{place}: {name}; write `from ullava.room.module import name`"
        for _, place, name in imports()
        if name.split(".")[0] in BELOW.keys() - {"datasets", "ullava"} | {""} or name.endswith("*")
    ]
    assert not wrong


def test_only_models_and_above_name_the_networks_packages():
    heavy = [(place, name) for room, place, name in imports() if room in LIGHT and name.split(".")[0] in NETWORK]
    assert not heavy


def test_readers_and_tasks_work_without_the_network_loaded():
    code = "import sys, ullava.tasks.mixture, ullava.datasets.readers; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "transformers"} & set(run.stdout.split())


def test_torchvision_is_never_imported():
    assert not [place for _, place, name in imports() if name.split(".")[0] == "torchvision"]


def test_a_file_is_one_page_with_a_purpose():
    for path in FILES:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 300, f"{path}: split it"
        assert ast.get_docstring(tree_of(path)), f"{path}: say in a docstring what it is for"
        assert path.stem not in VAGUE, f"{path}: name it after its concept"


def test_a_function_fits_the_screen():
    functions = nodes(ast.FunctionDef, ast.AsyncFunctionDef)
    assert not [f"{place}: {node.name}" for _, place, node in functions if node.end_lineno - node.lineno >= 60]


def test_errors_are_never_swallowed():
    swallowed = [
        place
        for _, place, node in nodes(ast.ExceptHandler)
        if node.type is None or all(isinstance(part, ast.Pass) for part in node.body)
    ]
    assert not swallowed


def test_only_commands_print():
    printed = [place for _, place, node in nodes(ast.Call) if getattr(node.func, "id", None) == "print"]
    assert not [place for place in printed if not is_command(ROOT / place.split(":")[0])]


def test_no_device_is_named():
    called = [(place, getattr(node.func, "attr", None)) for _, place, node in nodes(ast.Call)]
    assert not [place for place, name in called if name in ("cuda", "empty_cache")], "take the tensors' own device"


def test_every_room_opens_but_datasets():
    folders = {path.parent for path in FILES}
    closed = {folder for folder in folders if not (folder / "__init__.py").exists()}
    assert closed == {ROOT / "datasets"}, "datasets/__init__.py would shadow Hugging Face's; other rooms need one"


def test_links_lead_an_editor_to_every_room():
    for room in BELOW.keys() - {"ullava"}:
        assert (ROOT / "ullava" / room).readlink() == Path("..", room)


def test_tests_mirror_the_rooms_and_are_no_package():
    assert not list((ROOT / "tests").rglob("__init__.py"))
    rooms = {path.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").glob("*/**/test_*.py")}
    assert rooms <= BELOW.keys()
