"""Opens one row of an evaluation: the one way for `check`, training and evaluation.

Whatever the row names is looked up here, and its questions are written, so that a row that opens is asked to its end.
What it cannot show without weights and pictures are files that turn out to be broken.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ullava.configs.messages import OURS
from ullava.configs.registry import nearest
from ullava.configs.schema import EvaluationRow
from ullava.datasets.readers.base import Reader
from ullava.datasets.structures import Answer, Box, Dialogue
from ullava.evaluation.engine.answer_form import AnswerForm
from ullava.evaluation.engine.box_sources import BOX_SOURCES, BoxSource, open_source, source_fault, source_of
from ullava.evaluation.engine.protocols import Protocol, open_protocol
from ullava.evaluation.engine.questions import Question, open_questions, open_reader, open_task, spread
from ullava.evaluation.engine.scoring import READABLE, QuestionScorer
from ullava.evaluation.metrics.base import METRICS, Metric
from ullava.evaluation.metrics.captions import meteor
from ullava.tasks.base import Task

T = TypeVar("T")
Fit = Callable[[Dialogue, bool], Any]  # (dialogue, whether its answers are written): refuses what is too long
PROVED = 256  # questions whose texts are held against the metrics before anything is asked
WRONG = (LookupError, ValueError, OSError)  # what a registry, a reader or a task raises about what it was given


@dataclass(frozen=True)
class OpenedRow:
    """A row of an evaluation with everything that it names.

    Attributes:
        reader: of the dataset; holds at least one record.
        metrics: those that score the answers, the form of the answers last.
        source: where boxes come from.
        protocol: how the questions are arranged into conversations.
        questions: arranged by the protocol; None where the reader decodes a picture for every record, and only the
            first questions were looked at.
        seed: by which a shuffled row exchanges pictures.
    """

    row: EvaluationRow
    task: Task
    reader: Reader
    metrics: tuple[Metric, ...]
    source: BoxSource
    protocol: Protocol
    questions: tuple[Question, ...] | None
    seed: int

    @property
    def head(self) -> dict[str, str]:
        """The keys that the results and every line of predictions.jsonl begin with."""
        dataset = f"{self.row.dataset}_shuffled" if self.row.shuffled else self.row.dataset
        return {"dataset": dataset, "task": self.row.task, "answers": self.row.answers, "protocol": self.row.protocol}

    @property
    def scores_boxes(self) -> bool:
        """Whether a metric reads boxes."""
        return any(metric.reads == "box" for metric in self.metrics)

    def all_questions(self) -> Sequence[Question]:
        """Every question, in the conversations in which they are asked."""
        if self.questions is not None:
            return self.questions
        return self.protocol.arrange(list(open_questions(self.row, self.task, self.reader, self.seed)))

    def score_names(self) -> set[str]:
        """Names of the scores that the row's results will hold."""
        return {name for metric in self.metrics for name in metric.score([])}


def open_row(
    row: EvaluationRow,
    own: Mapping[str, Any],
    *,
    seed: int = 0,
    heads: Collection[str] | None = None,
    fit: Fit | None = None,
    asks: bool = True,
) -> OpenedRow:
    """Opens a row; loads no weights.

    Args:
        own: the run's own catalogue entries.
        seed: of the draws that a shuffled row takes.
        heads: names of the model's heads; None: not known, and whether they answer the row is not looked at.
        fit: refuses a given answer that is too long for the model; None: lengths are not looked at.
        asks: write the questions; False leaves that, and whatever is wrong with single samples, to who asks them.

    Raises:
        LookupError: an unknown task, metric, box source or dataset.
        ValueError: an option that does not exist, a dataset without a question, a metric, source or protocol that does
            not fit the task, or a task that the model's heads do not answer; all faults that can be told apart, a line
            each.
        FileNotFoundError: a file or folder is missing.
    """
    attempts = Attempts()
    task: Task | None = attempts.make(open_task, row)
    metrics = attempts.make(open_metrics, task, row) if task else None
    source = attempts.make(open_boxes, row, task, metrics) if task and metrics else None
    reader = attempts.make(open_reader, row, own)
    protocol = attempts.make(open_protocol, row, getattr(reader, "names", None)) if reader else None
    if task and heads is not None:
        attempts.note(head_faults(row, task, heads))
    attempts.finish()
    assert task and metrics and source and reader is not None and protocol  # else `finish` had raised
    if not asks:
        return OpenedRow(row, task, reader, metrics, source, protocol, None, seed)
    whole = row.shuffled or not getattr(reader, "decodes", False)  # a plain list of samples decodes nothing
    questions = open_questions(row, task, reader, seed)
    arranged = tuple(protocol.arrange(list(questions))) if whole else (next(iter(questions)),)
    if fit and row.answers == "given":
        for question in arranged:
            fit(question.asked, True)
    opened = OpenedRow(row, task, reader, metrics, source, protocol, arranged if whole else None, seed)
    prove_metrics(opened, arranged)
    return opened


def prove_metrics(opened: OpenedRow, questions: Sequence[Question]) -> None:
    """Scores the written answer to the first question, and holds the texts of some more against its metrics.

    Raises:
        ValueError: a metric cannot read what the annotation gives.
    """
    scorer = QuestionScorer(opened.task, opened.metrics, Unsaid(opened.source.token), opened.head)
    records = scorer(0, questions[0], Answer(questions[0].meant.turns[-1].answer)).records
    for metric in opened.metrics:
        metric.score(records[metric.name])
    texts = QuestionScorer(
        opened.task, [metric for metric in opened.metrics if metric.reads == "text"], scorer.boxes, opened.head,
        settle=lambda pairs: [],
    )  # fmt: skip
    for place in spread(len(questions), PROVED) if texts.metrics else ():
        texts(place, questions[place], Answer(""), [])


@dataclass(frozen=True)
class Unsaid(BoxSource):
    """Finds no box, for whichever token the row takes boxes from."""

    token: str

    def __call__(self, question: Dialogue, answer: Answer) -> Sequence[Box | None]:
        return ()


class Attempts:
    """Makes several things, so that a fault in one does not hide that of another."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []

    def make(self, maker: Callable[..., T], *arguments: Any) -> T | None:
        """`maker(*arguments)`; None where that fails by what the user wrote."""
        try:
            return maker(*arguments)
        except WRONG as error:
            if isinstance(error, OURS):
                raise
            self.errors.append(error)
            return None

    def note(self, faults: Iterable[str]) -> None:
        """Adds faults that were found otherwise."""
        self.errors += [ValueError(fault) for fault in faults]

    def finish(self) -> None:
        """Raises what went wrong: one error as it is, several as one ValueError with their lines."""
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            raise ValueError("\n".join(dict.fromkeys(map(str, self.errors))))


def open_metrics(task: Task, row: EvaluationRow) -> tuple[Metric, ...]:
    """The row's metrics or else its task's, that of boxes where it names their source, and the form of the answers.

    Raises:
        LookupError: no such metric.
        ValueError: one that needs options, or that reads what no answer holds.
        FileNotFoundError: a metric needs a program that is not here.
    """
    metrics = [make_metric(name, task) for name in dict.fromkeys(task.metrics if row.metrics is None else row.metrics)]
    if row.boxes and all(metric.reads != "box" for metric in metrics):
        metrics.append(METRICS["box_accuracy"]())
    names = {metric.name for metric in metrics}
    if "captions" in names and "meteor" not in names and meteor.is_there():
        metrics.append(METRICS["meteor"]())
    return *metrics, AnswerForm(task.by_name)


def make_metric(name: str, task: Task) -> Metric:
    """A metric that scores answers of a task, by its name."""
    kind = METRICS[name]
    if kind.reads not in READABLE:
        known = [other for other, made in METRICS.items() if made.reads in READABLE]
        raise ValueError(f"metrics: {name} reads {kind.reads}, which no answer holds; {nearest(name, known)}")
    if kind.reads in ("mask", "union") and "mask" not in task.heads:
        raise ValueError(
            f"metrics: {name} reads masks, which answers of task {task.name} do not say; take a metric of the task "
            f"({', '.join(task.metrics) or 'none'}), or another task"
        )
    return kind()


def open_boxes(row: EvaluationRow, task: Task, metrics: Iterable[Metric]) -> BoxSource:
    """Opens the source of the row's boxes.

    Raises:
        LookupError, ValueError, FileNotFoundError: see `open_source`; ValueError also where boxes are scored and the
            task's answers hold no token of the source.
    """
    source = open_source(row.boxes)
    if any(metric.reads == "box" for metric in metrics) and (fault := source_fault(source.name, task)):
        raise ValueError(fault)
    return source


def head_faults(row: EvaluationRow, task: Task, heads: Collection[str]) -> Iterator[str]:
    """Yields why a model with these heads cannot answer the row."""
    yield from token_faults(task, heads)
    name = source_of(row.boxes)[0] if not isinstance(row.boxes, dict) or len(row.boxes) == 1 else ""
    if name in BOX_SOURCES and (needed := BOX_SOURCES[name].head) and row.boxes and needed not in heads:
        yield f"boxes: {name}: the model has no {needed} head; train one (model.heads.{needed})"


def token_faults(task: Task, heads: Collection[str]) -> Iterator[str]:
    """Yields the owner tokens that a task's answers say and none of the model's `heads` reads."""
    import ullava.models.heads  # noqa: F401, registers them; torch, which scores and baselines do without
    from ullava.models.heads.base import HEADS

    read = {HEADS[name].token for name in heads if name in HEADS}
    task_tokens = {HEADS[name].token for name in task.heads if name in HEADS}
    if task_tokens - read:
        tokens = ", ".join(sorted(task_tokens - read))
        yield f"task {task.name} says {tokens}, which no head of the model reads; add it, or set `says`"
