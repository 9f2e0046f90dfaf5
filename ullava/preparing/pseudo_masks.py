"""Masks for pictures of parts that have none, drawn by a model that is asked for them."""

import json
import os
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ullava.configs.arguments import COUNT, SHARE
from ullava.configs.registry import nearest
from ullava.configs.schema import GenerationConfig
from ullava.datasets.formats import part_names
from ullava.datasets.readers.regions.part_folders import MASK, PartFolders
from ullava.datasets.structures import Dialogue, Sample, Turn
from ullava.datasets.tables import read_lines
from ullava.evaluation.engine.mask_trust import KEPT, REASONS, Trust
from ullava.preparing.base import PREPARATIONS, Kind, progress
from ullava.tasks.phrases.phrasebook import fill, phrasebook

MANIFEST = "manifest.jsonl"


@PREPARATIONS.register("pseudo_masks")
class PseudoMasks(Kind):
    """Lets a trained model draw masks for pictures of parts, and keeps those that can be trusted.

    A run that was stopped goes on where it was. Read what it writes by `part_folders` with `masks: OUTPUT`.
    """

    reads = "the folder of a run or model, and pictures as <images>/<part>/<object>/<name>.png"
    writes = "<output>/<part>/<object>/<name>_mask.png, and manifest.jsonl: a line for each picture, kept or why not"

    def ask(self, parser: ArgumentParser) -> None:
        usual = Trust()
        parser.add_argument("model", help="folder of the model that draws; it stays as it is")
        parser.add_argument("images", type=Path, help="folder of the parts' folders")
        parser.add_argument("output", type=Path, help="folder to write")
        parser.add_argument("--phrases", default="lisa", help="phrasebook that asks; default: %(default)s")
        parser.add_argument(
            "--asks", nargs="+", default=[], metavar="NAME=WORDS",
            help="what to ask for instead of a part (handle=ring) or of one object's part (lid of the pot=round cover)",
        )  # fmt: skip
        parser.add_argument("--quality", type=SHARE, default=usual.quality, help="least IoU that the decoder expects")
        parser.add_argument("--stability", type=SHARE, default=usual.stability, help="least IoU of both thresholds")
        parser.add_argument("--smallest", type=SHARE, default=usual.smallest, help="share of the picture")
        parser.add_argument("--largest", type=SHARE, default=usual.largest, help="share of the picture")
        parser.add_argument("--crumbs", type=SHARE, default=usual.crumbs, help="parts below this share are taken off")
        parser.add_argument("--batch_size", type=COUNT, default=16, help="questions at once; default: %(default)s")
        parser.add_argument("--max_new_tokens", type=COUNT, default=64)
        parser.add_argument("--dtype", choices=("fp32", "bf16", "fp16"), default="fp32")

    def prepare(self, options: Namespace) -> str:
        trust = Trust(*(getattr(options, name) for name in Trust.__slots__))
        pictures = PartFolders("pictures", options.images, beside=False)
        wording = read_asks(options.asks, pictures)
        about = {"model": options.model, "phrases": options.phrases, "asks": wording, **asdict(trust)}
        notes = Notes(options.output, about)
        left = [n for n, (path, _) in enumerate(pictures.records) if str(path.relative_to(options.images)) not in notes]
        if left:
            from ullava.models.answering import open_answerer  # torch and all: only where there is something to draw

            how = {"batch_size": options.batch_size, "max_new_tokens": options.max_new_tokens}
            answerer = open_answerer(options.model, GenerationConfig(**how, precision=options.dtype))
            question = phrasebook(options.phrases, slotted=True).segment.eval_question
            starts = range(0, len(left), options.batch_size)
            for start in progress(starts, "drawing", unit="batch", total=len(starts)):
                samples = [pictures[n] for n in left[start : start + options.batch_size]]
                answers = answerer([open_question(sample, question, wording) for sample in samples], given=False)
                for sample, answer in zip(samples, answers, strict=True):
                    mask, quality = first(answer.predictions), first(answer.scores)
                    notes.write(sample.media[0].path.relative_to(options.images), *trust.judge(mask, quality or 0.0))
        return f"{options.output}: {notes.summary()}"


class Notes:
    """What has been judged, by the manifest of an output folder, whose first line says by what.

    Raises:
        FileExistsError: the folder holds masks that were judged otherwise.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]):
        self.folder = folder
        self.verdicts: dict[str, str] = {}  # by picture
        path = folder / MANIFEST
        folder.mkdir(parents=True, exist_ok=True)
        if not path.is_file():
            self.add(about)
            return
        first, *lines = read_lines(path)
        if first != json.loads(json.dumps(about)):
            changed = ", ".join(key for key in about if first.get(key) != about[key])
            raise FileExistsError(f"{folder}: holds masks made with other {changed}; name another folder, or remove it")
        self.verdicts = {line["file"]: line["verdict"] for line in lines}

    def __contains__(self, file: str) -> bool:
        return file in self.verdicts

    def write(self, file: Path, verdict: str, mask: np.ndarray | None, numbers: Mapping[str, float]) -> None:
        """Writes the mask, if it is kept, and then the line, so that a line is there only for complete files."""
        if verdict == KEPT:
            path = self.folder / file.parent / f"{file.stem}{MASK}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_suffix(".partial")
            assert mask is not None, file  # what is kept has a mask
            Image.fromarray(mask.astype(np.uint8) * 255).save(aside, "png")
            os.replace(aside, path)
        self.add({"file": str(file), "verdict": verdict, **numbers})
        self.verdicts[str(file)] = verdict

    def add(self, line: Mapping[str, Any]) -> None:
        """Adds a line to the manifest."""
        with (self.folder / MANIFEST).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def summary(self) -> str:
        """How many were kept and dropped, by reason."""
        counts = Counter(self.verdicts.values())
        dropped = [f"{counts[reason]} {reason}" for reason in REASONS if counts[reason]]
        return f"kept {counts[KEPT]} of {sum(counts.values())} masks" + (f"; {', '.join(dropped)}" if dropped else "")


def read_asks(asks: Sequence[str], pictures: PartFolders) -> dict[str, str]:
    """Other words for names of parts.

    Raises:
        ValueError: not NAME=WORDS.
        LookupError: for a name that no picture has.
    """
    names = {name_of(sample) for sample in pictures} if asks else set()
    known, wording = names | {part_of(name) for name in names}, {}
    for ask in asks:
        name, _, words = ask.partition("=")
        if not words:
            raise ValueError(f"--asks: expected NAME=WORDS, found {ask!r}")
        if name not in known:
            raise LookupError(f"--asks: no picture of {name!r}; {nearest(name, known)}")
        wording[name] = words
    return wording


def open_question(sample: Sample, question: str, wording: Mapping[str, str]) -> Dialogue:
    """Asks for the part that a picture shows, in the words of `wording` where it has some."""
    name = name_of(sample)
    words = wording.get(name, wording.get(part_of(name), name))
    return Dialogue(sample.id, Sample(sample.id, sample.media), (Turn(fill(question, words), ""),))


def part_of(name: str) -> str:
    """The part in a name such as "the lid of the pot"; the name itself where it is none of a part."""
    pair = part_names.split(name)
    return pair[0] if pair else name


def name_of(sample: Sample) -> str:
    """The part that a picture of `PartFolders` shows, by the name of its folder."""
    name = sample.regions[0].category
    assert name is not None, sample.id
    return name


def first(by_head: Mapping[str, Sequence[Any]]) -> Any:
    """The first prediction, or score, of the mask head; None where there is none."""
    return next(iter(by_head.get("mask", ())), None)
