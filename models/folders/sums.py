"""Checksums of the files of a folder: what was written there is what is read, to the last bit.

A flipped bit in a weight, a config or a state reads as well as the right one, and gives numbers that look right.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

Sum = dict[str, Any]  # {"bytes": size, "sha256": of the content}
OWN = (  # what a folder may hold of ours; beside it a run's folder holds logs, scores and checkpoints
    "*.safetensors", "*.safetensors.index.json", "adapter_config.json", "config.json", "generation_config.json",
    "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "chat_template*",
    "preprocessor_config.json", "processor_config.json",
)  # fmt: skip
SETTINGS = (  # of a foundation: what decides, beside its weights, what comes out of it
    "config.json", "preprocessor_config.json", "processor_config.json", "tokenizer.json", "tokenizer.model",
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt",
)  # fmt: skip
TRACES = ("transformers_version", "_name_or_path", "_commit_hash", "name_or_path")  # of who wrote a JSON, when


def sum_of(path: Path) -> Sum:
    """Size and sha256 of a file."""
    stat = path.stat()
    return {"bytes": stat.st_size, "sha256": _digest(path, stat.st_size, stat.st_mtime_ns)}


@lru_cache
def _digest(path: Path, size: int, time: int) -> str:
    """Of a file as it was at its size and time: a process reads it once for that."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sums_of(folder: Path, patterns: Iterable[str] = OWN, but: Iterable[str] = ()) -> dict[str, Sum]:
    """Name -> sum of the files right in a folder that match a pattern."""
    paths = {path.name: path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return {name: sum_of(paths[name]) for name in sorted(set(paths) - set(but))}


def verify(folder: Path, sums: Mapping[str, Sum], cure: str) -> None:
    """Compares files with what is known of them; see `verify_file`."""
    for name, expected in sums.items():
        verify_file(folder / name, [expected], cure)


def verify_file(path: Path, sums: Sequence[Sum], cure: str) -> None:
    """Compares a file with what is known of it.

    Args:
        sums: of what it may be; without a sha256 only its size is compared.

    Raises:
        ValueError: it is missing, or another; ends with `cure`.
    """
    sizes = {known["bytes"] for known in sums}
    expected = " or ".join(f"{size:,}" for size in sorted(sizes))
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected {expected} bytes; {cure}")
    if (size := path.stat().st_size) not in sizes:
        raise ValueError(f"{path}: expected {expected} bytes, found {size:,}; it was cut; {cure}")
    digests = [known["sha256"] for known in sums if "sha256" in known]
    if digests and (digest := sum_of(path)["sha256"]) not in digests:
        raise ValueError(f"{path}: expected sha256 {digests[-1]}, found {digest}; it was changed; {cure}")


def settings_of(base: Path) -> dict[str, str]:
    """Name -> sha256 of what is said in the settings of a foundation; of a file of weights, nothing.

    A JSON is taken for what it says: its order, its spaces, and which version wrote it are no matter.
    """
    if not base.is_dir():
        return {}
    return {name: _meaning(base / name) for name in SETTINGS if (base / name).is_file()}


def _meaning(path: Path) -> str:
    """sha256 of what a file says."""
    content = path.read_bytes()
    if path.suffix == ".json":
        tree = json.loads(content)
        if isinstance(tree, dict):
            tree = {key: value for key, value in tree.items() if key not in TRACES}
        content = json.dumps(tree, sort_keys=True, ensure_ascii=False).encode()
    return hashlib.sha256(content).hexdigest()


def fingerprint(base: str | Path) -> str:
    """sha256 of a weight file, or of those of a folder, in name order; of config.json where it holds no weights."""
    base = Path(base)
    if not base.exists():
        raise FileNotFoundError(f"{base}: no such folder; a run was trained on it, put it back there")
    files = [base] if base.is_file() else sorted([*base.glob("*.safetensors"), *base.glob("*.bin")])
    files = files or [base / "config.json"]
    return _fingerprint(tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files))


@lru_cache
def _fingerprint(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Of files as they were at their size and time: a foundation is read once, not at every checkpoint."""
    digest = hashlib.sha256()
    for file, _, _ in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
