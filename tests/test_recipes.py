"""u-LLaVA's recipes at full size, checked on drawn data laid out as the catalogue declares; and its commands."""

import json
import logging
import os
import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.shared import SHARED
from ullava.checking.check import check
from ullava.configs.load import CONFIGS, load
from ullava.configs.schema import EvaluationConfig, RunConfig
from ullava.datasets.catalogue import open_dataset
from ullava.datasets.readers.base import READERS
from ullava.datasets.tiny_world import layouts, originals
from ullava.datasets.tiny_world.world import draw_world
from ullava.tasks.base import TASKS

ROOT = Path(__file__).parents[1]
TRAIN, EVAL = ("ullava_core_stage1", "ullava_stage2", "ullava_stage2_lora"), ("eval_res", "eval_rec", "eval_salient")
SCENES = 8
WITHOUT = [] if find_spec("deepspeed") else ["training.deepspeed=null"]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    return draw_world(tmp_path_factory.mktemp("drawn"), "tiny_train", SCENES, workers=1)


@pytest.fixture(scope="module", params=[layouts.as_ullava, layouts.as_published], ids=lambda laid: laid.__name__)
def data(request, world, tmp_path_factory) -> Path:
    """The data root, with every set of the recipes in one of its declared layouts."""
    root = tmp_path_factory.mktemp("data")
    layouts.lay_out(world, root, request.param)
    lay_out_others(world, root)
    return root


def lay_out_others(world: Path, root: Path) -> None:
    """What evaluations name beyond u-LLaVA's sets, as its makers publish it."""
    layouts.refer(world, root / "refer_seg/refclef", "unc", ("train", "val", "testA", "testB", "testC"))
    layouts.copy(world / "images", root / "refer_seg/images/saiapr_tc-12")
    layouts.refer(world, root / "refer_seg/refcocog", "google", ("train", "val"))
    originals.grefcoco(world, root)
    refs = root / "refer_seg/grefcoco/grefs(unc).json"
    tests = [ref | {"split": split} for ref in json.loads(refs.read_text()) for split in ("val", "testA", "testB")]
    refs.write_text(json.dumps(tests))


@pytest.fixture
def here(data, tmp_path, monkeypatch, tmp_path_factory, lay_weights):
    """A working directory with tiny weights by the names of the real ones, and what the stages have written."""
    monkeypatch.setenv("ULLAVA_DATA", str(data))
    monkeypatch.setenv("ULLAVA_CACHE", str(tmp_path_factory.getbasetemp() / "recipes_cache"))
    monkeypatch.chdir(tmp_path)
    stages = [load(CONFIGS / "train" / f"{name}.yaml", RunConfig).model for name in TRAIN]
    lay_weights(stages[0])
    lay_weights(stages[1], {})
    lay_weights(stages[1].model_copy(update={"llm": "runs/ullava_stage2"}), {"mask": {}, "box": {}})
    return tmp_path


@pytest.mark.parametrize("name", TRAIN)
def test_check_passes_on_a_stage(here, name):
    path = CONFIGS / "train" / f"{name}.yaml"
    said = check(path, WITHOUT, devices=8)
    config = load(path, RunConfig)
    assert "is sound" in said and all(row.dataset in said for row in config.data)
    assert f"batch   {config.training.batch_size} a device x 1 accumulated x 8 devices" in said


@pytest.mark.parametrize("name", EVAL)
def test_check_passes_on_an_evaluation(here, name):
    path = CONFIGS / "eval" / f"{name}.yaml"
    said = check(path)
    assert "is sound" in said and all(row.dataset in said for row in load(path, EvaluationConfig).evaluate)


def test_every_set_of_the_stages_has_what_its_task_asks_for(here):
    for name in TRAIN:
        for row in load(CONFIGS / "train" / f"{name}.yaml", RunConfig).data:
            reader, task = open_dataset(row.dataset, row.task), TASKS.build(row.task, row.options)
            dialogues = [task.dialogue(reader[k], np.random.default_rng(0)) for k in range(len(reader))]
            assert dialogues and all(dialogue.turns for dialogue in dialogues)


def test_a_set_that_is_not_there_says_where_to_get_it(here, data, monkeypatch, tmp_path):
    monkeypatch.setenv("ULLAVA_DATA", str(tmp_path))
    with pytest.raises(ValueError) as caught:
        check(CONFIGS / "train" / "ullava_core_stage1.yaml", WITHOUT)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2 and all("get it from https://huggingface.co/datasets/" in line for line in lines)


@pytest.mark.parametrize("name, batch, rate, devices, total", [
    ("ullava_core_stage1", 48, 2e-3, 4, 192), ("ullava_stage2", 16, 2e-5, 8, 128),
    ("ullava_stage2_lora", 32, 2e-4, 8, 256),
])  # fmt: skip
def test_a_stage_has_the_published_numbers(name, batch, rate, devices, total):
    config = load(CONFIGS / "train" / f"{name}.yaml", RunConfig)
    assert set(config.learn.values()) == {rate}
    assert config.training.batch_size == batch and batch * config.training.accumulate * devices == total
    assert (config.training.schedule, config.training.warmup_ratio, config.training.seed) == ("cosine", 0.03, 42)


@pytest.mark.shared
@pytest.mark.skipif(not (SHARED / "legacy").is_dir(), reason="$ULLAVA_SHARED has no legacy files")
@pytest.mark.parametrize("theirs, ours", [
    ("ullava_core", "ullava_core_stage1"), ("ullava", "ullava_stage2"), ("ullava_lora", "ullava_stage2_lora"),
])  # fmt: skip
def test_a_recipe_says_what_u_llavas_own_file_says(theirs, ours):
    """All but where weights lie, and what is ours: when it is saved, and which checkpoint is kept."""
    legacy = load(SHARED / "legacy" / "head" / f"{theirs}.yaml", RunConfig)
    recipe = load(CONFIGS / "train" / f"{ours}.yaml", RunConfig)
    left_out = {"save_every"} if recipe.evaluate else set()
    assert recipe.training.model_dump(exclude=left_out) == legacy.training.model_dump(exclude=left_out)
    for key in ("learn", "new_embeddings_only", "losses"):
        assert getattr(recipe, key) == getattr(legacy, key)
    own = {"llm", "heads"}
    assert recipe.model.model_dump(exclude=own) == legacy.model.model_dump(exclude=own)
    assert recipe.model.heads.keys() == legacy.model.heads.keys()
    renamed = [row.dataset.replace("llava_seg", "llava_instruct") for row in legacy.data]
    assert sorted(renamed) == sorted(row.dataset for row in recipe.data)
    assert [(row.dataset, row.task) for row in recipe.evaluate] == [(row.dataset, row.task) for row in legacy.evaluate]


def told(path: Path) -> dict[str, str]:
    """What a file of u-LLaVA's is to be told so that its weights are found: the folders in `here`."""
    changes = {"model": "runs/ullava_stage2"}
    if not path.name.startswith("eval"):
        changes = {"model.llm": "runs/ullava_core_stage1", "training.deepspeed": "null"}
        if "core" not in path.name:
            changes["model.heads.mask.sam"] = "model_zoo/sam_vit_h_4b8939.pth"
    return changes


@pytest.mark.shared
@pytest.mark.skipif(not (SHARED / "legacy").is_dir(), reason="$ULLAVA_SHARED has no legacy files")
@pytest.mark.parametrize("data", [layouts.as_ullava], indirect=True)
def test_check_passes_on_u_llavas_own_files(here):
    """Their `./dataset_zoo` is the data root. The detector of the first release's REC is not there."""
    checked = []
    for path in sorted((SHARED / "legacy").glob("*/*.yaml")):
        if "grounding_path" not in path.read_text() and "salient" not in path.name:
            assert "is sound" in check(path, [f"{key}={value}" for key, value in told(path).items()])
            checked.append(path)
    assert checked


@pytest.mark.parametrize("data, reader", [
    (layouts.as_ullava, "ullava_semantic"), (layouts.as_published, "label_map"),
], indirect=["data"])  # fmt: skip
def test_the_first_layout_whose_files_are_there_is_read(here, reader):
    assert {type(open_dataset(name, "semantic")) for name in ("ade20k", "cocostuff")} == {READERS[reader]}


@pytest.mark.shared
@pytest.mark.skipif(not (SHARED / "seeds").is_dir(), reason="$ULLAVA_SHARED has no seeds")
def test_the_files_in_u_llavas_commands_are_there():
    (seed,) = (SHARED / "seeds").glob("002_*.txt")
    commands = re.findall(r"python (\S+\.py)(?: --cfg_path '?([^\s'`]+))?", seed.read_text(encoding="utf-8"))
    assert {Path(script).name for script, _ in commands} == {
        "train_ullava_core.py", "eval_ullava.py", "eval_ullava_grounding.py"
    }  # fmt: skip
    for script, config in commands:
        assert (ROOT / script).is_file()
        if config:
            load(ROOT / config, RunConfig if "train" in script else EvaluationConfig)
    for shell in re.findall(r"^\./shells/\w+\.sh$", seed.read_text(encoding="utf-8"), re.MULTILINE):
        assert os.access(ROOT / shell, os.X_OK)


def test_the_install_command_of_u_llava_ends_well():
    command = "cd ./models/GroundingDINO && ./install.sh && cd ../.."
    assert "nothing to compile" in subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True).stdout


SEED = """\
dataset:
  llava:
    data_type: 'image'
    image_token_len: 256
    build_info:
      anno_dir: '/path_to_annotations/llava_instruct_150k.json'
      image_dir: '/path_to_image_root/coco2017/train2017'
      portion: 1.0
    vis_processor: 'clip_image'

  refcoco+:
    data_type: 'image'
    image_token_len: 256
    build_info:
      anno_dir: '/path_to_annotations/refcoco+_train.json'
      image_dir: '/path_to_image_root/coco2014'
      template_root: './datasets/templates/SEG.json'
      portion: 1.0
    vis_processor: 'clip_image'
"""  # of u-LLaVA's README (Apache-2.0)


def test_the_dataset_example_of_u_llavas_readme_trains(world, zoo, tmp_path, monkeypatch, caplog):
    """Only its paths are changed; what it does not say, the command says."""
    from ullava.commands.train import main

    monkeypatch.setenv("ULLAVA_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    file = SHARED / "legacy" / "seed_example.yaml"
    text = file.read_text() if file.is_file() else SEED
    text = text.replace("/path_to_annotations", str(tmp_path / "annotations"))
    (tmp_path / "example.yaml").write_text(text.replace("/path_to_image_root", str(tmp_path / "pictures")))
    (tmp_path / "annotations").mkdir()
    for folder in ("coco2017/train2017", "coco2014/train2014"):
        layouts.copy(world / "images", tmp_path / "pictures" / folder)
    layouts.chats(world, tmp_path / "annotations/llava_instruct_150k.json")
    layouts.referring(world, tmp_path / "annotations/refcoco+_train.json", "train2014")
    how = {"max_steps": 2, "batch_size": 2, "workers": 0, "precision": "fp32", "deepspeed": "null", "report_to": "[]"}
    settings = [f"training.{key}={value}" for key, value in how.items()]
    weights = {"llm": zoo / "llm", "vision.tower": zoo / "clip", "heads.mask.sam": zoo / "sam"}
    settings += [f"model.{key}={path}" for key, path in weights.items()]
    with caplog.at_level(logging.WARNING):
        main(["--cfg_path", "example.yaml", *settings, "output_dir=run"])
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert {"lm", "mask_bce", "box_l1"} <= set().union(*lines)
    written = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    assert [row["dataset"] for row in written["data"]] == ["llava", "refcoco+"]
    assert "data_type never had an effect" in caplog.text
