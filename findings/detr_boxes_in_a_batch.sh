#!/usr/bin/env bash
# DETR's and GroundingDINO's processors make a picture's target box depend on the other pictures of its batch.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check \
  ${TORCH_INDEX_URL:+--extra-index-url "$TORCH_INDEX_URL"} \
  torch==2.13.0 transformers==5.24.0 pillow==13.0.0 numpy==2.4.6
venv/bin/python - <<'EOF'
import sys

import torch
import transformers
from PIL import Image
from transformers import DetrImageProcessorPil, GroundingDinoImageProcessorPil
from transformers.models.detr.modeling_detr import DetrObjectDetectionOutput

SQUARE, WIDE = Image.new("RGB", (100, 100)), Image.new("RGB", (200, 100))
TRUTH = [20, 40, 60, 60]  # x0, y0, x1, y1 in pixels of the square picture


def there_and_back(kind: type, *pictures: Image.Image) -> list[int]:
    """The square's box as the processor teaches it, then read back as an answer of the network, in pixels."""
    processor = kind(size={"shortest_edge": 100, "longest_edge": 200})
    x0, y0, x1, y1 = TRUTH
    thing = {"bbox": [x0, y0, x1 - x0, y1 - y0], "category_id": 0, "area": (x1 - x0) * (y1 - y0), "iscrowd": 0}
    stated = [{"image_id": number, "annotations": [thing]} for number, _ in enumerate(pictures)]
    labels = processor(images=list(pictures), annotations=stated, return_tensors="pt")["labels"]
    answer = DetrObjectDetectionOutput(
        logits=torch.tensor([9.0, -9.0]).expand(len(pictures), 1, 2),  # sure of class 0
        pred_boxes=torch.stack([label["boxes"] for label in labels]),
    )
    sizes = [label["orig_size"].tolist() for label in labels]
    boxes = DetrImageProcessorPil().post_process_object_detection(answer, threshold=0.5, target_sizes=sizes)[0]["boxes"]
    return boxes[0].round().int().tolist()


print("transformers", transformers.__version__)
print(f"expected: the box {TRUTH} of a square picture is taught as the same numbers in any company")
same = True
for kind in (DetrImageProcessorPil, GroundingDinoImageProcessorPil):
    alone, beside = there_and_back(kind, SQUARE), there_and_back(kind, SQUARE, WIDE)
    print(f"seen: {kind.__name__}: {alone} alone, {beside} beside a picture twice as wide")
    same = same and alone == TRUTH and beside == [10, 40, 30, 60]
sys.exit(0 if same else "changed: boxes are fractions of their own picture")
EOF
