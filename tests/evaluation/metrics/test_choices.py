import pytest

from ullava.evaluation.metrics.base import METRICS
from ullava.evaluation.metrics.choices import chosen
from ullava.evaluation.metrics.vqa_accuracy import VqaAccuracy


@pytest.mark.parametrize(
    "answer, letter",
    [
        ("B", "B"), ("b", "B"), (" (C) ", "C"), ("D.", "D"), ("A. a magnet", "A"), ("(B) two poles", "B"),
        ("It attracts. The answer is C.", "C"), ("the answer is: (a)", "A"), ("The answer is B. The answer is B.", "B"),
        ("A magnet attracts", None), ("The answer is A. The answer is B.", None), ("", None), ("AB", None),
        ("the answer is apples", None), ("The answer is a magnet.", None), ("LECTURE: x\n###\nANSWER: B.", "B"),
    ],
)  # fmt: skip
def test_letters_are_read_as_llava_reads_them(answer, letter):
    assert chosen(answer) == letter


def test_what_chooses_nothing_is_wrong():
    metric = VqaAccuracy(match="choice")
    records = [metric.measure(said, ("The answer is B.",)) for said in ("B", "b. the second", "A", "perhaps", None)]
    assert [record["accuracy"] for record in records] == [1, 0, 0, 0, 0]
    lecture = "So the answer is A Guide to Physics, or not. The answer is B."
    assert metric.measure("B", (lecture,))["accuracy"] == 1
    with pytest.raises(ValueError, match="expected a truth that names a letter, found 'two poles'"):
        metric.measure("B", ("two poles",))


def test_every_match_has_a_name_of_its_own():
    for match in ("official", "exact", "set", "choice"):
        metric = METRICS[f"vqa_{match}"]()
        assert (metric.name, metric.match) == (f"vqa_{match}", match)
