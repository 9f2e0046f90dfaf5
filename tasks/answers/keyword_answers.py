"""Answers that say a keyword beside their mask (KeySeg, Sensors 2025, 25(20), 6353).

    Sure, it is [SEG]. [KEY] red ring      mask_first, as published: the mask's state never saw the word
    [KEY] red ring [SEG].                  keyword_first, ours: the word is the last thing that the mask's state read

The word behind [KEY] is text like any other, which the model learns to say. Where nobody found a keyword both forms are
their mask alone.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ullava.configs.tokens import KEY, SEG
from ullava.tasks.answers.grammar import GRAMMARS, MARK_PATTERN
from ullava.tasks.base import Reading, pick
from ullava.tasks.phrases.lisa import ANSWERS


@dataclass(frozen=True, slots=True)
class KeywordAnswers:
    """One form of answer; has what a `Grammar` has.

    Attributes:
        ways: the sentences about the mask, each with its token; training draws from them, eval_dialogues have the last.
        says: the tokens, in the order of the text.
    """

    ways: tuple[str, ...]
    says: tuple[str, ...]

    @property
    def labels(self) -> Mapping[str, str]:
        return {KEY: "", SEG: ""}

    def write(
        self, owners: Sequence[str], name: str = "", reason: str = "", rng: np.random.Generator | None = None
    ) -> str:
        """Writes an answer; `name` is the keyword, `plain`, and is said if [KEY] is among `owners`."""
        mask = self.ways[-1] if rng is None else pick(self.ways, rng)
        word = f"{KEY} {name}" if KEY in owners else ""
        return " ".join(filter(None, (mask, word) if self.says[0] == SEG else (word, mask)))

    def read(self, answer: str) -> Reading | None:
        """Inverse of `write`, whatever spaces a tokenizer puts around the tokens; the keyword is the text."""
        token = rf"\s*{re.escape(SEG)}\s*"
        mask = "|".join(token.join(re.escape(half.strip()) for half in way.split(SEG)) for way in self.ways)
        word = rf"(?:{re.escape(KEY)}\s*(?P<word>\S.*?)\s*)?"
        parts = (rf"(?:{mask})\s*", word) if self.says[0] == SEG else (word, rf"(?:{mask})")
        match = re.fullmatch("".join(parts), answer.strip(), re.DOTALL)
        if match is None or (match["word"] and MARK_PATTERN.search(match["word"])):
            return None
        return Reading(match["word"] or "", self.says if match["word"] else (SEG,))


GRAMMARS.add("mask_first", KeywordAnswers(ANSWERS, (SEG, KEY)))
GRAMMARS.add("keyword_first", KeywordAnswers((f"{SEG}.",), (KEY, SEG)))
