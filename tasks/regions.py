"""What the tasks about regions share: a turn asks for one region, and each owner token of its answer is a promise."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from ullava.configs.registry import nearest
from ullava.configs.tokens import LOC, SEG
from ullava.datasets.structures import Dialogue, Promise, Region, Sample, Turn
from ullava.tasks.answers.grammar import GRAMMARS, AnswerGrammar, plain
from ullava.tasks.base import Task, draw, pick
from ullava.tasks.phrases.phrasebook import Phrasebook, Questions, fill, phrasebook

Asked = tuple[str, Region]  # a phrase, "" where the question has no slot for it, and the region it is about
HEAD_OF = {SEG: "mask", LOC: "box"}


@dataclass(frozen=True)
class RegionTask(Task):
    """Asks for one region in each turn. A subclass says which regions, by which phrases, in which questions.

    A token is said of a region that can keep it: [SEG] needs a mask, [LOC] a box or a mask, whose box it then means.

    Attributes:
        phrases: name of a phrasebook, or a .json list of questions.
        form: name of the grammar of its answers; "": the phrasebook's.
        says: owner tokens of an answer, without brackets; empty: what the phrasebook's grammar says.
        rounds: most regions asked for in one training dialogue.
        slotted: whether its questions have a slot.
        explains: whether its answers give a region's reason.
        scores: owner token -> metrics of what it promises.
    """

    slotted: ClassVar[bool] = True
    explains: ClassVar[bool] = False
    scores: ClassVar[dict[str, tuple[str, ...]]]

    phrases: str = "ullava"
    form: str = ""
    says: tuple[str, ...] = ()
    rounds: int = 3

    def __post_init__(self):
        if self.form and self.form not in GRAMMARS:
            raise LookupError(f"form: {GRAMMARS.unknown(self.form)}")
        known = {token.strip("[]"): token for token in self.grammar.labels if token in self.scores}
        for name in self.says:
            if name not in known:
                raise LookupError(f"says: {self.name} has no token {name!r}; {nearest(name, known)}")
        if len(set(self.says)) < len(self.says):
            raise ValueError(f"says: expected each token once, found {', '.join(self.says)}")
        if self.rounds < 1:
            raise ValueError(f"rounds: expected 1 or more, found {self.rounds}")

    @abstractmethod
    def asked(self, sample: Sample) -> list[Asked]:
        """Every phrase of every region that can be asked for, in file order.

        Raises:
            ValueError: there is none.
        """

    @abstractmethod
    def questions(self, region: Region) -> Questions:
        """The ways to ask for a region."""

    @cached_property
    def book(self) -> Phrasebook:
        return phrasebook(self.phrases, slotted=self.slotted)

    @cached_property
    def grammar(self) -> AnswerGrammar:
        return GRAMMARS[self.form or self.book.grammar]

    @cached_property
    def owners(self) -> tuple[str, ...]:
        """The owner tokens of its answers, in the order of the text."""
        return tuple(f"[{name}]" for name in self.says) or self.grammar.says

    @property
    def heads(self) -> tuple[str, ...]:
        return tuple(HEAD_OF[token] for token in self.owners)

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(metric for token in self.owners for metric in self.scores[token])

    def dialogue(self, sample, rng):
        asked = draw(self.asked(sample), self.rounds, rng)
        questions = [pick(self.questions(region).drawn, rng) for _, region in asked]
        return self.write(sample.id, sample, asked, questions, rng)

    def eval_dialogues(self, sample):
        for number, (phrase, region) in enumerate(self.asked(sample)):
            question = self.questions(region).eval_question
            yield self.write(f"{sample.id}#{number}", sample, [(phrase, region)], [question])

    def read(self, answer):
        return self.grammar.read(answer)

    def write(
        self,
        id: str,
        sample: Sample,
        asked: Sequence[Asked],
        questions: Sequence[str],
        rng: np.random.Generator | None = None,
    ) -> Dialogue:
        """Writes a turn for each region asked for, with its promises; `rng` draws among several ways to answer."""
        turns, promises = [], []
        for turn, ((phrase, region), question) in enumerate(zip(asked, questions, strict=True)):
            owners = [token for token in self.owners if self.keeps(region, token)]
            if not owners:
                wanted = " and ".join(self.owners)
                raise ValueError(
                    f"{id}: {phrase or region.category!r}: expected a mask or box for {wanted}, found none"
                )
            name = plain(self.called(phrase, region), id)
            reason = plain(region.reason or "", id) if self.explains else ""
            turns.append(Turn(fill(question, phrase), self.grammar.write(owners, name, reason, rng)))
            promises += [Promise(token, region, turn, self.words(region, token)) for token in owners]
        return Dialogue(id, sample, tuple(turns), tuple(promises))

    def called(self, phrase: str, region: Region) -> str:
        """Returns the name of the region in answers."""
        return region.category or phrase

    def keeps(self, region: Region, token: str) -> bool:
        """Whether the region has the mask, or for [LOC] a mask or a box, that the token promises."""
        return region.mask is not None or (token == LOC and region.box is not None)

    def words(self, region: Region, token: str) -> tuple[str, ...]:
        """Names of the token's target, for the heads that learn from names."""
        return ()
