"""What a check may find in data: kinds of faults, by the names that `check.json` and `check.html` use."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

ISSUES = {
    "dataset": "cannot be opened",
    "record": "records that cannot be read",
    "missing": "missing files",
    "broken": "broken files",
    "size": "sizes that disagree",
    "empty": "empty masks, boxes and texts",
    "outside": "boxes outside their pictures",
    "frame": "boxes that do not frame their masks",
    "duplicate": "ids that stand twice",
    "task": "nothing that the task can ask about",
    "long": "promises beyond max_length",
    "leak": "pictures that are evaluated, too",
}
SAID = ("leak",)  # said, and no reason to fail: learning a few pictures by heart is a way to test a model


@dataclass(frozen=True, slots=True, order=True)
class DataIssue:
    """One fault.

    Attributes:
        record: the sample's id; of a record that cannot be read, what its reader calls it, or "dataset[number]".
        message: what was expected and found.
    """

    kind: str
    dataset: str
    record: str
    message: str

    @property
    def fails(self) -> bool:
        """Whether a check that finds it has failed."""
        return self.kind not in SAID

    def __str__(self) -> str:
        message = self.message.removeprefix(f"{self.record}: ")
        return f"{self.dataset}: {self.record}: {message}" if self.record else f"{self.dataset}: {message}"


def unread(dataset: str, number: int, error: Exception) -> DataIssue:
    """Makes the issue of a record that its reader refuses; most messages begin with the record's id."""
    named = re.match(rf"{re.escape(dataset)}/[^\s:]+", str(error))
    return DataIssue("record", dataset, named.group() if named else f"{dataset}[{number}]", str(error))


def once(issues: Iterable[DataIssue]) -> list[DataIssue]:
    """Sorts issues in the order of `ISSUES`, and drops repeated ones: several rows may ask about one dataset."""
    order = list(ISSUES)
    return sorted(set(issues), key=lambda issue: (order.index(issue.kind), issue))
