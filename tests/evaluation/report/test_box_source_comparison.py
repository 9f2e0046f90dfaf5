from ullava.evaluation.report.box_source_comparison import comparison_table, verdict


def row(boxes, score, **changes):
    metrics = {"acc@0.5": score, "acc@0.75": score / 2, "acc@0.9": 0.0, "mean_box_iou": score}
    head = {"dataset": "toy", "task": "res", "answers": "generated", "boxes": boxes, "count": 10}
    return head | {"metrics": metrics, "interval": {"acc@0.5": [score - 0.1, score + 0.1]}} | changes


def test_the_best_source_is_named_with_its_lead():
    rows = [row("box", 0.5), row("detector", 0.75), row("mask2box", 0.625)]
    assert verdict({"rows": rows}) == (
        "Of the ways to a box on toy res, detector is best by acc@0.5: 0.750 (95 %: 0.650 to 0.850), "
        "0.125 over mask2box (0.625), 0.250 over box (0.500)."
    )
    lines = comparison_table({"rows": rows}).splitlines()
    assert [line.split()[2] for line in lines] == ["boxes", "detector", "mask2box", "box"]


def test_only_like_is_compared_with_like():
    others = [row("box", 0.9, dataset="toy_shuffled"), row("box", 0.9, count=5), row("mask2box", 0.9, answers="given")]
    assert verdict({"rows": [row("box", 0.5), *others]}) == ""
