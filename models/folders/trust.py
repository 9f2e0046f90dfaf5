"""What a folder of weights may not ask for: code of its own, kernels from a hub, files or weights that lie elsewhere.

A folder comes from the internet. transformers asks at the terminal whether to run the code in it, fetches kernels that
its configuration names, and follows a LoRA to the base that it names; here each of these is an error that says which.
Pickled weights are read by torch as plain tensors, and refused where they hold more.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

NEVER: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}  # of every `from_pretrained`
KERNELS = ("attn_implementation", "_attn_implementation", "experts_implementation")


def check_folder(folder: str | Path, key: str) -> None:
    """Looks for what a folder of weights may not ask for, before transformers does.

    Raises:
        ValueError: it does; begins with `key`.
    """
    if Path(folder, "adapter_config.json").is_file():
        raise ValueError(f"{key}: {folder} is a LoRA for another model; merge it into that one first, by peft")
    for path in sorted(Path(folder).glob("*.index.json")):
        places = read(path, key).get("weight_map", {})
        for name in sorted(set(places.values())) if isinstance(places, dict) else [places]:
            if not isinstance(name, str) or Path(name).name != name:
                raise ValueError(f"{key}: {path} names the weights {name!r}; expected files beside it")
    for path in sorted(Path(folder).glob("*config.json")):
        for wanted in asked(read(path, key)):
            raise ValueError(f"{key}: {path} asks for the kernels {wanted!r} from a hub; take the key out")


def read(path: Path, key: str) -> Any:
    """What a JSON file of a weights folder holds."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{key}: {path}: broken JSON ({error}); fetch the file again") from error


def asked(settings: Any) -> Iterator[str]:
    """Yields the kernels that a configuration, or one inside of it, names by a hub's address."""
    if isinstance(settings, dict):
        yield from (value for name in KERNELS if "/" in str(value := settings.get(name, "")))
        for inner in settings.values():
            yield from asked(inner)


@contextmanager
def no_code(folder: str | Path, key: str) -> Iterator[None]:
    """Says in one line that a folder wanted to run code, where transformers or torch refuse it.

    Raises:
        ValueError: they do.
    """
    try:
        yield
    except UnpicklingError as error:
        raise ValueError(
            f"{key}: {folder}: its weights are a pickle that holds more than tensors, which may be any program; fetch "
            "them as safetensors"
        ) from error
    except ValueError as error:
        if "trust_remote_code" not in str(error):
            raise
        raise ValueError(
            f"{key}: {folder} holds code of its own, which is never run; take a model that transformers knows"
        ) from error
