"""What a model forgets while it learns something else: the same questions, asked before and after.

A results.json that holds the rows of several models says at each row whose it is (`model`), and under `run` which one
the others began from (`base`). Of two runs, `ullava compare` says the same with paired intervals.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ullava.evaluation.engine.results import Results, aligned
from ullava.evaluation.report.main_scores import is_asked

KEPT = {"captioning": "CIDEr-D", "vqa": "accuracy"}  # task of a chat -> the score that stands for it


@dataclass(frozen=True, slots=True)
class Loss:
    """What a model has left of one score.

    Attributes:
        before, after: of the base and of the model.
    """

    model: str
    dataset: str
    task: str
    score: str
    before: float
    after: float

    @property
    def kept(self) -> float:
        """Share of the base's score that is left; 1 where there was none."""
        return self.after / self.before if self.before else 1.0


def forgotten(results: Results) -> list[Loss]:
    """The losses of every model that the base's own questions were asked, in the order of the rows."""
    base = results["run"].get("base")
    scored = {
        (row.get("model"), row["dataset"], row["task"]): row["metrics"].get(KEPT[row["task"]])
        for row in results["rows"]
        if row["task"] in KEPT and is_asked(row)
    }
    losses = []
    for (model, dataset, task), after in scored.items():
        before = scored.get((base, dataset, task))
        if model != base and before is not None and after is not None:
            losses.append(Loss(model, dataset, task, KEPT[task], before, after))
    return losses


def cells(losses: Sequence[Loss]) -> Iterator[tuple[str, ...]]:
    """The lines of a table, its head first."""
    yield "model", "dataset", "task", "score", "before", "after", "kept"
    for loss in losses:
        numbers = f"{loss.before:.3f}", f"{loss.after:.3f}", f"{loss.kept:.0%}"
        yield loss.model, loss.dataset, loss.task, loss.score, *numbers


def forgetting_table(results: Results) -> str:
    """The same as plain text; "" where one model stands alone."""
    losses = forgotten(results)
    return "\n".join(aligned(list(cells(losses)))) if losses else ""
