"""Answers to multiple-choice questions (ScienceQA): which letter was chosen?

Source of the way to read a letter: LLaVA, llava/eval/eval_science_qa.py, which knows "B", "B. text" and "The answer is
B."; brackets, colons and small letters alone are ours. What chooses nothing is wrong, and is not guessed for.
"""

import re
from collections.abc import Sequence

LETTER = re.compile(r"\(?([A-Za-z])\)?[.:)]?")  # the whole answer
BEGINS = re.compile(r"\(?([A-Z])(?:[.:)]\)?)\s")  # "B. text", "(B) text"
SAYS = re.compile(r"\b(?i:answer)(?: is:?|:) (?:\(([A-Za-z])\)|([A-Z])\b)")  # "a" alone is an article


def chosen(answer: str) -> str | None:
    """The letter that an answer chooses, a capital; None where it chooses none, or several."""
    answer = answer.strip()
    letter = LETTER.fullmatch(answer) or BEGINS.match(answer)
    if letter:
        return letter.group(1).upper()
    letters = set(named_letters(answer))
    return letters.pop() if len(letters) == 1 else None


def named_letters(text: str) -> list[str]:
    """The letters that a text calls the answer, in its order."""
    return [(bracketed or bare).upper() for bracketed, bare in SAYS.findall(text)]


def same_choice(answer: str, references: Sequence[str]) -> float:
    """Whether the letter of the first reference was chosen; of one that explains itself, the last that it names.

    Raises:
        ValueError: the reference chooses none.
    """
    meant = chosen(references[0]) or next(reversed(named_letters(references[0])), None)
    if meant is None:
        raise ValueError(f"vqa_choice: expected a truth that names a letter, found {references[0]!r}; use match: exact")
    return float(chosen(answer) == meant)
