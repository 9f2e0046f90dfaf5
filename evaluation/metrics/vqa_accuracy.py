"""Accuracy of short answers to questions about pictures.

Source of the official rule: GT-Vision-Lab/VQA a013f00, vqaEvaluation/vqaEval.py; its peculiarities are kept on purpose,
since ports that tidy them up give other numbers.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ullava.evaluation.metrics.additive import Additive, add, share
from ullava.evaluation.metrics.base import METRICS, Record
from ullava.evaluation.metrics.choices import same_choice

Match = Literal["auto", "official", "exact", "set", "choice"]
AGREEMENT = 3  # people who must agree with an answer for full marks
PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
PERIODS = 32  # the reference hands a flag over as the count of replacements
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
DIGITS = {"none": "0"} | {word: str(value) for value, word in enumerate(NUMBERS)}
ARTICLES = {"a", "an", "the"}
CONTRACTIONS = """
'ow's'at 'twas ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't
he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am might've mightn't mightn't've must've mustn't
needn't not've o'clock oughtn't shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll
somebody's someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd
there'd've there're there's they'd they'd've they'll they're they've wasn't we'd've we've weren't what'll what're
what's what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've
wouldn't wouldn't've y'all y'all'd've y'all'll you'd you'd've you'll you're you've
"""
# A word that lacks one of its apostrophes gets it back; one entry of the reference goes the other way.
RESTORED = {"somebody'd": "somebodyd"} | {
    word[:i] + word[i + 1 :]: word for word in CONTRACTIONS.split() for i, letter in enumerate(word) if letter == "'"
}


@METRICS.register("vqa_accuracy")
@dataclass(frozen=True)
class VqaAccuracy(Additive):
    """accuracy = mean over questions of how well the answer agrees with what people said.

    official: mean over the references of min(1, n / 3), n = how many of the OTHER references equal the answer: for ten
        of them, 1, 2, 3, 4 agreeing give 0.3, 0.6, 0.9, 1. Answers are normalised first, but only where the references
        are not all alike: "Yes" against ten times "yes" is 0.
    exact: 1 where the normalised answer equals any normalised reference.
    set: the same of the answers' parts between commas, in any order.
    choice: 1 where the answer chooses the first reference's letter (`choices`).

    Args:
        match: "auto" takes official where it can give full marks (4 references or more), exact elsewhere.
    """

    match: Match = "auto"

    reads = "text"

    def __post_init__(self):
        if self.match not in Match.__args__:
            raise ValueError(f"vqa_accuracy: match is {self.match!r}; there are: {', '.join(Match.__args__)}")

    def measure(
        self, prediction: str | None, truth: Sequence[str], *, category: str | None = None, ignored: Any = None
    ) -> Record:
        if not truth:
            raise ValueError("vqa_accuracy: expected references, found none")
        match = self.match
        if match == "auto":
            match = "official" if len(truth) > AGREEMENT else "exact"
        if match == "official" and len(truth) <= AGREEMENT:
            raise ValueError(
                f"vqa_accuracy: the official rule needs more than {AGREEMENT} references, found {len(truth)}; "
                "use match: exact"
            )
        return {"accuracy": 0.0 if prediction is None else AGREE[match](prediction, truth)}

    def sums(self, records: Sequence[Record], groups: np.ndarray, count: int) -> np.ndarray:
        accuracy = np.array([record["accuracy"] for record in records], np.float64)
        return add(np.stack([np.ones_like(accuracy), accuracy], axis=1), groups, count)

    def conclude(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        return {"accuracy": share(sums[..., 1], sums[..., 0])}


@METRICS.register("vqa_official")
@dataclass(frozen=True)
class Official(VqaAccuracy):
    """VQA's rule, also where it cannot give full marks."""

    match: Match = "official"


@METRICS.register("vqa_exact")
@dataclass(frozen=True)
class Exact(VqaAccuracy):
    """Any reference, word for word."""

    match: Match = "exact"


@METRICS.register("vqa_set")
@dataclass(frozen=True)
class SameSet(VqaAccuracy):
    """All things and no others, as DAQUAR's answers list them."""

    match: Match = "set"


@METRICS.register("vqa_choice")
@dataclass(frozen=True)
class Choice(VqaAccuracy):
    """The right letter, as ScienceQA's questions ask for it."""

    match: Match = "choice"


def official(answer: str, references: Sequence[str]) -> float:
    """Agreement with ten people, each of them left out once."""
    answer, *references = (re.sub("[\n\t]", " ", text).strip() for text in (answer, *references))
    if len(set(references)) > 1:
        answer, *references = map(normalise, (answer, *references))
    equal = [reference == answer for reference in references]
    return float(np.mean([min(1, (sum(equal) - own) / AGREEMENT) for own in equal]))


def exact(answer: str, references: Sequence[str]) -> float:
    """Whether any reference says the same."""
    return float(normalise(answer) in map(normalise, references))


def same_set(answer: str, references: Sequence[str]) -> float:
    """Whether any reference names the same things."""
    parts, *reference_parts = ({normalise(part) for part in text.split(",")} for text in (answer, *references))
    return float(parts in reference_parts)


AGREE = {"official": official, "exact": exact, "set": same_set, "choice": same_choice}


def normalise(text: str) -> str:
    """The official form: no punctuation, lower case, digits for number words, no articles, apostrophes restored."""
    words = (DIGITS.get(word, word) for word in strip_punctuation(text.strip()).lower().split())
    return " ".join(RESTORED.get(word, word) for word in words if word not in ARTICLES)


def strip_punctuation(text: str) -> str:
    """Deletes a mark that stands beside a space, or any in a text with a comma between digits; others become spaces.

    Then deletes the first 32 periods that no digit follows. Apostrophes, $, %, & and colons stay.
    """
    grouped = re.search(r"\d,\d", text, re.ASCII) is not None
    marks = {}
    for mark in PUNCTUATION:
        beside = f"{mark} " in text or f" {mark}" in text
        marks[ord(mark)] = "" if grouped or beside else " "
    return re.sub(r"\.(?!\d)", "", text.translate(marks), count=PERIODS, flags=re.ASCII)
