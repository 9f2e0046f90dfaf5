"""docs/extending.md and its example, run from a folder outside the package by the commands that it shows."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "docs" / "examples" / "my_shapes.py"
# As the `ullava` command starts: without the working directory on Python's path. Data workers are spawned, so that they
# begin with nothing imported.
COMMAND = (
    "import multiprocessing, sys; multiprocessing.set_start_method('spawn'); from ullava.__main__ import main; main()"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The example's file beside the page's YAML files, six pictures, and their annotations."""
    folder = tmp_path_factory.mktemp("outside")
    shutil.copy(EXAMPLE, folder)
    (folder / "models").symlink_to(ROOT / "models")
    (folder / "pictures").mkdir()
    lines = ["file,shape,x0,y0,x1,y1"]
    for number in range(6):
        picture = Image.new("RGB", (64, 48), "white")
        for place in range(1 + number % 3):  # 1, 2, 3 circles
            box = (4 + 20 * place, 10, 18 + 20 * place, 24)
            ImageDraw.Draw(picture).ellipse(box, "red")
            lines.append(f"{number}.png,circle,{','.join(map(str, box))}")
        picture.save(folder / "pictures" / f"{number}.png")
    (folder / "shapes.csv").write_text("\n".join(lines))
    for name, text in re.findall(r"```yaml\n# (\w+\.yaml)\n(.*?)```", PAGE, re.DOTALL):
        (folder / name).write_text(text)
    return folder


def ullava(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    known = {"PYTHONPATH": str(ROOT), "ULLAVA_DATA": str(folder), "ULLAVA_CACHE": str(folder / "cache")}
    return subprocess.run(
        [sys.executable, "-P", "-c", COMMAND, *arguments], cwd=folder, capture_output=True, text=True, timeout=900,
        env=os.environ | known | {"OMP_NUM_THREADS": "1", "ULLAVA_PLUGINS": ""} | variables,
    )  # fmt: skip


def test_the_page_shows_the_file_that_is_run():
    """Each line of code that the page shows of the example stands in it, signatures shortened to `...` aside."""
    text = re.sub(r"\s+", " ", EXAMPLE.read_text(encoding="utf-8"))
    shown = [line for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    whole = [line.partition("#")[0].strip() for line in shown if line.strip() and not line.endswith("...")]
    assert len(whole) > 12 and [line for line in whole if line not in text] == []


def test_the_example_is_checked_trained_and_evaluated(folder):
    checked = ullava(folder, "check", "train.yaml")
    assert "train.yaml is sound" in checked.stdout, checked.stderr
    trained = ullava(folder, "train", "train.yaml")
    assert trained.returncode == 0, trained.stderr[-3000:]
    (step, *_) = map(json.loads, (folder / "runs/count/log.jsonl").read_text().splitlines())
    assert {"lm", "box_l1", "centre_l1"} <= step.keys()
    asked = ullava(folder, "eval", "eval.yaml")
    assert asked.returncode == 0, asked.stderr[-3000:]
    assert "count_acc 0." in asked.stdout
    rows = json.loads((folder / "runs/count/eval/results.json").read_text())["rows"]
    named = {(row["dataset"], row["task"]): row for row in rows}
    # Six pictures show 1, 2, 3, 1, 2, 3 circles: the median 2 is right twice.
    assert named["shapes_trivial", "count"]["metrics"]["count_acc"] == pytest.approx(1 / 3)
    assert 0 <= named["shapes", "count"]["metrics"]["count_acc"] <= 1
    assert named["shapes", "rec"]["boxes"] == "snapped" and named["shapes", "rec"]["count"] == 12
    lines = [json.loads(line) for line in (folder / "runs/count/eval/predictions.jsonl").read_text().splitlines()]
    boxes = [line for line in lines if line["task"] == "rec"]
    assert all(side % 8 == 0 for line in boxes for box in line["predicted"]["boxes"] for side in box)
    assert {line["question"] for line in boxes} == {"Please frame the circle."}

    without = ullava(folder, "eval", "eval.yaml", "plugins=[]")
    assert without.returncode == 1 and "Traceback" not in without.stderr
    assert re.search("no (head 'centre'|task 'count')", without.stderr)  # whichever is looked up first
    assert "if a plugin brings it, name its module under `plugins:` or in $ULLAVA_PLUGINS" in without.stderr
    by_variable = ullava(folder, "check", "eval.yaml", "plugins=[]", ULLAVA_PLUGINS="my_shapes")
    assert "eval.yaml is sound" in by_variable.stdout, by_variable.stderr


def test_a_plugin_that_is_gone_is_named_with_its_cure(folder, tmp_path):
    shutil.copy(folder / "train.yaml", tmp_path)
    gone = f"plugins: no module 'my_shapes' in {tmp_path} or on Python's path; put its folder on PYTHONPATH"
    for arguments in (["check", "train.yaml"], ["plan", "train.yaml"]):
        refused = ullava(tmp_path, *arguments)
        assert refused.returncode == 1 and f"train.yaml: {gone}" in refused.stderr, arguments
        assert "Traceback" not in refused.stderr
    assert f"error: $ULLAVA_PLUGINS{gone.removeprefix('plugins')}" in ullava(
        tmp_path, "infer", ULLAVA_PLUGINS="my_shapes"
    ).stderr  # fmt: skip
