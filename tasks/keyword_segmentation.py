"""Keyword-conditioned segmentation: the mask of what is asked for, and the word that it comes down to (KeySeg)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from ullava.configs.tokens import KEY, SEG
from ullava.tasks.answers.keyword_answers import KeywordAnswers
from ullava.tasks.base import TASKS
from ullava.tasks.regions import RegionTask


@TASKS.register("keyword")
@dataclass(frozen=True)
class KeywordSegmentation(RegionTask):
    """Asks by a region's phrases or texts; [KEY] stands for its keyword, and is left out where there is none.

    Attributes:
        form: a name in `keyword_answers.py`.
        keywords: "given": the region's own; "phrase": where it has none the phrase is its keyword, as KeySeg takes it
            for REFER.
        texts: "all": eval_dialogues ask by every phrase; "first": by the first of each region, as LISA and KeySeg do.
    """

    scores = {SEG: ("mask_iou",), KEY: ("keyword_acc",)}
    main_score = "gIoU"

    phrases: str = "lisa"
    form: str = "keyword_first"
    keywords: Literal["given", "phrase"] = "given"
    texts: Literal["all", "first"] = "all"

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.grammar, KeywordAnswers):
            raise ValueError(f"form: {self.form!r} has no place for a keyword; there are: keyword_first, mask_first")

    @property
    def heads(self):
        return ("mask",)  # whether it reads [KEY] is its own affair; the word is said either way

    @property
    def metrics(self):
        return tuple(metric for token in self.scores if token in self.owners for metric in self.scores[token])

    def asked(self, sample):
        asked = [(phrase, region) for region in sample.regions for phrase in region.phrases]
        if not asked:
            raise ValueError(
                f"{sample.id}: task {self.name} asks by phrases, found none on {len(sample.regions)} regions"
            )
        return list(self.with_phrases(asked)) if self.keywords == "phrase" else asked

    def eval_dialogues(self, sample):
        for number, (phrase, region) in enumerate(self.asked(sample)):
            if self.texts == "all" or phrase == region.phrases[0]:
                question = self.questions(region).eval_question
                yield self.write(f"{sample.id}#{number}", sample, [(phrase, region)], [question])

    def with_phrases(self, asked: Iterable):
        """Yields the same with the phrase as keyword, where a region has none."""
        for phrase, region in asked:
            yield phrase, region if region.keyword else replace(region, keyword=phrase)

    def questions(self, region):
        return self.book.sentence if region.sentences else self.book.segment

    def keeps(self, region, token):
        return bool(region.keyword) and region.mask is not None if token == KEY else super().keeps(region, token)

    def called(self, phrase, region):
        return region.keyword or ""

    def words(self, region, token):
        return (region.keyword.lower().strip(),) if token == KEY and region.keyword else ()
