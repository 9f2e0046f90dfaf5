"""The contract of a baseline: it answers like a model, and has seen training answers but never a picture."""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ullava.configs.registry import Registry
from ullava.configs.schema import EvaluationRow, GenerationConfig
from ullava.datasets.structures import Answer, Dialogue
from ullava.evaluation.engine.questions import Question

BASELINES: Registry[type["Baseline"]] = Registry("baseline")


class Baseline(ABC):
    """Answers without looking.

    Attributes:
        name: as in the results, set by the registry.
        reads: what kind of metric it is held against.
        tasks: names of the tasks whose questions it answers.

    Args:
        row: what is evaluated.
        own: the run's own catalogue entries.
        generation: its batch size and seed.
    """

    name: ClassVar[str]
    reads: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]]

    def __init__(self, row: EvaluationRow, own: Mapping[str, Any], generation: GenerationConfig):
        self.row, self.own, self.generation = row, own, generation

    def prove(self, lessons: Sequence[Question] | None) -> None:  # noqa: B027, most are content with any
        """Opens what it needs besides the lessons, and looks whether these teach it anything.

        Args:
            lessons: None where they are not read yet, for each costs the decoding of a picture.

        Raises:
            ValueError, LookupError, FileNotFoundError: they do not, or something is not there.
        """

    def suits(self, questions: Sequence[Question]) -> bool:
        """Whether the baseline is meaningful for these questions."""
        return True

    def learn(self, lessons: Sequence[Question]) -> None:  # noqa: B027, some have nothing to learn
        """Takes in the evaluation dialogues of the training set."""

    @abstractmethod
    def answer(self, dialogue: Dialogue) -> Answer:
        """Answers from the question and the picture's size; the baseline's name says what else it knows."""

    def __call__(self, dialogues: Sequence[Dialogue], *, given: bool) -> list[Answer]:
        return [self.answer(dialogue) for dialogue in dialogues]

    def rng(self, dialogue: Dialogue) -> np.random.Generator:
        """The dialogue's own source of chance, the same in every run and on every rank."""
        return np.random.default_rng([self.generation.seed, zlib.crc32(dialogue.id.encode())])
