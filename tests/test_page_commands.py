"""Every command in the pages' bash blocks is run as it stands there, in a small root; or listed below, with a reason.

A page's commands run one after the other in one folder, so that a page reads as a walk. The folder holds what they
name: a picture, drawings, a run of one step, files to be scored. A recipe of full size is its small twin there, and
what is added to a line only makes it short. Of a line that is not run, the verb and the options are parsed.
"""

import argparse
import json
import os
import re
import shlex
import shutil
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.documents import ROOT, WALKS, blocks, commands
from ullava.__main__ import VERBS, dispatch
from ullava.datasets.catalogue import find

pytestmark = pytest.mark.slow

NOT_RUN = {  # how a line begins -> why it is not run
    "wget ": "a download",
    "hf download ": "a download",
    "pip install ": "an installation; tests/test_package.py installs",
    "python -m venv ": "an installation",
    "sbatch ": "a cluster; tests/test_shells.py runs the shell",
    "NNODES=": "several nodes; tests/test_shells.py runs the shell",
    "HOSTFILE=": "several nodes; tests/test_shells.py runs the shell",
    "./shells/": "minutes; tests/test_shells.py runs every shell, tests/test_end_to_end.py the demo",
    "python -m ullava.documenting": "tests/ullava/documenting runs it",
    "ullava prepare tiny_world": "minutes; the folder of these tests is drawn by it",
    "ullava convert ": "published weights; tests/models/convert and tests/test_family_commands.py run it",
    "ullava check --replay ": "a run that failed; tests/ullava/training runs it",
    "ullava prepare pseudo_masks ": "painted pictures; tests/test_family_commands.py runs it",
    "ullava eval configs/tiny/boxes_eval.yaml": "a trained detector; tests/test_recipes.py runs it",
}  # fmt: skip
SHORT = {
    "train": ["training.max_steps=1", "training.batch_size=2", "evaluate=[]", "best=null", "training.report_to=[]"],
    "eval": ["generation.max_new_tokens=2", "generation.batch_size=4"],
    "infer": ["--max_new_tokens", "2"], "ask": ["--max_new_tokens", "2"], "chat": ["--max_new_tokens", "2"],
}  # fmt: skip
SCRIPTS = {"train": "train", "eval": "eval", "inference": "infer"}  # how a script's name begins -> the verb alike
TWIN_ROWS = {"eval_vqa": ("vqa", "pope_random"), "eval_rec": ("res", "tiny_test"), "eval_res": ("res", "tiny_test")}
COMMANDED = [page for page in WALKS if commands(page)]


class Parsed(Exception):
    """A command line was understood."""


def reason(command: str) -> str | None:
    """Why a line is not run; None: it is."""
    return next((why for begins, why in NOT_RUN.items() if command.startswith(begins)), None)


def call(command: str) -> None:
    """Runs a line in this process, made short."""
    program, name, *words = shlex.split(command)
    script = Path(name).stem
    verb = name if program == "ullava" else SCRIPTS[script.split("_")[0]]
    more = [] if {"--help", "--dry_run"} & set(words) else SHORT.get(verb, [])
    if program == "python" and verb != "train":
        import_module(f"ullava.evaluation.{script}").main([*words, *more])
    else:
        dispatch([verb, *words, *more])


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A folder with all that the pages name, but for what their lines write."""
    root = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("ULLAVA_DATA", str(root / "data"))
        (root / "models").mkdir()
        (root / "models" / "zoo").symlink_to(ROOT / "models" / "zoo")
        dispatch(["prepare", "tiny_world", "--scenes", "12", "--videos", "4"])
        lay_out_configs(root)
        for stage in ("stage1", "stage2_lora"):
            dispatch(["train", f"configs/tiny/{stage}.yaml", *SHORT["train"]])
        lay_out_files(root)
    return root


def lay_out_configs(root: Path) -> None:
    """Tiny recipes as they are; twins of those of full size."""
    shutil.copytree(ROOT / "configs" / "tiny", root / "configs" / "tiny")
    shutil.copytree(ROOT / "configs" / "images", root / "configs" / "images")
    (root / "configs" / "train").mkdir()
    for recipe in (ROOT / "configs" / "train").glob("*.yaml"):
        shutil.copy(ROOT / "configs" / "tiny" / "stage2_lora.yaml", root / "configs" / "train" / recipe.name)
    (root / "configs" / "eval").mkdir()
    for name, (task, dataset) in TWIN_ROWS.items():
        tree = {
            "output_dir": f"runs/{name}", "model": "runs/demo/stage2_lora",
            "evaluate": [{"dataset": dataset, "task": task, "limit": 2}],
            "datasets": {"pope_random": dict(find("tiny_test", {}))},
        }  # fmt: skip
        (root / "configs" / "eval" / f"{name}.yaml").write_text(yaml.safe_dump(tree))


def lay_out_files(root: Path) -> None:
    """Pictures, drawings, runs, and files to be scored."""
    world = root / "data" / "tiny_world" / "tiny_test"
    pictures = sorted((world / "images").iterdir())
    shutil.copy(pictures[0], root / "picture.jpg")
    (root / "photos").mkdir()
    shutil.copy(pictures[0], root / "photos")
    shutil.copytree(root / "runs" / "demo" / "stage2_lora", root / "runs" / "mine")
    shutil.copytree(root / "runs" / "demo" / "stage2_lora", root / "runs" / "demo" / "merged")
    shutil.copytree(root / "runs" / "demo" / "stage2_lora", root / "model_zoo" / "lisa-7b-v1")
    lay_out_drawings(root / "drawings", pictures[:3])
    shutil.copytree(world / "reason_seg", root / "ReasonSeg" / "val", ignore=shutil.ignore_patterns("explanatory*"))
    dispatch(["export-masks", "ReasonSeg/val", "drawn"])
    (root / "mine").mkdir()
    for mask in (root / "drawn").glob("*/target_mask.png"):
        shutil.copy(mask, root / "mine" / f"{mask.parent.name}.png")
    for folder in ("labels", "my_labels"):
        (root / folder).mkdir()
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(root / folder / "a.png")
    shutil.copy(world / "captions.json", root / "captions_val2014.json")
    written = json.loads((world / "captions.json").read_text())["annotations"]
    first = {one["image_id"]: one["caption"] for one in written}
    (root / "captions.json").write_text(json.dumps([{"image_id": k, "caption": v} for k, v in first.items()]))
    dispatch(["eval", "configs/eval/eval_res.yaml", *SHORT["eval"]])
    for run in ("first", "second"):
        shutil.copytree(root / "runs" / "eval_res", root / "runs" / run)
    shutil.copy(root / "runs" / "eval_res" / "predictions.jsonl", root / "runs" / "mine")


def lay_out_drawings(folder: Path, pictures: list[Path]) -> None:
    """LabelMe's files for a few pictures: one cup each, with a phrase."""
    folder.mkdir()
    for picture in pictures:
        shutil.copy(picture, folder)
        width, height = Image.open(picture).size
        corners = [[5, 5], [width // 2, 5], [width // 2, height // 2], [5, height // 2]]
        cup = {"label": "cup", "shape_type": "polygon", "points": corners, "description": "the cup on the left"}
        page = {"imagePath": picture.name, "imageHeight": height, "imageWidth": width, "shapes": [cup]}
        (folder / f"{picture.stem}.json").write_text(json.dumps(page))


@pytest.fixture
def here(root, tmp_path, monkeypatch) -> Path:
    """The root once more for each page: what one page writes, no other finds."""
    shutil.copytree(root, tmp_path / "here", symlinks=True)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("ULLAVA_DATA", str(tmp_path / "here" / "data"))
    monkeypatch.delenv("ULLAVA_CATALOGUE", raising=False)
    return tmp_path / "here"


def stop_after_parsing(monkeypatch) -> None:
    """Makes every parser end the command when it has understood its words."""

    def ending(parse: Callable) -> Callable:
        def parse_and_stop(self, *arguments, **named):
            parse(self, *arguments, **named)
            raise Parsed

        return parse_and_stop

    from ullava.configs import arguments

    monkeypatch.setattr(arguments.Parser, "parse", ending(arguments.Parser.parse))
    for name in ("parse_args", "parse_intermixed_args"):
        monkeypatch.setattr(argparse.ArgumentParser, name, ending(getattr(argparse.ArgumentParser, name)))


@pytest.mark.parametrize("page", COMMANDED, ids=lambda page: page.name)
def test_lines_that_are_run_run(page, here, monkeypatch, capsys):
    monkeypatch.setattr("builtins.input", lambda *prompt: "")
    monkeypatch.setattr(ThreadingHTTPServer, "serve_forever", lambda server: None)
    for command in commands(page):
        if reason(command) is None:
            try:
                call(command)
            except SystemExit as end:  # --help
                assert not end.code, command
            except Exception as error:
                error.add_note(f"{page.name}: {command}")
                raise
            assert capsys.readouterr().out, f"{command}: says nothing"


@pytest.mark.parametrize("page", COMMANDED, ids=lambda page: page.name)
def test_lines_that_are_not_run_can_be_parsed(page, monkeypatch):
    stop_after_parsing(monkeypatch)
    for command in commands(page):
        why = reason(command)
        if why and command.startswith("ullava "):
            with pytest.raises(Parsed):
                dispatch(shlex.split(command)[1:])
        elif why and (shell := re.search(r"(?:\./)?(shells/\w+\.sh)", command)):
            assert os.access(ROOT / shell[1], os.X_OK), command


def test_every_reason_is_needed():
    lines = [command for page in WALKS for command in commands(page)]
    assert all(any(line.startswith(begins) for line in lines) for begins in NOT_RUN)
    assert sum(reason(line) is None for line in lines) > 30
    assert {line.split()[1] for line in lines if line.startswith("ullava ")} <= set(VERBS)


@pytest.mark.parametrize("page", [page for page in WALKS if blocks(page, "python")], ids=lambda page: page.name)
def test_python_of_a_page_runs(page, here):
    names: dict = {}
    for block in blocks(page, "python"):
        exec(block.text, names)  # noqa: S102
