"""Where a name of weights lies on this machine: a folder, one that ships with the package, or a model of the hub.

A hub id is `owner/name` or `owner/name@revision`. huggingface_hub fetches it once into its own cache ($HF_HOME), and
$HF_HUB_OFFLINE keeps it from asking the network. Only weights as safetensors, settings and tokenizers are fetched:
pickles and code stay where they are.
"""

import re
from pathlib import Path

from ullava.configs.load import find_shipped

SETTINGS = ("*.json", "*.txt", "*.model")  # files that a tokenizer, a processor and a configuration are read from
WEIGHTS = ("*.safetensors", *SETTINGS)
FILES = (".pth", ".pt", ".bin", ".safetensors")  # a name that ends so is a file's, never a repository's
HUB_ID = re.compile(r"(?P<id>(?P<owner>[A-Za-z0-9][\w-]*(\.[\w-]+)*)/[A-Za-z0-9][\w.-]*)(@(?P<revision>[\w./-]+))?")
OURS = frozenset({"runs", "models", "model_zoo", "configs", "data", "checkpoints", "weights", "output", "outputs"})
CACHED = re.compile(r"/models--(?P<owner>[\w.-]+?)--(?P<name>[\w.-]+)/snapshots/(?P<revision>[0-9a-f]{40})(/.*)?$")


def local_folder(name: str, key: str, *, weights: bool = True) -> str:
    """The path under which a user's folder, file or hub id lies here.

    Args:
        name: what the user wrote. A path that exists stays as it is, and so does one that cannot be a hub id, since
            who opens it says best what is missing.
        key: where the name stands, for messages: "model.llm".
        weights: False fetches what is read without weights alone: configurations and tokenizers.

    Raises:
        FileNotFoundError: a hub id that is neither in the cache nor can be fetched; says the command that fetches it.
    """
    shipped = find_shipped(name)
    match = None if Path(name).suffix in FILES else HUB_ID.fullmatch(name)
    if Path(shipped).exists() or match is None or match["owner"] in OURS or Path(match["owner"]).is_dir():
        return shipped
    return fetch(match["id"], match["revision"], key, weights=weights)


def fetch(repository: str, revision: str | None, key: str, *, weights: bool = True) -> str:
    """The folder of a model of the hub in huggingface_hub's cache, fetched where it is not there yet.

    Raises:
        FileNotFoundError: as `local_folder`.
    """
    from huggingface_hub import snapshot_download  # a fifth of a second, which local folders need not wait

    patterns: list[str] = [*(WEIGHTS if weights else SETTINGS)]
    try:
        return snapshot_download(repository, revision=revision, allow_patterns=patterns)
    except (OSError, ValueError) as error:  # offline, unknown, gated, no such revision, half a download
        command = f"hf download {repository}" + (f" --revision {revision}" if revision else "")
        reason = " ".join(str(error).split()).partition(". ")[0] or type(error).__name__
        raise FileNotFoundError(
            f"{key}: {repository}: no such folder here, and no model that the Hugging Face hub or its cache gives "
            f"({type(error).__name__}: {reason}); correct the path, or fetch it where there is a network: {command}"
        ) from error


def find_moved(path: str) -> str:
    """A path into another machine's hub cache as the same place in the cache of this one; any other as it stands.

    Cards name their foundations by path. Nothing is fetched: a card comes from anywhere.
    """
    match = CACHED.search(path)
    if match is None or Path(path).exists():
        return path
    from huggingface_hub import constants

    folder = f"models--{match['owner']}--{match['name']}"
    here = Path(constants.HF_HUB_CACHE, folder, "snapshots", match["revision"])
    place = here / (match[4] or "").lstrip("/")
    return str(place) if place.exists() and here in (place, *place.parents) else path
