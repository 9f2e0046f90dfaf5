from types import SimpleNamespace

import numpy as np
import pytest

from ullava.configs.schema import EvaluationRow
from ullava.datasets.structures import Answer, Dialogue, Sample, Turn
from ullava.evaluation.engine import answer_cache as remembering
from ullava.evaluation.engine.answer_cache import AnswerCache


class Asked:
    """Counts what it is asked."""

    generation = SimpleNamespace(batch_size=2)

    def __init__(self):
        self.count = 0

    def __call__(self, dialogues, *, given):
        self.count += len(dialogues)
        return [Answer(f"{dialogue.id}, {self.count}", {"mask": (np.zeros((4, 4)),)}) for dialogue in dialogues]


def row(**changes):
    return EvaluationRow(**{"dataset": "toy", "task": "res"} | changes)


QUESTIONS = [Dialogue(f"toy/{n}", Sample(f"toy/{n}"), (Turn("where?", ""),)) for n in range(2)]


def ask(rows):
    model = Asked()
    asked = AnswerCache(model, rows)
    said = []
    for number in range(len(rows)):
        asked.begin(number)
        said.append([answer.text for answer in asked(QUESTIONS, given=False)])
    return model.count, said


def test_rows_that_differ_in_their_boxes_alone_share_their_answers():
    count, said = ask(
        [row(boxes="box", trivial="toy"), row(boxes="mask2box"), row(boxes={"grounding": {"weights": "w"}})]
    )
    assert count == 2 and said[0] == said[1] == said[2]


@pytest.mark.parametrize("changes", [{"limit": 3}, {"answers": "given"}, {"shuffled": True}, {"dataset": "other"}])
def test_rows_that_ask_otherwise_are_asked_anew(changes):
    assert ask([row(boxes="box"), row(boxes="box", **changes)])[0] == 4


def test_nothing_is_kept_that_nobody_wants_again():
    asked = AnswerCache(Asked(), [row(), row(limit=1)])
    asked.begin(0)
    asked(QUESTIONS, given=False)
    assert asked.kept == {}


def test_what_does_not_fit_is_asked_again_in_its_batch(monkeypatch):
    monkeypatch.setattr(remembering, "BUDGET", 128)  # one mask of 4 x 4 float64
    assert ask([row(boxes="box"), row(boxes="mask2box")])[0] == 4  # two questions, twice
