"""Reasoning segmentation: the mask of what a question comes down to, and why it is that (LISA, arXiv:2308.00692).

A region's phrases are texts that ask for it: whole sentences, or phrases that take thought to be found. Each text is a
dialogue by itself, as in LISA: a second one about the same region would be answered by looking at the first.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ullava.configs.tokens import LOC, SEG
from ullava.datasets.structures import Dialogue, Promise, Region, Sample, Turn
from ullava.tasks.answers.grammar import MARK_PATTERN, plain, words
from ullava.tasks.base import TASKS, draw, pick
from ullava.tasks.phrases.phrasebook import fill
from ullava.tasks.regions import RegionTask

Parts = Literal["mask", "both", "words"]  # of an answer


@TASKS.register("reasoning")
@dataclass(frozen=True)
class ReasoningSegmentation(RegionTask):
    """Asks by a region's texts, and for its explanation where it has one.

    Attributes:
        explanatory: share of the training answers of explained regions that are the explanation alone. None: no answer
            explains (LISA's -1).
        explained: share of the other answers that give mask and explanation; the rest give the mask alone (LISA: half).
        explain: whether eval_dialogues ask for the explanation, too.
    """

    scores = {SEG: ("mask_iou",), LOC: ()}
    main_score = "gIoU"

    phrases: str = "lisa"
    rounds: int = 1
    explanatory: float | None = 0.1
    explained: float = 0.5
    explain: bool = False

    def __post_init__(self):
        super().__post_init__()
        if self.explanatory is not None and not 0 <= self.explanatory <= 1:
            raise ValueError(f"explanatory: expected a share from 0 to 1, or null, found {self.explanatory}")
        if not 0 <= self.explained <= 1:
            raise ValueError(f"explained: expected a share from 0 to 1, found {self.explained}")

    @property
    def metrics(self):
        return (*super().metrics, "naming") if self.explain else super().metrics

    def asked(self, sample):
        asked = [(text, region) for region in sample.regions for text in region.phrases]
        if not asked:
            raise ValueError(f"{sample.id}: task {self.name} asks by texts, {len(sample.regions)} regions have none")
        return asked

    def questions(self, region):
        return self.book.sentence if region.sentences else self.book.segment

    def dialogue(self, sample, rng):
        asked = draw(self.asked(sample), self.rounds, rng)
        drawn: list[tuple[str, Region, Parts]] = [(text, region, self.drawn(region, rng)) for text, region in asked]
        return self.converse(sample.id, sample, drawn, rng)

    def eval_dialogues(self, sample):
        parts: Parts = "both" if self.explain else "mask"
        for number, (text, region) in enumerate(self.asked(sample)):
            if text is region.phrases[0]:  # LISA's: the first text of a region alone
                yield self.converse(f"{sample.id}#{number}", sample, [(text, region, parts)])

    def read(self, answer):
        return self.grammar.read(answer) or words(answer)

    def drawn(self, region: Region, rng: np.random.Generator) -> Parts:
        """Draws the parts of a training answer."""
        if self.explanatory is None or not region.reason:
            return "mask"
        if rng.random() < self.explanatory:
            return "words"
        return "both" if rng.random() < self.explained else "mask"

    def converse(
        self,
        id: str,
        sample: Sample,
        asked: list[tuple[str, Region, Parts]],
        rng: np.random.Generator | None = None,
    ) -> Dialogue:
        """Writes a turn for each text; without `rng`, that of an evaluation."""
        turns, promises = [], []
        for turn, (text, region, parts) in enumerate(asked):
            owners = [token for token in self.owners if self.keeps(region, token)] if parts != "words" else []
            if not owners and parts != "words":
                raise ValueError(f"{id}: {text!r}: expected a mask for {' and '.join(self.owners)}, found none")
            reason = checked(region.reason or "", id) if parts != "mask" else ""
            name = plain(region.keyword or region.category or "", id)
            answer = self.grammar.write(owners, name, reason, rng) if owners else reason
            references = (name,) if parts == "both" else ()  # what `naming` looks for in the explanation
            turns.append(Turn(self.question(text, region, parts, rng), answer, references))
            promises += [Promise(token, region, turn, self.words(region, token)) for token in owners]
        return Dialogue(id, sample, tuple(turns), tuple(promises))

    def question(self, text: str, region: Region, parts: Parts, rng: np.random.Generator | None) -> str:
        """The text as it asks for these parts (LISA, utils/reason_seg_dataset.py)."""
        if parts == "words":
            return text
        ways = self.book.why if parts == "both" else self.questions(region)
        way = ways.eval_question if rng is None else pick(ways.drawn, rng)
        if parts == "both":
            return f"{text} {way}"
        return fill(way, text if region.sentences else text.lower())


def checked(reason: str, where: str) -> str:
    """An explanation as it is written.

    Raises:
        ValueError: it holds a token's spelling; `where` names the sample.
    """
    if mark := MARK_PATTERN.search(reason):
        raise ValueError(f"{where}: expected plain words, found {mark.group()!r} in {reason!r}; take it out there")
    return reason.strip()
