"""A written dialogue: what the tokenizer reads, and where in it each answer stands."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Script:
    """A written dialogue.

    Attributes:
        text: what the tokenizer reads.
        answers: (start, end) characters of each answer with its closing mark: what the language loss supervises.
    """

    text: str
    answers: tuple[tuple[int, int], ...]
