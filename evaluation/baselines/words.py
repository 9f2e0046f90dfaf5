"""Baselines for words: what people usually say to such a question, or the right sentence with the wrong words in it."""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cached_property

from ullava.datasets.catalogue import find
from ullava.datasets.structures import Answer
from ullava.evaluation.baselines.base import BASELINES, Baseline

STEM = 4  # words of a question that make its kind: "what color is the"
OFTEN = 10  # training questions of a kind below which a shorter beginning counts


@BASELINES.register("majority_answer")
class MajorityAnswer(Baseline):
    """The commonest training answer to questions that begin alike."""

    reads = "text"
    tasks = ("vqa",)

    def learn(self, lessons):
        self.answers: dict[tuple[str, ...], Counter] = {}
        for lesson in lessons:
            turn = lesson.meant.turns[-1]
            for stem in stems(turn.question):
                self.answers.setdefault(stem, Counter())[turn.answer] += 1

    def answer(self, dialogue):
        for stem in stems(dialogue.turns[-1].question):
            known = self.answers.get(stem, Counter())
            if known.total() >= OFTEN or not stem:
                return Answer(known.most_common(1)[0][0])
        raise AssertionError("the empty stem begins every question")


@BASELINES.register("another_caption")
class AnotherCaption(Baseline):
    """A caption of another picture, drawn from the training set."""

    reads = "text"
    tasks = ("captioning", "video_captioning")

    def prove(self, lessons):
        if lessons is not None and len({lesson.meant.sample.media for lesson in lessons}) < 2:
            raise ValueError(f"{self.row.trivial}: expected captions of at least two pictures, found one")

    def learn(self, lessons):
        self.captions = [(lesson.meant.sample.media, lesson.meant.turns[-1].answer) for lesson in lessons]

    def answer(self, dialogue):
        rng = self.rng(dialogue)
        while True:
            media, caption = self.captions[rng.integers(len(self.captions))]
            if media != dialogue.sample.media:
                return Answer(caption)


@BASELINES.register("random_attributes")
class RandomAttributes(Baseline):
    """The true caption, every attribute in it replaced by one of its kind: the right number of the wrong objects."""

    reads = "text"
    tasks = ("captioning", "video_captioning")

    def suits(self, questions):
        return bool(self.groups)

    @cached_property
    def groups(self) -> Sequence[Sequence[str]]:
        """Words that can stand for each other, as the dataset's catalogue entry lists them."""
        return find(self.row.dataset, self.own).get("attributes", ())

    def answer(self, dialogue):
        rng = self.rng(dialogue)
        group_of = {word: group for group in self.groups for word in group}
        pattern = r"\b(" + "|".join(sorted(map(re.escape, group_of), key=len, reverse=True)) + r")\b"

        def another(match: re.Match) -> str:
            group = group_of[match.group()]
            return group[int(rng.integers(len(group)))]

        return Answer(re.sub(pattern, another, dialogue.turns[-1].answer))


def stems(question: str) -> list[tuple[str, ...]]:
    """Beginnings of a question, longest first, the empty one last."""
    words = re.findall(r"\w+", question.lower())
    return [tuple(words[:length]) for length in range(min(STEM, len(words)), -1, -1)]
