#!/usr/bin/env bash
# transformers' GroundingDINO loss asks for another picture's words from the third picture of a batch on.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check \
  ${TORCH_INDEX_URL:+--extra-index-url "$TORCH_INDEX_URL"} \
  torch==2.13.0 transformers==5.24.0 scipy==1.17.1 numpy==2.4.6
venv/bin/python - <<'EOF'
import sys

import torch
import transformers
from transformers import GroundingDinoConfig
from transformers.loss.loss_grounding_dino import GroundingDinoForObjectDetectionLoss

CONFIG = GroundingDinoConfig(two_stage=False, auxiliary_loss=False)
COLUMNS = [  # of the text, for each class of a caption: "cat. dog.", "red cat. dog.", "big red cat. dog."
    [[1], [3]],
    [[1, 2], [4]],
    [[1, 2, 3], [5]],
]


def class_loss(pictures: list[int]) -> float:
    """Of answers that are right: each picture shows its first class, and query 0 is sure of all words of it."""
    maps, logits = [], torch.full((len(pictures), 2, 8), -8.0)
    for row, picture in enumerate(pictures):
        words = torch.zeros(len(COLUMNS[picture]), 8)
        for number, columns in enumerate(COLUMNS[picture]):
            words[number, columns] = 1
        maps.append(words)
        logits[row, 0, COLUMNS[picture][0]] = 8.0
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.1, 0.1, 0.1, 0.1]]).expand(len(pictures), -1, -1)
    labels = [{"class_labels": torch.tensor([0]), "boxes": boxes[0, :1]} for _ in pictures]
    text = torch.ones_like(logits, dtype=torch.bool)
    parts = GroundingDinoForObjectDetectionLoss(logits, labels, "cpu", boxes, CONFIG, maps, text)[1]
    return float(parts["loss_ce"])


print("transformers", transformers.__version__)
print("expected: a class loss of 0.00 for right answers, and the same in whatever order the pictures stand")
alone = [class_loss([picture]) for picture in range(3)]
pair, three, turned = class_loss([0, 1]), class_loss([0, 1, 2]), class_loss([2, 1, 0])
print("seen: each picture alone", *(f"{loss:.2f}" for loss in alone), f"; the first two {pair:.2f}; ", end="")
print(f"all three {three:.2f}, turned round {turned:.2f}")
same = max(*alone, pair) < 0.01 and abs(three - 2) < 0.01 and abs(turned - 0.67) < 0.01
sys.exit(0 if same else "changed: the third picture is asked for its own words")
EOF
