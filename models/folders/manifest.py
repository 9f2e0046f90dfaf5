"""What a folder says of itself: `ullava.json`, its card.

    ullava, python, packages, commit    the programs that wrote it
    model                      the model section of the YAML; `llm` is the language model's own folder
    run                        the whole YAML of the run that wrote it, where one did
    trained                    what each stage learned, and on which foundations; the first stage first
    bases                      folder of each foundation -> sha256 of its weights
    settings                   folder of each foundation -> {file: sha256}: its config, preprocessor and tokenizer
    files                      {file: {bytes, sha256}} of what lies beside the card
    vocabulary, learned, merged

A foundation is frozen, or begins frozen: its weights are not in the folder. So a folder opens only on foundations with
the same hashes, or where the user says that others will do.
"""

import json
import logging
import platform
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import ullava
from ullava.configs.load import find_shipped
from ullava.configs.schema import ModelConfig, VisionConfig
from ullava.models.folders.hub import find_moved
from ullava.models.folders.sums import Sum, fingerprint, settings_of, sums_of, verify

CARD = "ullava.json"
PACKAGES = ("torch", "transformers", "tokenizers", "peft", "safetensors", "numpy", "bitsandbytes", "deepspeed")
FOUNDED = {  # (head, its option) -> name of the foundation
    ("mask", "sam"): "sam", ("mask", "weights"): "segmenter",
    ("detector", "weights"): "detector", ("detector", "text"): "detector_text",
}  # fmt: skip
AUTO = {"model_type": "ullava", "architectures": ["UllavaForCausalLM"]}  # config.json, for transformers' Auto classes
ROOT = Path(__file__).resolve().parents[2]
log = logging.getLogger("ullava")


@dataclass(frozen=True, slots=True)
class Card:
    """What a folder says of itself.

    Attributes:
        folder: where it lies.
        config: the model section; `llm` is the language model's own folder.
        vocabulary: rows of the embeddings.
        bases: folder of each foundation -> sha256 of its weights.
        learned: names of the weights that no base holds.
        merged: the language model inside the folder holds all that it learned, vocabulary too.
        trained: a line per stage: what learned at which rate, and the hash of each foundation by its name.
        settings: folder of each foundation -> sha256 of its settings' files, by name.
        files: name -> sum of what lies beside the card; None in a folder of an ullava that wrote none.
    """

    folder: Path
    config: ModelConfig
    vocabulary: int
    bases: dict[str, str]
    learned: frozenset[str]
    merged: bool = False
    trained: tuple[Mapping[str, Any], ...] = ()
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    files: Mapping[str, Sum] | None = None


def read_card(folder: str | Path, *, allow_mismatch: bool = False) -> Card | None:
    """The card of an ullava folder, its files and its bases compared; None where there is none.

    Args:
        allow_mismatch: take other foundations than the folder was trained on, and warn.

    Raises:
        ValueError: the card is broken, a file beside it is not the one that was written, or a base is not the one that
            this run was trained on.
    """
    card = open_card(folder)
    if card is None:
        return None
    if card.files is None:
        log.warning("%s: an older ullava wrote no checksums there, so that its files cannot be compared", folder)
    verify(Path(folder), card.files or {}, "copy the file again, or take another checkpoint")
    for base, expected in card.bases.items():
        compare(folder, base, expected, base, allow_mismatch=allow_mismatch)
        compare_settings(folder, base, card.settings.get(base, {}), allow_mismatch=allow_mismatch)
    return card


def open_card(folder: str | Path) -> Card | None:
    """The card of an ullava folder, whatever its bases are now; None where there is none.

    Raises:
        ValueError: the card is broken.
    """
    path = Path(folder, CARD)
    if not path.is_file():
        return None
    try:
        card = json.loads(path.read_text())
        config = rehouse(ModelConfig.model_validate(card["model"]), lambda base: place(folder, base))
        bases = {place(folder, base): digest for base, digest in card["bases"].items()}
        return Card(
            Path(folder), config, card["vocabulary"], bases, frozenset(card["learned"]), card.get("merged", False),
            tuple(card.get("trained", ())),
            {place(folder, base): settings for base, settings in card.get("settings", {}).items()}, card.get("files"),
        )  # fmt: skip
    except (ValueError, KeyError) as error:
        raise ValueError(f"{path}: not a card of ullava {ullava.__version__}: {error}") from error


def known(folder: str | Path, *, allow_mismatch: bool = False) -> Card:
    """The card that a folder has to have.

    Raises:
        FileNotFoundError: it has none.
        ValueError: as `read_card`.
    """
    card = read_card(folder, allow_mismatch=allow_mismatch)
    if card is None:
        raise FileNotFoundError(
            f"{folder}: holds no {CARD}; expected the folder of a run, a checkpoint or a merged model; published "
            "weights become one by `ullava convert`"
        )
    return card


def check_foundations(config: ModelConfig, parent: Card, *, allow_mismatch: bool = False) -> None:
    """Compares the foundations that a YAML names with those under the run that it starts from.

    Raises:
        ValueError: one is another.
    """
    theirs = foundations(parent.config)
    for name, base in foundations(config).items():
        if name in theirs and base != theirs[name]:
            known = parent.bases[theirs[name]]
            compare(parent.folder, theirs[name], known, base, allow_mismatch=allow_mismatch)
            settings = parent.settings.get(theirs[name], {})
            compare_settings(parent.folder, base, settings, allow_mismatch=allow_mismatch)


def compare_settings(folder: str | Path, base: str, expected: Mapping[str, str], *, allow_mismatch: bool) -> None:
    """Refuses a foundation whose settings say something else than when `folder` was trained on it, or warns."""
    found = settings_of(Path(base))
    changed = [name for name, digest in expected.items() if found.get(name) != digest]
    if not changed:
        return
    message = f"{folder} was trained on {base} with other settings: {', '.join(changed)} changed since"
    if not allow_mismatch:
        raise ValueError(f"{message}; put the files back, or train again, or say --allow-mismatch")
    log.warning("%s; going on, as --allow-mismatch says", message)


def compare(folder: str | Path, base: str, expected: str, found: str, *, allow_mismatch: bool) -> None:
    """Refuses a foundation with another hash than that of `base` had, on which `folder` was trained, or warns."""
    actual = fingerprint(found)
    if actual == expected:
        return
    message = f"{folder} was trained on {base} with sha256 {expected}, found {actual} in {found}"
    if not allow_mismatch:
        raise ValueError(f"{message}; put those weights back, or train again, or say --allow-mismatch")
    log.warning("%s; going on, as --allow-mismatch says", message)


def write_card(
    folder: Path,
    config: ModelConfig,
    *,
    vocabulary: int,
    learned: Iterable[str],
    merged: bool = False,
    trained: Sequence[Mapping[str, Any]] = (),
    run: Mapping[str, Any] | None = None,
) -> None:
    """Writes what `read_card` reads, last of all: a folder with a card is complete.

    Args:
        trained: a line per stage before this run.
        run: the whole YAML of the run that writes; its stage gets a line.
    """
    config = rehouse(config, lambda base: path_for_card(folder, base))
    hashes = {name: fingerprint(place(folder, base)) for name, base in foundations(config).items()}
    stages = [*trained, *([{"learn": run["learn"], "foundations": hashes}] if run else [])]
    card = {
        "ullava": ullava.__version__,
        "python": platform.python_version(),
        "packages": packages(),
        "commit": commit(),
        "model": config.model_dump(mode="json"),
        "run": run,
        "trained": stages,
        "vocabulary": vocabulary,
        "bases": {base: hashes[name] for name, base in foundations(config).items()},
        "settings": {base: settings_of(Path(place(folder, base))) for base in foundations(config).values()},
        "learned": sorted(learned),
        "merged": merged,
    }
    (folder / "config.json").write_text(json.dumps(AUTO, indent=2))
    card["files"] = sums_of(folder)
    (folder / CARD).write_text(json.dumps(card, indent=2))


def place(folder: str | Path, base: str) -> str:
    """Where a foundation lies, whatever the working directory is.

    A card's relative path is looked up inside its folder (a merged model), then from each folder above it: so a
    project's runs find its foundations from anywhere, and after the whole project was moved. What is nowhere there lies
    where its path says from the working directory, in the package, or in this machine's hub cache.
    """
    located = locate(folder, base)
    if located is None:
        return find_moved(find_shipped(base))
    if located != Path(folder, base) and Path(base).exists() and located.samefile(base):
        return base
    return str(located)


def locate(folder: str | Path, base: str) -> Path | None:
    """The path of a foundation as seen from the folder whose card names it; None where it is not to be seen."""
    above = (Path(folder), *Path(folder).resolve().parents)
    return next((Path(start, base) for start in above if Path(start, base).exists()), None)


def path_for_card(folder: str | Path, base: str) -> str:
    """The path of a foundation as a card in `folder` names it: absolute where `place` would not find a relative one."""
    located = locate(folder, base)
    if located == Path(folder, base) or not Path(base).exists():
        return base
    return base if located is not None and located.samefile(base) else str(Path(base).absolute())


def vision_of(config: ModelConfig) -> VisionConfig:
    """The tower of a model section that is whole, as a card's is.

    Raises:
        ValueError: the section leaves it to a parent.
    """
    if config.vision is None:
        raise ValueError(f"model.vision: missing; {config.llm} is no ullava run that could say what it saw with")
    return config.vision


def foundations(config: ModelConfig) -> dict[str, str]:
    """Name of each foundation -> its folder, or its file."""
    heads = {name: (config.heads.get(head) or {}).get(key) for (head, key), name in FOUNDED.items()}
    return {"llm": config.llm, "vision": vision_of(config).tower} | {name: base for name, base in heads.items() if base}


def rehouse(config: ModelConfig, to: Callable[[str], str]) -> ModelConfig:
    """`config` with the folder of each foundation as `to` says."""
    heads = {
        name: {key: to(value) if (name, key) in FOUNDED and value else value for key, value in (options or {}).items()}
        for name, options in config.heads.items()
    }
    vision = vision_of(config)
    vision = vision.model_copy(update={"tower": to(vision.tower)})
    return config.model_copy(update={"llm": to(config.llm), "vision": vision, "heads": heads})


@lru_cache
def packages() -> dict[str, str]:
    """Versions of what is installed of `PACKAGES`."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


@lru_cache
def commit() -> str | None:
    """The commit of this checkout, with "-dirty" where files differ from it; None where it is none, or git is not."""
    if not (ROOT / ".git").exists():
        return None
    asked = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=30).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None
