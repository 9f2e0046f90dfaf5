"""Opens a GroundingDINO from a folder of transformers, or from a published file beside a text encoder's folder."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from transformers import (
    AutoTokenizer,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    PreTrainedTokenizerBase,
)

from ullava.models.backbones.vision_tower import load_weights, read_settings
from ullava.models.detectors import grounding_dino_weights as groundingdino
from ullava.models.folders.trust import NEVER, no_code

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # IDEA-Research/GroundingDINO, util/inference.py
SHORTEST, LONGEST = 800, 1333  # pixels; the same file
STOPS = ("[CLS]", "[SEP]", ".", "?")  # between phrases


@dataclass(frozen=True, slots=True)
class Opened:
    """A GroundingDINO with its border to texts and pictures.

    Attributes:
        detector: the network, float32, frozen.
        tokenizer: of its text encoder; None where only the configuration was read.
        mean, std: of pixels in 0..1.
        shortest, longest: pixels of a picture's sides, at which it was trained.
        source: where it lay.
    """

    detector: GroundingDinoForObjectDetection
    tokenizer: PreTrainedTokenizerBase | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    shortest: int
    longest: int
    source: str


def open_detector(
    weights: str | Path, text: str | Path | None = None, *, attention_heads: int | None = None, key: str = "weights"
) -> Opened:
    """Opens a GroundingDINO.

    Args:
        weights: folder of transformers, with its tokenizer; or a published file.
        text: folder of the text encoder (bert-base-uncased: config.json and the tokenizer's files); a published file
            needs it, a folder has its own.
        attention_heads: of a published file that does not tell; None: as most do.
        key: where the YAML names it, for messages.

    Raises:
        FileNotFoundError: a file or folder is missing; says where to get it.
        ValueError: not a GroundingDINO, or not a whole one.
    """
    weights = Path(weights)
    if not weights.exists():
        raise FileNotFoundError(
            f"{key}: {weights}: no such file or folder; expected groundingdino_swint_ogc.pth (github.com/IDEA-Research/"
            "GroundingDINO, releases) or a folder like IDEA-Research/grounding-dino-tiny"
        )
    text = find_text(weights, text, key)
    if weights.is_dir():
        check_kind(weights, key)
        detector = load_weights(GroundingDinoForObjectDetection, str(weights), key, dtype=torch.float32)
    else:
        detector = groundingdino.open_file(weights, text, heads=attention_heads)
    with no_code(text, key):
        tokenizer = AutoTokenizer.from_pretrained(text, **NEVER)
    network: Any = detector.model  # transformers takes the stops for a Buffer, which a plain tensor is not
    # findings/grounding_dino_separators.sh
    network.special_tokens = stops(tokenizer, text, key)
    kind = network.text_backbone.config._attn_implementation
    # findings/grounding_dino_eager.sh
    if kind == "eager":  # it would add the mask of phrases as zeros and ones
        network.text_backbone.set_attn_implementation("sdpa")
    detector.requires_grad_(False).eval()
    return Opened(detector, tokenizer, *preparation(weights), source=str(weights))


def outline_detector(weights: str | Path, *, key: str = "weights") -> Opened:
    """A GroundingDINO with random weights, from a folder's configuration alone; it has no tokenizer.

    Raises:
        FileNotFoundError, ValueError: the folder has no config.json, or not that of a GroundingDINO.
    """
    check_kind(Path(weights), key)
    detector = GroundingDinoForObjectDetection(GroundingDinoConfig.from_pretrained(str(weights), **NEVER))
    detector.requires_grad_(False).eval()
    return Opened(detector, None, *preparation(Path(weights)), source=str(weights))


def check_kind(weights: Path, key: str) -> None:
    """Refuses a folder whose config.json is not that of a GroundingDINO."""
    kind = read_settings(str(weights), "config.json", key).get("model_type")
    if kind != GroundingDinoConfig.model_type:
        raise ValueError(f"{key}: {weights} holds a {kind!r}, expected {GroundingDinoConfig.model_type!r}")


def convert(source: str, destination: str, *, text: str | None = None, attention_heads: int | None = None) -> None:
    """Writes a published GroundingDINO as a folder that needs no other.

    Raises:
        FileExistsError: there is something at `destination`.
        FileNotFoundError, ValueError: as `open_detector`.
    """
    target = Path(destination)
    if target.exists():
        raise FileExistsError(f"{destination}: exists already; name another folder, or remove this one")
    opened = open_detector(source, text, attention_heads=attention_heads, key="groundingdino")
    aside = target.with_name(f"{target.name}.partial")
    opened.detector.save_pretrained(aside)
    assert opened.tokenizer is not None  # it was read
    opened.tokenizer.save_pretrained(aside)
    prepared = {
        "image_processor_type": "GroundingDinoImageProcessor", "image_mean": opened.mean, "image_std": opened.std,
        "rescale_factor": 1 / 255, "size": {"shortest_edge": opened.shortest, "longest_edge": opened.longest},
    }  # fmt: skip
    (aside / "preprocessor_config.json").write_text(json.dumps(prepared, indent=1) + "\n")
    aside.replace(target)


def find_text(weights: Path, text: str | Path | None, key: str) -> Path:
    """The folder of the text encoder and its tokenizer.

    Raises:
        FileNotFoundError: it is not named or not there, or holds no tokenizer.
    """
    cure = "name a folder with bert-base-uncased's config.json and tokenizer.json (or vocab.txt) as `text:` beside it"
    if text is None and not weights.is_dir():
        raise FileNotFoundError(f"{key}: {weights} holds no text encoder's configuration and no tokenizer; {cure}")
    folder = weights if text is None else Path(text)
    needed = [("config.json",), ("tokenizer.json", "vocab.txt")]
    for names in needed:
        if not any((folder / name).is_file() for name in names):
            raise FileNotFoundError(f"{key}: {folder}: holds no {' or '.join(names)}; {cure}")
    return folder


def stops(tokenizer: PreTrainedTokenizerBase, text: Path, key: str) -> torch.Tensor:
    """Ids of what stands between phrases; transformers knows those of bert-base-uncased alone.

    Raises:
        ValueError: the tokenizer does not know one.
    """
    ids = cast(list[int], tokenizer.convert_tokens_to_ids(list(STOPS)))  # one of each: it was given a list
    unknown = [stop for stop, i in zip(STOPS, ids, strict=True) if i in (None, tokenizer.unk_token_id)]
    if unknown:
        raise ValueError(f"{key}: {text}: its tokenizer does not know {' '.join(unknown)}; expected a BERT's")
    return torch.tensor(ids)


def preparation(weights: Path) -> tuple[tuple[float, ...], tuple[float, ...], int, int]:
    """Mean, std, and the sides of a picture: a folder's own, else the published ones."""
    path = weights / "preprocessor_config.json"
    settings = json.loads(path.read_text()) if path.is_file() else {}
    size = settings.get("size", {})
    mean, std = settings.get("image_mean", MEAN), settings.get("image_std", STD)
    return tuple(mean), tuple(std), size.get("shortest_edge", SHORTEST), size.get("longest_edge", LONGEST)
