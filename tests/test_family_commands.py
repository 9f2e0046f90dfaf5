"""The table "Their command, ours" of docs/lisa-family.md: every line of ours is run as it stands, in a small root.

The root is what a quick demo of the family leaves, and what the lines name beside: a recipe of full size is its small
twin, `LISA-7B` was taught two steps. What is added to a line only makes it short.
"""

import builtins
import html
import json
import re
import shlex
import shutil
import sys
from http.server import ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from string import ascii_lowercase
from types import SimpleNamespace

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, models

from tests.demos import run_quickly
from ullava.__main__ import dispatch
from ullava.models.folders.manifest import CARD

ROOT = Path(__file__).parents[1]
SECTION = "## Their command, ours"
TASKS = {"lisa": "reasoning", "lasagna": "multi_target", "keyseg": "keyword", "sd_parts": "part"}
OURS = re.compile(r"`((?:ullava|python) [^`]+)`")
TWINS = {  # of full size -> of the embedded world
    "train/lisa.yaml": "lisa.yaml", "train/lisa_reason.yaml": "lisa.yaml", "train/lasagna.yaml": "lasagna.yaml",
    "train/keyseg.yaml": "keyseg.yaml", "train/sd_parts.yaml": "sd_parts.yaml", "eval/eval_reason.yaml": "family.yaml",
    "eval/eval_semantic.yaml": "family.yaml",
}  # fmt: skip
SHORT = {
    "train": ["training.max_steps=1", "training.batch_size=2", "evaluate=[]", "best=null", "training.report_to=[]"],
    "eval": ["evaluate=[{dataset: tiny_test, task: reasoning, limit: 2}]", "generation.max_new_tokens=4"],
    "infer": ["--max_new_tokens", "4"],
    "chat": ["--max_new_tokens", "4"],
    "generate-images": ["parts={handle: [mug]}", "count=1", "size=[8, 8]"],
}
pytestmark = pytest.mark.slow


def lines() -> list[tuple[str, str]]:
    """(what it is for, ours) of every line of the table."""
    table = (ROOT / "docs" / "lisa-family.md").read_text().partition(SECTION)[2].partition("\n#")[0]
    rows = [re.split(r"(?<!\\)\|", line) for line in table.splitlines() if line.startswith("| ")]
    return [(cells[1].strip(), code) for cells in rows[1:] for code in OURS.findall(cells[3])]


def test_every_line_of_the_table_has_a_command_of_ours():
    table = (ROOT / "docs" / "lisa-family.md").read_text().partition(SECTION)[2].partition("\n#")[0]
    assert table.count("\n| ") - 2 == len(lines()) > 20  # but for the head and the line below it


def short(command: str) -> list[str]:
    """A line's words after `ullava`, made short."""
    _, verb, *words = shlex.split(html.unescape(command).replace(r"\|", "|"))
    return [verb, *words, *SHORT.get(verb, ())]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A folder with all that the table names, but for what its lines write."""
    root = tmp_path_factory.mktemp("root")
    for twin in TWINS:
        (root / "configs" / twin).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "configs" / "tiny" / TWINS[twin], root / "configs" / twin)
    shutil.copytree(ROOT / "models" / "zoo", root / "models" / "zoo")
    run_quickly("family", root / "runs" / "family")
    lay_out(root)
    return root


def lay_out(root: Path) -> None:
    """A picture, ReasonSeg, submitted masks, a published LISA with its CLIP, painted parts, and what paints them."""
    family = root / "runs" / "family"
    shutil.copytree(family / "lisa", root / "runs" / "lisa-7b")
    dispatch(["merge", str(family / "lisa"), str(root / "LISA-7B")])
    world = family / "data" / "tiny_world" / "tiny_test"
    shutil.copy(min((world / "images").iterdir()), root / "photo.jpg")
    shutil.copytree(world / "reason_seg", root / "ReasonSeg" / "val", ignore=shutil.ignore_patterns("explanatory*"))
    dispatch(["export-masks", str(root / "ReasonSeg" / "val"), str(root / "drawn")])
    (root / "submitted").mkdir()
    for mask in (root / "drawn").glob("*/target_mask.png"):
        shutil.copy(mask, root / "submitted" / f"{mask.parent.name}.png")
    (root / "ReasonSeg" / "explanatory").mkdir()
    shutil.copy(world / "reason_seg" / "explanatory" / "train.json", root / "ReasonSeg" / "explanatory")
    shutil.copytree(root / "models" / "zoo" / "tiny" / "clip", root / "clip-vit-large-patch14")
    shutil.copytree(world / "parts", root / "painted")
    (root / "configs" / "images").mkdir()
    shutil.copy(ROOT / "configs" / "images" / "parts.yaml", root / "configs" / "images")
    for folder in ("stable-diffusion-v1-5", "sd-controlnet-depth", "renders"):
        (root / folder).mkdir()
    for name in ("mug_handle_left.png", "mug_handle_left_mask.png"):
        Image.new("L", (8, 8), 200).save(root / "renders" / name)
    publish(root / "LISA-7B", root / "LISA-13B-llama2-v1")


def publish(ours: Path, theirs: Path) -> None:
    """Writes a merged folder of ours as LISA's are published, by the table that reads them."""
    from ullava.models.convert.kinds import MODEL_KINDS

    theirs.mkdir()
    held = {f"llm.{name}": tensor for name, tensor in load_file(ours / "llm" / "model.safetensors").items()}
    held |= {f"sam.{name}": tensor for name, tensor in load_file(ours / "sam" / "model.safetensors").items()}
    learned = load_file(ours / "learned.safetensors")
    told = {name: tensor for name, tensor in learned.items() if ".standardise." not in name}  # LISA's has none
    held |= {name.replace("heads.mask.mask_decoder.", "sam.mask_decoder."): tensor for name, tensor in told.items()}
    published = {name: tensor.contiguous() for name, tensor in MODEL_KINDS["lisa"].table.write(held).items()}
    save_file(published, theirs / "model.safetensors")
    settings = json.loads((ours / "llm" / "config.json").read_text()) | {"mm_vision_select_layer": -1}
    (theirs / "config.json").write_text(json.dumps(settings))
    speller = Tokenizer(models.BPE({word: n for n, word in enumerate(("<unk>", "\u2581", *ascii_lowercase))}, []))
    marks = ("<s>", "</s>", "[SEG]", "<im_patch>", "<im_start>", "<im_end>")
    speller.add_special_tokens([AddedToken(mark, special=True) for mark in marks])
    speller.save(str(theirs / "tokenizer.json"))
    named = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>"}
    kind = {"tokenizer_class": "PreTrainedTokenizerFast"} | named
    (theirs / "tokenizer_config.json").write_text(json.dumps(kind))


@pytest.fixture
def here(root, tmp_path, monkeypatch):
    """The root, once more for each line: what a line writes, no other finds."""
    for thing in root.iterdir():
        (tmp_path / thing.name).symlink_to(thing)
    (tmp_path / "runs").unlink()
    (tmp_path / "runs").mkdir()
    for run in (root / "runs").iterdir():
        (tmp_path / "runs" / run.name).symlink_to(run)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ULLAVA_DATA", str(root / "runs" / "family" / "data"))
    return tmp_path


def test_a_quick_demo_scores_every_task_and_what_was_forgotten(root):
    family = root / "runs" / "family"
    rows = json.loads((family / "results.json").read_text())["rows"]
    asked = {(row["model"], row["task"]) for row in rows if row["dataset"] == "tiny_test"}
    assert set(TASKS.items()) <= asked
    assert {(model, task) for model in ("base", *TASKS) for task in ("captioning", "vqa")} <= asked
    assert "What was forgotten" in (family / "report.html").read_text()


class Pipeline:
    """Stands for diffusers' pipelines, which are no part of the tests: paints grey."""

    @classmethod
    def from_pretrained(cls, folder, **options):
        return cls()

    def to(self, device, dtype):
        return self

    def set_progress_bar_config(self, *, disable):
        pass

    def __call__(self, prompt, height, width, **options):
        return SimpleNamespace(images=[Image.new("RGB", (width, height), "grey") for _ in prompt])


@pytest.mark.parametrize(("name", "command"), lines(), ids=[name for name, _ in lines()])
def test_every_line_of_the_table_runs(here, name, command, monkeypatch, capsys):
    if command.startswith("python -c"):
        exec(shlex.split(command)[2], {})
        return
    typed = iter(["Can you segment the red circle?"])
    monkeypatch.setattr(builtins, "input", lambda prompt: next(typed, ""))
    monkeypatch.setattr(ThreadingHTTPServer, "serve_forever", lambda server: None)
    kinds = ("StableDiffusionPipeline", "StableDiffusionControlNetPipeline", "ControlNetModel")
    monkeypatch.setitem(sys.modules, "diffusers", SimpleNamespace(**dict.fromkeys(kinds, Pipeline)))
    words = short(command)
    written = [word.removeprefix("output_dir=") for word in words if word.startswith("output_dir=")]
    written += words[2:3] if words[0] == "merge" else []
    assert written or words[0] not in ("train", "merge"), "a line says where it writes"
    for place in map(Path, written):
        place.unlink(missing_ok=True)
    if "--load_in_" in command and find_spec("bitsandbytes") is None:
        with pytest.raises(ImportError, match=r"pip install 'ullava\[quant\]'"):
            dispatch(words)
        return
    dispatch(words)
    assert all(Path(place, CARD).is_file() and not Path(place).is_symlink() for place in written)
    assert capsys.readouterr().out
