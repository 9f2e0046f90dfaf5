"""A reader, a task, a metric, a baseline, a box source, a phrasebook and a head in one file outside the package.

`docs/extending.md` walks through it; `plugins: [my_shapes]` in a YAML makes its names known.
"""

import csv
import re
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from ullava.configs.tokens import LOC
from ullava.datasets.readers.base import READERS, Reader
from ullava.datasets.readers.files import inside
from ullava.datasets.structures import Answer, Box, Dialogue, Picture, Region, Sample, Turn
from ullava.evaluation.baselines.base import BASELINES, Baseline
from ullava.evaluation.engine.box_sources import BOX_SOURCES, BoxSource
from ullava.evaluation.engine.questions import Question
from ullava.evaluation.metrics.base import METRICS, Metric, Record
from ullava.models.batching.batch import Batch
from ullava.models.heads.base import HEADS, Head
from ullava.tasks.answers.grammar import GRAMMARS, Grammar
from ullava.tasks.base import TASKS, Reading, Task, draw
from ullava.tasks.phrases.phrasebook import PHRASEBOOKS, SALIENT, SLOT, Phrasebook, Questions


@READERS.register("shapes_csv")
@dataclass(frozen=True)
class ShapesCsv(Reader):
    """One sample per picture, one region with a box per line of a CSV file.

        file,shape,x0,y0,x1,y1
        a.png,circle,10,12,40,42

    Args:
        annotations: the CSV file; corners in pixels, x1 and y1 outside.
        images: folder of the pictures.
    """

    name: str
    annotations: Path
    images: Path

    @cached_property
    def pictures(self) -> list[tuple[str, list[dict[str, str]]]]:
        """(file, its lines) in the order of the files' names."""
        lines: dict[str, list[dict[str, str]]] = {}
        with self.annotations.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                lines.setdefault(line["file"], []).append(line)
        return sorted(lines.items())

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Sample:
        file, lines = self.pictures[index]
        sample_id = f"{self.name}/{Path(file).stem}"
        return Sample(
            sample_id,
            (Picture(inside(self.images, file, sample_id)),),
            tuple(Region((line["shape"],), line["shape"], box=corners(line)) for line in lines),
        )


def corners(line: dict[str, str]) -> Box:
    """The box in a line of the CSV file."""
    return (float(line["x0"]), float(line["y0"]), float(line["x1"]), float(line["y1"]))


@TASKS.register("count")
@dataclass(frozen=True)
class Count(Task):
    """Asks how many objects of a shape a picture shows, and answers with a number.

    Attributes:
        rounds: most questions of one training dialogue.
    """

    metrics = ("right_count",)
    main_score = "count_acc"

    rounds: int = 2

    def dialogue(self, sample: Sample, rng: np.random.Generator) -> Dialogue:
        turns = draw(counting(sample), self.rounds, rng)
        return Dialogue(sample.id, sample, tuple(turns))

    def eval_dialogues(self, sample: Sample) -> Iterator[Dialogue]:
        for number, turn in enumerate(counting(sample)):
            yield Dialogue(f"{sample.id}#{number}", sample, (turn,))

    def read(self, answer: str) -> Reading | None:
        return Reading(answer.strip()) if answer.strip().isdecimal() else None


def counting(sample: Sample) -> list[Turn]:
    """A question and its answer for each shape in a sample."""
    counts = Counter(region.category for region in sample.regions)
    if not counts:
        raise ValueError(f"{sample.id}: task count expects regions, found none")
    return [Turn(f"How many {shape}s are in the image?", str(count)) for shape, count in sorted(counts.items())]


@METRICS.register("right_count")
class RightCount(Metric):
    """count_acc = share of answers whose first number is the true one; an answer without a number is wrong."""

    reads = "text"

    def measure(
        self, prediction: str | None, truth: Sequence[str], *, category: str | None = None, ignored: Any = None
    ) -> Record:
        numbers = re.findall(r"\d+", prediction or "")
        return {"right": numbers[:1] == list(truth[:1])}

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        return {"count_acc": float(np.mean([record["right"] for record in records])) if records else float("nan")}


@BASELINES.register("usual_count")
class UsualCount(Baseline):
    """Answers every question with the median number of the training answers."""

    reads = "text"
    tasks = ("count",)

    def learn(self, lessons: Sequence[Question]) -> None:
        self.usual = statistics.median_low(int(lesson.meant.turns[-1].answer) for lesson in lessons)

    def answer(self, dialogue: Dialogue) -> Answer:
        return Answer(str(self.usual))


@BOX_SOURCES.register("snapped")
class SnappedBox(BoxSource):
    """The box head's prediction with its sides moved to the nearest lines of a grid.

    Args:
        grid: pixels between two lines.
    """

    token = LOC

    def __init__(self, grid: int = 4):
        self.grid = grid

    def __call__(self, question: Dialogue, answer: Answer) -> Sequence[Box | None]:
        boxes = np.asarray(answer.predictions.get("box", ()), float).reshape(-1, 4)
        x0, y0, x1, y1 = (np.round(boxes / self.grid) * self.grid).T
        return list(zip(x0.tolist(), y0.tolist(), x1.tolist(), y1.tolist(), strict=True))


PLEASE = Questions((f"Please point at the {SLOT}.", f"Please frame the {SLOT}."), f"Please frame the {SLOT}.")
PHRASEBOOKS.add("polite", Phrasebook(segment=PLEASE, locate=PLEASE, salient=SALIENT, explain=SALIENT, grammar="framed"))
GRAMMARS.add("framed", Grammar({LOC: "Frame"}, says=(LOC,)))


@HEADS.register("centre")
class CentreHead(Head):
    """Predicts the centre of a box from the state under [LOC].

    Coordinates are fractions of the square that the vision tower sees.

    Args:
        width: of the language model's states.
        hidden: width of the layer between.
    """

    token = LOC
    losses_named = {"centre_l1": "box"}  # a mean over the boxes of a step
    loss_weights = {"centre_l1": 0.5}  # unless `losses:` says otherwise

    def __init__(self, width: int, *, hidden: int = 32):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 2))

    def forward(self, states: Tensor, batch: Batch, *further: Any) -> Tensor:
        """(N, 2) from (N, width); on a zero state where N is 0, so that every rank uses every parameter."""
        used = states if len(states) else states.new_zeros(1, states.shape[1])
        return self.mlp(used)[: len(states)]

    def losses(self, predicted: Tensor, batch: Batch) -> Mapping[str, Tensor]:
        promised = batch.promised[LOC]
        centres = (promised.boxes[:, :2] + promised.boxes[:, 2:]) / 2  # of those that have a box
        return {"centre_l1": (predicted[list(promised.with_box)] - centres).abs().sum(1)}

    def results(self, predicted: Tensor, batch: Batch) -> list[tuple[float, ...]]:
        return [tuple(centre) for centre in predicted.tolist()]
