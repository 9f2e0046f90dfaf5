"""An answer that goes through a list of names: those that are there, each with its mask, and those that are not.

    wall[SEG]dog[NEG]sky[SEG]            `joined`, as LaSagnA's program writes it (utils/sem_seg_dataset.py)
    wall [SEG], dog [NEG], sky [SEG]     `listed`, as its paper's figure shows it (arXiv:2404.08506)
    wall [SEG] dog [NEG] sky [SEG]       `spaced`, as LLaMA's tokenizer reads the first: a word begins behind a token

Tokens delimit the names, so a name may hold commas. In the first and the last a name and its token are as long as the
name and the comma of "wall, dog, sky.": what is to be said next stands a fixed number of tokens before, and a small
model learns to copy it in half the steps that it needs for the second.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ullava.configs.tokens import NEG, SEG
from ullava.tasks.answers.grammar import MARK_PATTERN
from ullava.tasks.base import Reading

VERDICT = re.compile(f"({re.escape(SEG)}|{re.escape(NEG)})")
NOTHING = "Nothing."  # says an answer that names only what is there, where nothing is
LOOSE = " \t\n,;."  # what a model may put around a name


@dataclass(frozen=True, slots=True)
class NameList:
    """One form of the list.

    Attributes:
        gap: between a name and its token.
        separator: between a token and the next name.
    """

    gap: str
    separator: str

    def write(self, verdicts: Sequence[tuple[str, str]]) -> str:
        """Writes the answer; each verdict is a name, `plain`, and its token: [SEG] or [NEG]."""
        return self.separator.join(f"{name}{self.gap}{token}" for name, token in verdicts) or NOTHING

    def read(self, answer: str) -> Reading | None:
        """Inverse of `write`, whatever spaces a tokenizer puts around the tokens."""
        if answer.strip() == NOTHING:
            return Reading("")
        *parts, rest = [part.strip() for part in VERDICT.split(answer)]
        mark = self.separator.strip()
        if not parts or rest or not all(name.startswith(mark) for name in parts[2::2]):
            return None
        names = (parts[0], *(name.removeprefix(mark).strip() for name in parts[2::2]))
        if not all(names) or any(map(MARK_PATTERN.search, names)):
            return None
        return Reading("", tuple(parts[1::2]), names)


def glean(answer: str) -> Reading:
    """The names and tokens of an answer that may break its form: cut short, or with words of its own around.

    Every token has its name, "" where none stands before it, so that the n-th [SEG] stays the n-th.
    """
    parts = VERDICT.split(answer)
    return Reading("", tuple(parts[1::2]), tuple(name.strip(LOOSE) for name in parts[:-1:2]))


NAME_LISTS = {"joined": NameList("", ""), "listed": NameList(" ", ", "), "spaced": NameList(" ", " ")}
