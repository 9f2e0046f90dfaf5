"""How an answer about a region is written, and how it is read back.

    Sure. Mask: [SEG]; Location: [LOC]; [tag]dog[/tag]. Explanation: it is the only one that runs

Source: OPPOMKLab/u-LLaVA, dataset/datasets/{res,salient_seg}_dataset.py, Apache-2.0; the first release writes `Info:`.
Our own `named` puts the name where the token is said, so that the state which draws the mask begins as the name's:

    Sure. dog [SEG]; dog [LOC].
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ullava.configs.registry import Registry
from ullava.configs.tokens import END_TAG, IMAGE, LOC, SEG, STAGE_ONE, STAGE_TWO, TAG, VIDEO
from ullava.datasets.structures import OWNER_PATTERN
from ullava.tasks.base import Reading, pick

MARK_PATTERN = re.compile("|".join(map(re.escape, (*STAGE_ONE, *STAGE_TWO, IMAGE, VIDEO))), re.IGNORECASE)


def plain(text: str, where: str) -> str:
    """Returns the text as answers write it: lower case, no space around.

    Raises:
        ValueError: it holds a token's spelling, which the processor would take for the token; `where` names the sample.
    """
    if mark := MARK_PATTERN.search(text):
        raise ValueError(
            f"{where}: expected plain words, found {mark.group()!r} in {text!r}; take it out of the annotation"
        )
    return text.lower().strip()


def words(answer: str) -> Reading | None:
    """Reads an answer that is nothing but words; None where it is empty or says an owner token."""
    return Reading(answer.strip()) if answer.strip() and not OWNER_PATTERN.search(answer) else None


class AnswerGrammar(Protocol):
    """The contract of a form of answer about a region: it writes an answer, and reads it back."""

    @property
    def labels(self) -> Mapping[str, str]:
        """The owner tokens that the grammar can write, each with the word before it or ""."""
        ...

    @property
    def says(self) -> tuple[str, ...]:
        """The owner tokens of its usual answer, in the order of the text."""
        ...

    def write(
        self, owners: Sequence[str], name: str = "", reason: str = "", rng: np.random.Generator | None = None
    ) -> str:
        """Writes an answer.

        Args:
            owners: the owner tokens it says, at least one.
            name: what the region is called, `plain`; "" where nobody knows.
            reason: why it is this one, `plain`; "" where nobody says.
            rng: draws among several ways to say it; None takes the one of evaluations.
        """
        ...

    def read(self, answer: str) -> Reading | None:
        """Inverse of `write`, whatever spaces a tokenizer puts around the tokens; None where it is another form."""
        ...


GRAMMARS: Registry[AnswerGrammar] = Registry("grammar")


@dataclass(frozen=True, slots=True)
class Grammar:
    """One release's form of answer.

    Attributes:
        labels: owner token -> the word before it.
        says: the tokens that the release's answers say.
        named: whether a region's name stands in the label's place, where there is one: `Sure. dog [SEG]; dog [LOC].`
    """

    labels: Mapping[str, str]
    says: tuple[str, ...]
    named: bool = False

    def write(
        self, owners: Sequence[str], name: str = "", reason: str = "", rng: np.random.Generator | None = None
    ) -> str:
        """As `AnswerGrammar.write`; there is only one wording."""
        named = name if self.named else ""
        parts = [f"{named or self.labels[owner] + ':'} {owner}" for owner in owners]
        parts += [f"{TAG}{name}{END_TAG}"] if name and not named else []
        return f"Sure. {'; '.join(parts)}." + (f" Explanation: {reason}" if reason else "")

    def read(self, answer: str) -> Reading | None:
        """Inverse of `write`, whatever spaces a tokenizer puts around the tokens; the reason is the text."""
        match = next(filter(None, (re.fullmatch(form, answer.strip(), re.DOTALL) for form in self.forms())), None)
        if match is None:
            return None
        name, reason = ((match[group] or "").strip() for group in ("name", "reason"))
        if MARK_PATTERN.search(name) or MARK_PATTERN.search(reason):
            return None
        return Reading(reason, tuple(OWNER_PATTERN.findall(match["owners"])), (name,) if name else ())

    def forms(self) -> Iterator[str]:
        """Yields the expressions of an answer: labels and a tag; and the name before each token."""
        reason = r"(?:\s*Explanation:(?P<reason>.+))?"
        owner = "|".join(rf"{label}:\s*{re.escape(token)}" for token, label in self.labels.items())
        tag = rf"{re.escape(TAG)}(?P<name>.+){re.escape(END_TAG)}"
        yield rf"Sure\.\s*(?P<owners>(?:{owner})(?:\s*;\s*(?:{owner}))*)(?:\s*;\s*{tag})?\s*\.{reason}"
        if self.named:
            token = "|".join(map(re.escape, self.labels))
            again = rf"(?:\s*;\s*(?P=name)\s*(?:{token}))*"
            yield rf"Sure\.\s*(?P<owners>(?P<name>.+?)\s*(?:{token}){again})\s*\.{reason}"


@dataclass(frozen=True, slots=True)
class Sentences:
    """Answers that are one of several sentences about the one token, any of which a reason may follow (LISA).

        Sure, it is [SEG]. The white cup is the only one that holds water.

    Attributes:
        ways: the sentences, each with the token in it; training draws from them, eval_dialogues have the last.
    """

    ways: tuple[str, ...]

    @property
    def labels(self) -> Mapping[str, str]:
        return {SEG: ""}

    @property
    def says(self) -> tuple[str, ...]:
        return (SEG,)

    def write(
        self, owners: Sequence[str], name: str = "", reason: str = "", rng: np.random.Generator | None = None
    ) -> str:
        """As `AnswerGrammar.write`; the answer never contains the name."""
        sentence = self.ways[-1] if rng is None else pick(self.ways, rng)
        return f"{sentence} {reason}" if reason else sentence

    def read(self, answer: str) -> Reading | None:
        """Inverse of `write`, whatever spaces a tokenizer puts around the token; the reason is the text."""
        token = rf"\s*{re.escape(SEG)}\s*"
        ways = "|".join(token.join(re.escape(half.strip()) for half in way.split(SEG)) for way in self.ways)
        match = re.fullmatch(rf"(?:{ways})(?P<reason>.*)", answer.strip(), re.DOTALL)
        if match is None or MARK_PATTERN.search(match["reason"]):
            return None
        return Reading(match["reason"].strip(), (SEG,))


GRAMMARS.add("ullava", Grammar({SEG: "Mask", LOC: "Location"}, says=(SEG, LOC)))
GRAMMARS.add("ullava_v1", Grammar({SEG: "Info", LOC: "Location"}, says=(SEG,)))
GRAMMARS.add("named", Grammar({SEG: "Mask", LOC: "Location"}, says=(SEG, LOC), named=True))
