"""The contract of scoring files: which prediction is compared with which truth, for each kind of file.

A kind lists its cases in suites, and reads one case at a time; everything after that is as in an evaluation: the same
metrics measure pairs, and the same summary scores them.
"""

import argparse
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ullava.configs.messages import located
from ullava.configs.registry import Registry
from ullava.evaluation.engine.scoring import Pair
from ullava.evaluation.metrics.base import Metric, Record

FILE_KINDS = Registry("kind of files")


@dataclass(frozen=True, slots=True)
class Case:
    """One prediction and its truth, as a kind keeps them before it reads them: paths, or values.

    Attributes:
        picture: what the bootstrap draws.
        prediction: None where none was handed in: it counts as empty.
        says_no_target: whether the model says that there is no target; None where nobody wrote it down.
    """

    id: str
    picture: str
    prediction: Any
    truth: Any
    says_no_target: bool | None = None


@dataclass(frozen=True, slots=True)
class Suite:
    """Cases that are scored together.

    Attributes:
        name: stands in the row as its dataset.
        extra: ids of predictions without a truth; they count nowhere.
        head: of its row, beside the name.
    """

    name: str
    cases: Sequence[Case]
    metrics: Sequence[Metric]
    extra: Sequence[str] = ()
    head: Mapping[str, Any] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """Ids of the cases without a prediction."""
        return [case.id for case in self.cases if case.prediction is None]


class Kind(ABC):
    """One kind of files.

    Args:
        options: the command line that `add_arguments` describes.
    """

    name: str
    needs_truth = True  # whether --gt has to be there

    def __init__(self, options: argparse.Namespace):
        self.options = options

    @classmethod  # noqa: B027, most kinds know no more
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Adds the command-line options that only this kind has."""

    @abstractmethod
    def suites(self) -> list[Suite]:
        """Returns the suites of cases that are to be scored.

        Raises:
            FileNotFoundError, ValueError: files that are not there, or are not what they should be.
        """

    @abstractmethod
    def pairs(self, case: Case) -> Mapping[str, Sequence[Pair]]:
        """Reads a case: its pairs of prediction and truth, by what a metric reads ("mask", "box", ...)."""

    def notes(self) -> list[str]:
        """Returns remarks that the results hold under `notes`, once all cases were read."""
        return []

    def records(self, case: Case, metrics: Sequence[Metric]) -> dict[str, tuple[Record, ...]]:
        """Measures a case with each metric."""
        pairs = self.pairs(case)
        with located(case.id):
            return {
                metric.name: tuple(
                    metric.measure(pair.prediction, pair.truth, category=pair.category, ignored=pair.ignored)
                    for pair in pairs[metric.reads]
                )
                for metric in metrics
            }


def match(
    truths: Mapping[str, Any], predictions: Mapping[str, Any], options: argparse.Namespace
) -> tuple[list[tuple[str, Any, Any]], list[str]]:
    """Pairs truths with predictions: (id, truth, prediction or None) in the truths' order, and ids without a truth.

    Args:
        options: the command line, whose `gt` and `pred` they come from.

    Raises:
        ValueError: there are no truths, or predictions of which none belongs to a truth: a wrong folder, likely.
    """
    if not truths:
        raise ValueError(f"{options.gt}: expected truths, found none")
    if predictions and not truths.keys() & predictions.keys():
        raise ValueError(
            f"{options.pred}: no prediction belongs to a truth; truths are called {shown(truths)}, "
            f"predictions {shown(predictions)}; name both alike"
        )
    pairs = [(name, truth, predictions.get(name)) for name, truth in truths.items()]
    return pairs, [name for name in predictions if name not in truths]


def files_of(folder: Path, endings: Sequence[str]) -> dict[str, Path]:
    """Finds the files of a folder and its subfolders, sorted: name without ending -> path.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: two files of one name.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    paths: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in endings or path.name.startswith("."):
            continue
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in paths:
            raise ValueError(f"{folder}: {paths[name].name} and {path.name} have one name; keep one of them")
        paths[name] = path
    return paths


def shown(names: Iterable[str], limit: int = 3) -> str:
    """Writes the first names, and how many more there are."""
    names = [str(name) for name in names]
    more = f", ... ({len(names)} in all)" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
