#!/usr/bin/env bash
# One polygon covers 100, 121 or 121 pixels, by pycocotools, OpenCV or Pillow.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check \
  pycocotools==2.0.11 opencv-python-headless==5.0.0.93 pillow==13.0.0 numpy==2.4.6
venv/bin/python - <<'EOF'
import sys
from importlib.metadata import version

import cv2
import numpy as np
from PIL import Image, ImageDraw
from pycocotools import mask as coco

SIZE, LOW, HIGH = 40, 2, 12
corners = [(LOW, LOW), (HIGH, LOW), (HIGH, HIGH), (LOW, HIGH)]
drawn = {}
flat = [float(side) for corner in corners for side in corner]
drawn["pycocotools"] = coco.decode(coco.merge(coco.frPyObjects([flat], SIZE, SIZE)))
drawn["opencv-python-headless"] = cv2.fillPoly(np.zeros((SIZE, SIZE), np.uint8), [np.array(corners)], 1)
canvas = Image.new("L", (SIZE, SIZE))
ImageDraw.Draw(canvas).polygon(corners, fill=1)
drawn["pillow"] = np.asarray(canvas)

print(*(f"{name} {version(name)}" for name in drawn))
print(f"expected: the square from ({LOW}, {LOW}) to ({HIGH}, {HIGH}) is one mask, whoever fills it")
areas = {name: int(mask.sum()) for name, mask in drawn.items()}
first, second = drawn["pycocotools"] > 0, drawn["opencv-python-headless"] > 0
iou = (first & second).sum() / (first | second).sum()
print(f"seen: pixels {areas}; IoU of pycocotools' mask with OpenCV's {iou:.3f}")
sys.exit(0 if list(areas.values()) == [100, 121, 121] else "changed: other areas than 100, 121, 121")
EOF
