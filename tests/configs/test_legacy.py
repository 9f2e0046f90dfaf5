"""u-LLaVA's own YAML files: what each of their keys becomes, and what is said of those that mean nothing."""

import logging
from pathlib import Path

import pytest
import yaml

from tests.shared import SHARED
from ullava.configs import legacy
from ullava.configs.load import ConfigError, load, read_run
from ullava.configs.schema import EvaluationConfig, RunConfig, VisionConfig

LEGACY = SHARED / "legacy"
FILES = sorted(LEGACY.rglob("*.yaml"))
STAGE = """\
model: {arch: ullava, llm_path: ./exp/stage1, sam_pretrained: ./zoo/sam.pth, conv_type: conv_sep2, lora_r: 8}
task: {type: image_text_pretrain, collator_type: grounding_collator}
processor:
  clip_image: {path: ./zoo/clip, image_size: 224, aspect_ratio: pad}
dataset:
  refcoco:
    data_type: image
    image_token_len: 256
    build_info: {anno_dir: ./dataset_zoo/ullava/a.json, image_dir: ./dataset_zoo/coco2014, portion: 1.0}
    vis_processor: clip_image
training: {output_dir: ./exp/stage2, learning_rate: 2e-4, bf16: true, per_device_train_batch_size: 32}
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    legacy.announce.cache_clear()
    return tmp_path


@pytest.fixture
def read(here):
    """Reads STAGE after replacements."""

    def read(*changes: tuple[str, str], schema=RunConfig, text: str = STAGE):
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (here / "theirs.yaml").write_text(text)
        return load("theirs.yaml", schema)

    return read


def comments(caplog) -> str:
    return "\n".join(line for line in caplog.text.splitlines() if line.startswith("# "))


def test_a_stage_with_lora(read):
    config = read()
    assert (config.output_dir, config.model.llm) == ("exp/stage2", "exp/stage1")
    assert config.model.vision == VisionConfig(tower="zoo/clip", layer=-2, aspect="pad", frames=8)
    assert (config.model.lora.rank, config.model.lora.alpha, config.model.lora.targets) == (8, 16, ("q_proj", "v_proj"))
    assert config.model.heads == {"mask": {"sam": "zoo/sam.pth"}, "box": {}}
    assert config.learn == dict.fromkeys(("lora", "embeddings", "lm_head", "mask_decoder", "heads"), 2e-4)
    assert (config.training.batch_size, config.training.precision) == (32, "bf16")
    assert (config.training.max_length, config.training.schedule) == (512, "linear")  # u-LLaVA's and transformers' own


@pytest.mark.parametrize("old, new, learns", [
    ("lora_r: 8", "lora_r: -1", {"projector", "llm", "embeddings", "lm_head", "mask_decoder", "heads"}),
    ("lora_r: 8", "train_mask_decoder: false", {"projector", "llm", "embeddings", "lm_head", "heads"}),
    ("arch: ullava,", "arch: ullava_core, projector_from_scratch: true,", {"projector", "embeddings"}),
    ("arch: ullava,", "arch: ullava_core,", {"projector", "embeddings", "llm", "lm_head"}),
])  # fmt: skip
def test_what_learns_is_what_learned_there(read, old, new, learns):
    config = read((old, new))
    assert set(config.learn) == learns
    assert config.new_embeddings_only == (learns == {"projector", "embeddings"})


def test_the_first_release_answers_with_masks_alone(read):
    config = read(("grounding_collator", "segmentation_collator"), (", aspect_ratio: pad", ""))
    assert config.model.heads.keys() == {"mask"} and config.model.vision.aspect == "crop"
    assert config.data[0].options == {"phrases": "ullava_v1"}


def test_films_show_frames_of_either_half_as_there(read):
    config = read(("processor:\n", "processor:\n  gif_train: {n_frm: 6, image_size: 224}\n"))
    assert (config.model.vision.frames, config.model.vision.sampling) == (6, "head_tail")


def test_what_is_said_is_a_yaml_that_means_the_same(read, caplog):
    config = read()
    assert RunConfig.model_validate(yaml.safe_load(caplog.records[0].getMessage())) == config


def test_it_is_said_once_and_by_the_first_rank(read, caplog, monkeypatch):
    read(), read()
    assert len(caplog.records) == 1
    legacy.announce.cache_clear()
    monkeypatch.setenv("RANK", "1")
    read()
    assert len(caplog.records) == 1


def test_keys_that_never_had_an_effect_are_named(read, caplog):
    read(("portion: 1.0", "portion: 2.0"), ("bf16: true", "bf16: true, gradient_checkpointing: false"))
    said = [line for line in comments(caplog).splitlines() if "never had an effect in u-LLaVA" in line]
    names = ("processor.image_size", "dataset.data_type", "dataset.refcoco.portion", "training.gradient_checkp")
    assert len(said) == len(names)
    assert all(any(line.startswith(f"# {name}") for line in said) for name in names)


def test_a_portion_above_one_repeats_here(read, caplog):
    assert read(("portion: 1.0", "portion: 2.0")).data[0].portion == 2
    assert "here it repeats the records" in comments(caplog)


def test_a_portion_of_nothing_leaves_the_set_out(read):
    other = "  refclef:\n    build_info: {anno_dir: b.json, image_dir: c, portion: 0.0}\ntraining:"
    assert [row.dataset for row in read(("training:", other)).data] == ["refcoco"]


def test_paths_count_from_the_working_directory(read, here):
    (here / "dataset_zoo" / "ullava").mkdir(parents=True)
    (here / "dataset_zoo" / "ullava" / "a.json").write_text("[]")
    entry = read().datasets["refcoco"]
    assert entry["annotations"] == str(here / "dataset_zoo" / "ullava" / "a.json")
    assert entry["images"] == "coco2014"  # not there: below the data root


def test_the_questions_of_a_template_root_are_asked(read, here):
    from ullava.tasks.base import TASKS

    (here / "my.json").write_text('["<image> Show me the <class>!"]')
    (row,) = read(("portion:", "template_root: ./my.json, portion:")).data
    task = TASKS.build(row.task, row.options)
    assert task.book.segment.drawn == ("Show me the <class>!",)
    assert task.grammar.says == ("[SEG]", "[LOC]")


def test_the_first_release_asks_a_template_root_and_answers_in_its_own_form(read, here):
    from ullava.tasks.base import TASKS

    (here / "my.json").write_text('["<image> Show me the <class>!"]')
    changes = ("portion:", "template_root: ./my.json, portion:"), ("grounding_coll", "segmentation_coll")
    (row,) = read(*changes).data
    task = TASKS.build(row.task, row.options)
    assert task.grammar.write(task.owners, "cat") == "Sure. Info: [SEG]; [tag]cat[/tag]."


def test_its_own_lists_of_questions_are_built_in(read, caplog):
    (row,) = read(("portion:", "template_root: ./datasets/templates/SEG.json, portion:")).data
    assert row.options == {} and "are built in (phrases: ullava)" in comments(caplog)


@pytest.mark.parametrize("old, new, message", [
    ("arch: ullava,", "arch: llava,", "model.arch: expected ullava_core or ullava, found 'llava'"),
    ("lora_r", "lora_rank", "model: no key 'lora_rank'; did you mean 'lora_r'?"),
    ("llm_path: ./exp/stage1", "llm_path: 3", "model.llm_path: expected a name or a path, found 3"),
    ("lora_r: 8", "lora_r: many", "model.lora_r: expected a number, found 'many'"),
    ("llm_path: ./exp/stage1, ", "", "key 'llm_path' is missing"),
    ("  refcoco:", "  refcoc:", "no dataset 'refcoc' in u-LLaVA; did you mean 'refcoco"),
    ("anno_dir: ./dataset_zoo/ullava/a.json, ", "", "dataset.refcoco.build_info: key 'anno_dir' is missing"),
    ("portion: 1.0", "portions: 1.0", "dataset.refcoco.build_info: no key 'portions'; did you mean 'portion'?"),
    ("portion:", "template_root: ./mine.json, portion:", "template_root: ./mine.json: no such file"),
    ("portion: 1.0", "portion: 0", "dataset: every portion is 0"),
    ("training:", "trainings:", "no key 'trainings'; did you mean 'training'?"),
    ("  clip_image: {", "  clip_image: pad\n  gif: {", "processor.clip_image: expected keys and values, found 'pad'"),
    ("output_dir: ./exp/stage2, ", "lr_end: 1, ", "training: no key 'lr_end'"),
])  # fmt: skip
def test_a_fault_says_where_it_is(read, old, new, message):
    with pytest.raises(ConfigError) as caught:
        read((old, new))
    assert str(caught.value).startswith("theirs.yaml: ") and message in str(caught.value)


def test_our_own_files_are_left_alone(caplog):
    tree = {"output_dir": "a", "dataset": {}}  # a misspelt key is no mark of u-LLaVA
    assert legacy.modern(tree, Path("ours.yaml")) is tree
    assert not caplog.records


def test_data_alone_is_laid_over_our_recipe(here):
    (here / "data.yaml").write_text(STAGE[STAGE.index("dataset:") : STAGE.index("training:")])
    config = load("data.yaml", RunConfig, ["model.lora.rank=4"])
    assert config.model.lora.rank == 4 and [row.dataset for row in config.data] == ["refcoco"]
    assert not config.evaluate and config.best is None


EVALUATION = """\
model: {arch: ullava, llm_path: ./exp/stage2, conv_type: conv_sep2, grounding_path: ./zoo/dino.pth}
task: {type: image_text_evaluate, collator_type: grounding_collator}
eval_dataset:
  refcoco_val:
    build_info: {anno_dir: ./dataset_zoo/ullava/refcoco_val.json, image_dir: ./dataset_zoo/coco2014}
training: {seed: 7, output_dir: ''}
"""


def test_boxes_of_the_first_release_come_from_the_detector_and_from_the_mask(read):
    config = read(text=EVALUATION, schema=EvaluationConfig)
    assert (config.model, config.output_dir, config.generation.seed) == ("exp/stage2", "exp/stage2/theirs", 7)
    first, second = config.evaluate
    assert first.boxes == {"grounding": {"weights": "zoo/dino.pth", "text": "model_zoo/bert-base-uncased"}}
    assert second.boxes == "mask2box" and first.options == {"phrases": "ullava_v1"}


def test_what_an_evaluation_never_heeded_or_does_not_heed_here_is_said(read, caplog):
    files = "image_dir: ./dataset_zoo/coco2014"
    read((files, f"{files}, portion: 0.1, template_root: a.json"), text=EVALUATION, schema=EvaluationConfig)
    assert "# eval_dataset.refcoco_val.template_root never had an effect" in comments(caplog)
    assert "# eval_dataset.refcoco_val.portion 0.1 drew a part at random; here all is asked" in comments(caplog)


def test_the_newer_release_has_a_box_head(read):
    config = read((", grounding_path: ./zoo/dino.pth", ""), text=EVALUATION, schema=EvaluationConfig)
    assert [(row.task, row.boxes, row.options) for row in config.evaluate] == [("res", None, {})]


@pytest.mark.shared
@pytest.mark.skipif(not FILES, reason="$ULLAVA_SHARED has no legacy files")
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_published_file_is_read_or_says_why_not(path, caplog):
    schema = EvaluationConfig if path.name.startswith("eval") else RunConfig
    try:
        theirs = yaml.safe_load(path.read_text())
    except yaml.YAMLError as broken:
        line = broken.problem_mark.line + 1
        with pytest.raises(ConfigError, match=f"invalid YAML: .*line {line}, .*indent this line"):
            load(path, schema)
        return
    with caplog.at_level(logging.WARNING):
        config = load(path, schema)
    rows = config.evaluate if schema is EvaluationConfig else config.data
    assert {row.dataset for row in rows} == set(theirs["eval_dataset" if schema is EvaluationConfig else "dataset"])
    assert "data_type never had an effect" in caplog.text
    if schema is RunConfig and "training" in theirs:
        assert set(config.learn.values()) == {float(theirs["training"]["learning_rate"])}
        assert config.training.batch_size == theirs["training"]["per_device_train_batch_size"]


@pytest.mark.shared
@pytest.mark.skipif(not FILES, reason="$ULLAVA_SHARED has no legacy files")
def test_each_release_asks_its_own_template_files(here):
    """The published lists of questions are those that are built in."""
    from ullava.tasks.base import TASKS

    for folder, book in (("templates_head", "ullava"), ("templates_v1", "ullava_v1")):
        for name, task in (("SEG", "res"), ("SS", "salient")):
            asked = TASKS.build(task, {"phrases": str(LEGACY / folder / f"{name}.json")}).book
            own = TASKS.build(task, {"phrases": book}).book
            assert asked.segment.templates == (own.segment if task == "res" else own.explain).templates


def test_one_function_reads_both(here):
    (here / "ours.yaml").write_text("output_dir: a\n")
    assert read_run("ours.yaml") == {"output_dir": "a"}
