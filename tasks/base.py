"""The contract of a task, and the random draws that tasks share."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np

from ullava.configs.registry import Registry
from ullava.datasets.structures import Dialogue, Sample

TASKS: Registry[type["Task"]] = Registry("task")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer says, taken apart by the grammar of the task that wrote its kind.

    Attributes:
        text: the words that are scored as text.
        tokens: its owner tokens, in order.
        names: the names between [tag] and [/tag], in order.
    """

    text: str
    tokens: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


class Task(ABC):
    """A way of asking about a sample. Options of the YAML are the fields of the dataclass that implements it.

    Attributes:
        name: as in the YAML, set by the registry.
        heads: names in the head registry whose tokens its answers may say; may depend on its options.
        metrics: names in the metric registry that score its answers; likewise.
        main_score: the score that stands for the task in summaries and by which its baselines are ranked; "": the first
            that its metrics give.
        by_name: whether the masks of its answers are known by the names that are said of them, whatever their order and
            number; such a task has `names`.
    """

    name: ClassVar[str]
    by_name: ClassVar[bool] = False
    main_score: ClassVar[str] = ""
    heads: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()

    @abstractmethod
    def dialogue(self, sample: Sample, rng: np.random.Generator) -> Dialogue:
        """Writes a training dialogue: phrases, regions and answers are drawn by `rng`, several turns are allowed.

        Raises:
            ValueError: the sample holds nothing this task can ask about (names the sample and what is missing).
        """

    @abstractmethod
    def eval_dialogues(self, sample: Sample) -> Iterator[Dialogue]:
        """Yields one dialogue of one turn per question, phrases and order fixed, so that no answer leaks onwards."""

    @abstractmethod
    def read(self, answer: str) -> Reading | None:
        """Inverse of the grammar of its own answers; None where `answer` does not follow it."""

    def glean(self, answer: str, sample: Sample) -> Reading | None:
        """Reads what scores count of an answer, even where it breaks the grammar; None where it cannot be read."""
        return self.read(answer)

    def names(self, sample: Sample) -> Collection[str]:
        """With `by_name`, everything that it may ask about the sample: there or not."""
        raise NotImplementedError(f"task {self.name} knows no names")


def main_score(task: str) -> str:
    """The main score of the task of this name; "" where there is no such task here, or it names none."""
    return TASKS[task].main_score if task in TASKS else ""


def pick(items: Sequence[T], rng: np.random.Generator) -> T:
    """One of `items`."""
    return items[int(rng.integers(len(items)))]


def draw(items: Sequence[T], limit: int, rng: np.random.Generator) -> list[T]:
    """At most `limit` of `items`, in random order."""
    return [items[i] for i in rng.permutation(len(items))[:limit]]
