#!/usr/bin/env bash
# PySODMetrics' S-measure of a perfect map is NaN where the object lies in the last row, and so is the whole set's.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check pysodmetrics==1.6.2 numpy==2.3.4 \
  opencv-python-headless==4.14.0.94 scikit-image==0.25.2 scikit-learn==1.9.1 scipy==1.17.1
venv/bin/python -W ignore - <<'EOF'
import math
import sys
from importlib.metadata import version

import numpy as np
from py_sod_metrics import Smeasure


def structure(*truths: np.ndarray) -> float:
    """The S-measure of maps that are their truths."""
    judge = Smeasure()
    for truth in truths:
        judge.step(pred=truth, gt=truth)
    return float(judge.get_results()["sm"])


middle, edge = np.zeros((2, 40, 40), np.uint8)
middle[10:20, 10:20] = 255
edge[39, 5:30] = 255
found = {"middle": structure(middle), "last row": structure(edge), "both": structure(middle, edge)}
print("pysodmetrics", version("pysodmetrics"))
print("expected: 1 for a map that equals its truth, wherever the object lies")
print("seen:", ", ".join(f"{name}: {score:.3f}" for name, score in found.items()))
same = abs(found["middle"] - 1) < 1e-6 and math.isnan(found["last row"]) and math.isnan(found["both"])
sys.exit(0 if same else "changed: the object in the last row has a score")
EOF
