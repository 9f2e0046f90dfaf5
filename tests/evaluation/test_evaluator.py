"""The engine against a model that is made of a list of answers."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from ullava.configs.schema import EvaluationRow, GenerationConfig
from ullava.datasets.masks import RunLengths, decode, encode
from ullava.datasets.structures import Answer, Picture, Region, Sample, Turn
from ullava.evaluation.engine import questions, rows
from ullava.evaluation.engine.questions import shuffle, spread
from ullava.evaluation.engine.results import named_score, read_results, table
from ullava.evaluation.evaluator import evaluate

LEFT = np.array([[1, 1, 0, 0], [1, 1, 0, 0]], bool)
RIGHT = ~LEFT


def mask(drawn: np.ndarray) -> RunLengths:
    packed = encode(drawn)
    return RunLengths(tuple(packed["size"]), packed["counts"])


def sample(number: int, drawn=LEFT, **more) -> Sample:
    region = Region(("the thing",), "thing", mask=mask(drawn))
    return Sample(f"toy/{number}", (Picture(f"{number}.png", drawn.shape),), (region,), **more)


@dataclass
class Fake:
    """Says `text` of everything, or the written answer where that is None; notes what it was asked."""

    text: str | None = None
    masks: tuple = ()
    boxes: tuple = ()
    size: int = 2

    def __post_init__(self):
        self.generation = GenerationConfig(batch_size=self.size)
        self.batches = []

    def __call__(self, dialogues, *, given):
        self.batches.append([dialogue.id for dialogue in dialogues])
        self.asked = [*getattr(self, "asked", []), *dialogues]
        predictions = {"mask": self.masks, "box": self.boxes}
        return [Answer(self.text or dialogue.turns[-1].answer, predictions) for dialogue in dialogues]


@pytest.fixture
def toy(monkeypatch):
    """Puts samples in place of a catalogue."""

    def put(samples):
        monkeypatch.setattr(questions, "open_dataset", lambda name, task, own: samples)

    return put


def one(answerer, output=None, **row):
    row = EvaluationRow(**{"dataset": "toy", "task": "res", "options": {"says": ["SEG"]}} | row)
    results = evaluate([row], answerer, own={}, output=output, run={"model": "fake"}, progress=False)
    return results["rows"][0]


def test_the_right_mask_scores_one_and_the_wrong_half_a_third(toy):
    toy([sample(0), sample(1, RIGHT)])
    row = one(Fake(masks=(LEFT.astype(np.float32),)))
    assert row["metrics"]["gIoU"] == 0.5  # IoU 1 and 0
    assert row["metrics"]["cIoU"] == pytest.approx(4 / 12)  # 4 pixels shared of 4 + 8
    assert row["metrics"]["emission"] == 1 and row["metrics"]["unparseable"] == 0
    assert row["count"] == 2 and row["boxes"] is None and row["protocol"] == "ullava_trainer"
    low, high = row["interval"]["gIoU"]
    assert 0 <= low <= 0.5 <= high <= 1


def test_a_missing_mask_counts_as_empty(toy):
    toy([sample(0)])
    row = one(Fake(text="I see nothing"))
    assert row["metrics"]["gIoU"] == 0
    assert row["metrics"]["emission"] == 0 and row["metrics"]["unparseable"] == 1


def test_a_mask_too_many_counts_in_the_emission_only(toy):
    toy([sample(0)])
    row = one(Fake(text="[SEG] [SEG]", masks=(LEFT.astype(np.float32), RIGHT.astype(np.float32))))
    assert row["metrics"]["gIoU"] == 1
    assert row["metrics"]["emission"] == 0


def test_a_mask_of_another_size_is_an_error(toy):
    toy([sample(0)])
    with pytest.raises(ValueError, match=r"toy/0#0: expected a mask of size \(2, 4\).*found \(3, 3\)"):
        one(Fake(masks=(np.ones((3, 3), np.float32),)))


def test_boxes_come_from_the_named_source(toy):
    toy([sample(0)])
    masks = (LEFT.astype(np.float32),)
    row = one(Fake(masks=masks, boxes=((2.0, 0.0, 4.0, 2.0),)), task="rec", options={})
    assert row["metrics"]["acc@0.5"] == 0 and row["boxes"] == "box"
    row = one(Fake(masks=masks), boxes="mask2box")
    assert row["metrics"]["acc@0.5"] == 1 and row["metrics"]["gIoU"] == 1 and row["boxes"] == "mask2box"
    with pytest.raises(LookupError, match="no box source 'fused'"):
        one(Fake(), boxes="fused")


def test_a_row_may_name_its_metrics(toy):
    toy([sample(0), sample(1, np.zeros_like(LEFT))])
    row = one(Fake(masks=(LEFT.astype(np.float32),)), metrics=["generalised_iou"])
    assert (row["metrics"]["T-acc"], row["metrics"]["N-acc"], row["metrics"]["gIoU"]) == (1, 0, 0.5)
    with pytest.raises(LookupError, match="no metric 'generalized_iou'; did you mean 'generalised_iou'"):
        one(Fake(), metrics=["generalized_iou"])


def test_ignored_pixels_count_nowhere(toy):
    toy([sample(0, ignored=mask(RIGHT))])
    assert one(Fake(masks=(np.ones((2, 4), np.float32),)))["metrics"]["gIoU"] == 1


def test_words_are_compared_as_the_task_reads_them(toy):
    toy([Sample("toy/0", turns=(Turn("What is it?", "a cat"),)), Sample("toy/1", turns=(Turn("And it?", "a dog"),))])
    row = one(Fake(text=" a cat "), task="vqa", options={})
    assert row["metrics"]["accuracy"] == 0.5


def test_files_hold_what_names_say(toy, tmp_path):
    toy([sample(0), sample(1, RIGHT)])
    row = one(Fake(masks=(LEFT.astype(np.float32),)), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["predictions.jsonl", "results.json", "results.md"]
    results = read_results(tmp_path / "results.json")
    assert results["rows"][0] == row and results["run"] == {"model": "fake"}
    assert list(row) == [
        "dataset", "task", "answers", "protocol", "boxes", "metrics", "interval", "count", "seconds",
    ]  # fmt: skip
    lines = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["toy/0#0", "toy/1#0"]
    assert list(lines[1]) == [
        "id", "dataset", "task", "answers", "question", "answer", "truth", "predicted", "metrics",
    ]  # fmt: skip
    assert (decode(lines[1]["truth"]["masks"][0]) == RIGHT).all()
    assert (decode(lines[1]["predicted"]["masks"][0]) == LEFT).all()
    assert lines[1]["metrics"]["gIoU"] == 0


def test_nothing_is_left_of_an_evaluation_that_failed(toy, tmp_path):
    toy([sample(0)])
    with pytest.raises(ValueError):
        one(Fake(masks=(np.ones((3, 3), np.float32),)), tmp_path)
    assert not list(tmp_path.iterdir())


def test_results_do_not_depend_on_the_batch_size(toy):
    toy([sample(i, LEFT if i % 3 else RIGHT) for i in range(7)])
    masks = (LEFT.astype(np.float32),)
    small, large = (one(Fake(masks=masks, size=size)) for size in (1, 100))
    assert small["metrics"] == large["metrics"] and small["interval"] == large["interval"]


def test_ranks_share_the_questions_and_none_is_asked_twice(toy, monkeypatch):
    toy([sample(i) for i in range(5)])
    parts, asked = [], []
    for rank in (0, 1):
        monkeypatch.setattr(rows.ranks, "place", lambda rank=rank: (rank, 2))
        monkeypatch.setattr(rows.ranks, "gather", lambda scored: parts.append(scored) or scored)
        fake = Fake(masks=(LEFT.astype(np.float32),))
        one(fake)
        asked += [name for batch in fake.batches for name in batch]
    assert sorted(asked) == [f"toy/{i}#0" for i in range(5)]
    monkeypatch.setattr(rows.ranks, "gather", lambda scored: parts[0] + parts[1] if scored is not parts[0] else scored)
    assert one(Fake(masks=(LEFT.astype(np.float32),)))["count"] == 5


def test_questions_about_one_picture_share_a_batch(toy):
    samples = [
        Sample("toy/0", (Picture("a"),), turns=(Turn("one?", "1"), Turn("a much longer question?", "2"))),
        Sample("toy/1", (Picture("b"),), turns=(Turn("a middling one?", "1"), Turn("four?", "2"))),
    ]
    toy(samples)
    fake = Fake()
    one(fake, task="vqa", options={})
    assert fake.batches == [["toy/0#0", "toy/0#1"], ["toy/1#0", "toy/1#1"]]


def test_a_limit_spreads_over_the_dataset():
    assert spread(10, 5) == [0, 2, 4, 6, 8]
    assert spread(3, 5) == [0, 1, 2] and spread(3, None) == [0, 1, 2]


def test_shuffling_leaves_no_sample_its_picture():
    samples = [sample(i // 2) for i in range(20)]  # two samples a picture
    media = shuffle(samples, seed=1)
    assert all(other != mine.media for other, mine in zip(media, samples, strict=True))
    assert media[0] == media[1] and set(media) == {mine.media for mine in samples}
    assert media == shuffle(samples, seed=1) != shuffle(samples, seed=2)
    with pytest.raises(ValueError, match="two different pictures"):
        shuffle(samples[:2], seed=1)


def test_a_shuffled_row_is_scored_in_the_size_of_its_truth(toy):
    big = np.repeat(np.repeat(LEFT, 2, 0), 2, 1)
    toy([sample(0), sample(1, big)])
    fake = Fake(masks=(np.repeat(LEFT, 3, 0).astype(np.float32),))
    row = one(fake, shuffled=True)
    assert row["dataset"] == "toy_shuffled" and row["metrics"]["gIoU"] == 1
    assert {dialogue.sample.media[0].path for dialogue in fake.asked} == {"0.png", "1.png"}
    assert all(promise.region.mask is None for dialogue in fake.asked for promise in dialogue.promises)


def test_a_shuffled_box_is_stretched_with_its_picture(toy, tmp_path):
    toy([sample(0), sample(1, np.repeat(np.repeat(LEFT, 2, 0), 2, 1))])
    one(Fake(boxes=((0, 0, 4, 2),)), tmp_path, shuffled=True, task="rec", options={})
    small, large = map(json.loads, (tmp_path / "predictions.jsonl").read_text().splitlines())
    assert small["predicted"]["boxes"] == [[0, 0, 2, 1]]  # said of the large picture
    assert large["predicted"]["boxes"] == [[0, 0, 8, 4]]


def test_unknown_names_are_told_with_those_there_are(toy):
    toy([Sample("toy/0", turns=(Turn("What is it?", "a cat"),))])
    with pytest.raises(LookupError, match="no task 'rse'; did you mean 'res'"):
        one(Fake(), task="rse")
    with pytest.raises(ValueError, match="task 'res': no option 'say'; did you mean 'says'"):
        one(Fake(), options={"say": []})
    with pytest.raises(ValueError, match="toy/0: .*found none on 0 regions"):
        one(Fake())
    toy([Sample("toy/0")])
    with pytest.raises(ValueError, match="toy/0: task vqa expects written questions, found no turns"):
        one(Fake(), task="vqa", options={})
    toy([])
    with pytest.raises(ValueError, match="toy has no records"):
        one(Fake())


def test_a_score_is_found_by_its_name_and_printed(toy):
    toy([sample(0)])
    row = EvaluationRow(dataset="toy", task="res", options={"says": ["SEG"]})
    results = evaluate([row], Fake(masks=(LEFT.astype(np.float32),)), own={}, run={}, progress=False)
    assert named_score(results, "toy/res/gIoU") == 1
    with pytest.raises(LookupError, match="no score 'toy/res/gIou'; did you mean 'toy/res/gIoU'"):
        named_score(results, "toy/res/gIou")
    assert table(results).splitlines()[1].startswith("toy      res   generated  1")
