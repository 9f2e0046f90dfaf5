"""`python -m ullava.pretraining FOUNDATION`: pretrains one foundation model and writes it into the zoo.

The same command goes on where it stopped.
"""

import argparse
import copy
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ullava.configs.arguments import AMOUNT, RANDOM_SEED
from ullava.models.tiny import SIDE, ZOO
from ullava.pretraining import detector, language, segmenter, tower
from ullava.pretraining.loop import Loop

Settings = dict[str, Any]
SEED = 0  # the first number of every generator here; the world's splits begin with 1, 2 and 3


def learn_language(folder: Path, zoo: Path, minutes: float) -> Loop[language.Reader, dict[str, Tensor]]:
    """The training of the language model."""
    tokenizer = language.tokenizer(zoo / "llm", (SEED, 10))
    held_out = language.held_out(tokenizer, (SEED, 11))
    return Loop(
        model=language.Reader(tokenizer),
        batches=language.batches(tokenizer, (SEED, 12, started(folder)), batch_size=16),
        loss=language.loss,
        measure=lambda model: language.measure(model, held_out),
        export=lambda model, scores: export_language(model, tokenizer, zoo / "llm", scores),
        folder=folder,
        minutes=minutes,
        rate=2e-3,
    )


def export_language(
    model: language.Reader, tokenizer: PreTrainedTokenizerFast, folder: Path, scores: dict[str, float]
) -> None:
    """Writes the language model in float16, its tokenizer and its scores."""
    copy.deepcopy(model.llm).half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write(folder, scores)


def learn_tower(folder: Path, zoo: Path, minutes: float) -> Loop[tower.Seer, tuple[Tensor, Tensor]]:
    """The training of the vision tower."""
    held_out = tower.sample(np.random.default_rng((SEED, 21)), 256)
    settings = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    return Loop(
        model=tower.Seer(),
        batches=tower.batches((SEED, 22, started(folder)), batch_size=32),
        loss=tower.loss,
        measure=lambda model: tower.measure(model, held_out),
        export=lambda model, scores: export(
            model.clip, zoo / "clip", scores, "CLIPImageProcessor", settings, tower.MEAN, tower.STD
        ),
        folder=folder,
        minutes=minutes,
        rate=1e-3,
    )


def learn_segmenter(folder: Path, zoo: Path, minutes: float) -> Loop[segmenter.Cutter, segmenter.Batch]:
    """The training of the segmenter."""
    model = segmenter.Cutter()
    vision = model.sam.vision_encoder.config
    assert isinstance(vision.image_size, int) and isinstance(vision.patch_size, int)  # of squares, as `tiny_sam` says
    grid = vision.image_size // vision.patch_size
    held_out = segmenter.held_out((SEED, 31), grid)
    settings = {"size": {"longest_edge": SIDE}, "pad_size": {"height": SIDE, "width": SIDE}}
    return Loop(
        model=model,
        batches=segmenter.batches((SEED, 32, started(folder)), 16, grid),
        loss=segmenter.loss,
        measure=lambda model: segmenter.measure(model, held_out),
        export=lambda model, scores: export(
            model.sam, zoo / "sam", scores, "SamImageProcessor", settings, tower.MEAN, tower.STD
        ),
        folder=folder,
        minutes=minutes,
        rate=1e-3,
    )


def learn_detector(folder: Path, zoo: Path, minutes: float) -> Loop[detector.Finder, detector.Batch]:
    """The training of the detector."""
    tokenizer = detector.tokenizer()
    held_out = detector.held_out((SEED, 41), tokenizer)
    settings = {"size": {"shortest_edge": SIDE, "longest_edge": SIDE}}
    return Loop(
        model=detector.Finder(tokenizer),
        batches=detector.batches((SEED, 42, started(folder)), tokenizer, batch_size=16),
        loss=detector.loss,
        measure=lambda model: detector.measure(model, held_out),
        export=lambda model, scores: export_detector(model, tokenizer, zoo / "groundingdino", scores, settings),
        folder=folder,
        minutes=minutes,
        rate=1e-3,
    )


def export_detector(
    model: detector.Finder,
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    scores: dict[str, float],
    settings: Settings,
) -> None:
    """Writes the detector and its tokenizer."""
    export(model.detector, folder, scores, "GroundingDinoImageProcessor", settings, tower.MEAN, tower.STD)
    tokenizer.save_pretrained(folder)


def export(
    model: PreTrainedModel,
    folder: Path,
    scores: dict[str, float],
    kind: str,
    settings: Settings,
    mean: Sequence[float],
    std: Sequence[float],
) -> None:
    """Writes a model in float16, the settings by which its pictures are prepared, and its scores.

    Args:
        kind: class of transformers that prepares pictures so.
        settings: its further settings.
        mean, std: of each colour channel, for values from 0 to 1.
    """
    copy.deepcopy(model).half().save_pretrained(folder)
    prepared = {
        "image_processor_type": kind,
        "image_mean": mean,
        "image_std": std,
        "rescale_factor": 1 / 255,
        **settings,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(prepared, indent=1) + "\n")
    write(folder, scores)


def started(folder: Path) -> int:
    """How often training began before, counted in a file: each start draws other scenes."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "started"
    count = int(path.read_text()) if path.is_file() else 0
    path.write_text(str(count + 1))
    return count


def write(folder: Path, scores: dict[str, float]) -> None:
    """Writes scores.json beside the weights."""
    rounded = {name: round(float(value), 4) for name, value in scores.items()}
    (folder / "scores.json").write_text(json.dumps(rounded, indent=1) + "\n")


FOUNDATIONS: dict[str, Callable[[Path, Path, float], Loop[Any, Any]]] = {
    "language": learn_language, "tower": learn_tower, "segmenter": learn_segmenter, "detector": learn_detector,
}  # fmt: skip


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m ullava.pretraining", description=__doc__)
    parser.add_argument("foundation", choices=FOUNDATIONS)
    parser.add_argument("--minutes", type=AMOUNT, default=60, help="of training in all, earlier ones counted")
    parser.add_argument("--folder", type=Path, default=Path("runs/foundations"), help="where training goes on from")
    parser.add_argument("--zoo", type=Path, default=ZOO, help="where the models are written")
    parser.add_argument("--seed", type=RANDOM_SEED, default=0, help="of the first weights")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.manual_seed(arguments.seed)
    folder = arguments.folder / arguments.foundation
    FOUNDATIONS[arguments.foundation](folder, arguments.zoo, arguments.minutes).run()


if __name__ == "__main__":
    main()
