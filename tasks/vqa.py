"""Visual question answering and written dialogues: questions and answers as people, or a teacher model, wrote them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ullava.datasets.structures import MARK, Dialogue, Sample, Turn
from ullava.tasks.answers.grammar import words
from ullava.tasks.base import TASKS, Task


@TASKS.register("vqa")
@dataclass(frozen=True)
class VisualQuestionAnswering(Task):
    """Asks consecutive questions of a sample, so that what refers to the turn before still makes sense.

    A sample without pictures is asked as it is.

    Attributes:
        rounds: most turns of one training dialogue.
        suffix: put behind each question, e.g. "Answer in a word."
    """

    metrics = ("vqa_accuracy",)
    main_score = "accuracy"

    rounds: int = 4
    suffix: str = ""

    def __post_init__(self):
        if self.rounds < 1:
            raise ValueError(f"rounds: expected 1 or more, found {self.rounds}")

    def dialogue(self, sample, rng):
        turns = self.turns(sample)
        start = int(rng.integers(len(turns)))  # any turn may be the first: an evaluation asks each alone
        return Dialogue(sample.id, sample, stretch(turns, start, self.rounds))

    def eval_dialogues(self, sample):
        turns = self.turns(sample)
        for number in range(len(turns)):
            yield Dialogue(f"{sample.id}#{number}", sample, stretch(turns, number, 1))

    def read(self, answer):
        return words(answer)

    def turns(self, sample: Sample) -> tuple[Turn, ...]:
        """The written turns; where several people answered, with the answer that most of them gave."""
        if not sample.turns or not all(turn.question.strip() for turn in sample.turns):
            content = "a caption without question; use task captioning" if sample.turns else "no turns"
            raise ValueError(f"{sample.id}: task {self.name} expects written questions, found {content}")
        return tuple(
            Turn(self.ask(turn.question), commonest(turn), turn.references or (turn.answer,), turn.media)
            for turn in sample.turns
        )

    def ask(self, question: str) -> str:
        return f"{question} {self.suffix}" if self.suffix else question


def stretch(turns: Sequence[Turn], start: int, count: int) -> tuple[Turn, ...]:
    """Returns `count` turns from `start` on; the media of earlier turns are placed before the first of them."""
    before = [pair for turn in turns[:start] for pair in zip(MARK.findall(turn.question), turn.media, strict=False)]
    first, *others = turns[start : start + count]
    marks, places = "".join(f"{mark}\n" for mark, _ in before), tuple(place for _, place in before)
    return replace(first, question=marks + first.question, media=places + first.media), *others


def commonest(turn: Turn) -> str:
    """The most frequent reference, the first of equals; the answer where there are none."""
    return Counter(turn.references).most_common(1)[0][0] if turn.references else turn.answer
