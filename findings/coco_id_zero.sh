#!/usr/bin/env bash
# COCOeval never counts the object whose annotation id is 0 as found: a perfect answer gets AP 0.252 in place of 1.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check pycocotools==2.0.11 numpy==2.4.6
venv/bin/python - <<'EOF'
import contextlib
import io
import json
import sys
from importlib.metadata import version

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

BOXES = [[10, 10, 40, 40], [100, 100, 40, 40]]  # x, y, width, height


def average_precision(first: int) -> float:
    """Of answers that repeat the truth, whose annotations are numbered from `first` on."""
    truth = [
        {"id": first + n, "image_id": 1, "category_id": 1, "bbox": box, "area": 1600, "iscrowd": 0}
        for n, box in enumerate(BOXES)
    ]
    pictures = [{"id": 1, "width": 200, "height": 200, "file_name": "a.jpg"}]
    with open("truth.json", "w") as file:
        json.dump({"images": pictures, "annotations": truth, "categories": [{"id": 1, "name": "cat"}]}, file)
    answers = [{"image_id": 1, "category_id": 1, "bbox": box, "score": 0.9 - n / 10} for n, box in enumerate(BOXES)]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO("truth.json")
        judge = COCOeval(coco, coco.loadRes(answers), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return float(judge.stats[0])


from_one, from_zero = average_precision(1), average_precision(0)
print("pycocotools", version("pycocotools"))
print("expected: AP 1 for answers equal to the truth, whatever the two annotations are numbered")
print(f"seen: AP {from_one:.3f} with ids 1 and 2, {from_zero:.3f} with ids 0 and 1; no warning")
sys.exit(0 if from_one == 1 and abs(from_zero - 0.252) < 0.001 else "changed: id 0 is an id like any")
EOF
