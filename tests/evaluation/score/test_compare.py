"""Runs against each other: differences in pairs, on the questions they share."""

import json

import numpy as np
import pytest

from ullava.commands.compare import main
from ullava.datasets.masks import encode
from ullava.evaluation.engine.results import read_results
from ullava.evaluation.score.compare import compare

TRUTH = np.arange(40).reshape(4, 10) % 10 < 5


def line(number, drawn, **more):
    """A question about a picture of its own, answered by a mask."""
    return {
        "id": f"d/{number}#0", "dataset": "d", "task": "res", "answers": "generated",
        "answer": "[SEG]",
        "truth": {"masks": [encode(TRUTH)], "boxes": [], "text": [""], "answer": "[SEG]", "picture": f"{number}.png",
                  "scored_by": ["mask_iou", "form"]},
        "predicted": {"masks": [encode(drawn)], "boxes": [], "text": "", "readable": True, "protocol": "ours"},
    } | more  # fmt: skip


def write(folder, lines):
    folder.mkdir()
    (folder / "predictions.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    return folder


def columns(count):
    """The first `count` columns: IoU count / 5 with the truth, for up to 5."""
    return np.arange(40).reshape(4, 10) % 10 < count


@pytest.fixture
def runs(tmp_path):
    """Easy and hard pictures, IoU 4/5 and 1/5; the second run gains a fifth on every one."""
    easy = [number % 2 for number in range(20)]
    first = [line(number, columns(4 if e else 1)) for number, e in enumerate(easy)]
    second = [line(number, columns(5 if e else 2)) for number, e in enumerate(easy)]
    return write(tmp_path / "first", first), write(tmp_path / "second", second)


def scores(comparisons):
    return {one.score: one for one in comparisons}


def test_a_steady_gain_has_a_narrow_interval_where_the_scores_have_wide_ones(runs):
    one = scores(compare(runs))["gIoU"]
    assert one.values == pytest.approx((0.5, 0.7)) and one.count == 20
    low, high = one.intervals[0]
    assert high - low > 0.2  # half of the pictures are easy
    assert one.differences[1] == pytest.approx((0.2, 0.2, 0.2))
    assert one.differences[0] == (0, 0, 0)


def test_only_shared_questions_are_compared_in_any_order(runs, tmp_path):
    lines = [json.loads(text) for text in (runs[1] / "predictions.jsonl").read_text().splitlines()]
    part = write(tmp_path / "part", [*lines[10:4:-1], line(99, columns(0))])
    one = scores(compare([runs[0], part]))["gIoU"]
    assert one.count == 6 and one.differences[1] == pytest.approx((0.2, 0.2, 0.2))


def test_the_table_marks_what_is_no_chance(runs, tmp_path, capsys):
    main([str(runs[0]), str(runs[1]), "--out", str(tmp_path / "table.json")])
    printed = capsys.readouterr().out
    assert "(2) " + str(runs[1]) in printed
    (row,) = [text.split() for text in printed.splitlines() if " gIoU " in text]
    assert row[:7] == ["d", "res", "generated", "ours", "-", "20", "gIoU"]
    assert row[7:] == ["0.5000", "0.7000", "+0.2000*", "+0.2000", "..", "+0.2000"]
    (emission,) = [text.split() for text in printed.splitlines() if " emission " in text]
    assert emission[9] == "+0.0000"  # no mark: both always keep their form
    saved = {row["score"]: row for row in read_results(tmp_path / "table.json")["rows"]}
    assert saved["gIoU"]["difference"] == [0, pytest.approx(0.2)] and len(saved["gIoU"]["interval"]) == 2


def test_what_cannot_be_compared_is_said(runs, tmp_path):
    with pytest.raises(ValueError, match="expected two runs or more"):
        main([str(runs[0])])
    with pytest.raises(FileNotFoundError, match="predictions.jsonl: no such file"):
        compare([runs[0], tmp_path])
    other = write(tmp_path / "other", [line(0, TRUTH, task="rec")])
    with pytest.raises(ValueError, match="no row is in all runs; .*first: d/res/generated; .*other: d/rec/generated"):
        compare([runs[0], other])
    apart = write(tmp_path / "apart", [line(99, TRUTH)])
    with pytest.raises(ValueError, match="d/res/generated: the runs share no question"):
        compare([runs[0], apart])
