"""`ullava check` on YAMLs written here: each fault is named with its place, all of them at once."""

import json

import pytest
import yaml
from PIL import Image

from ullava.checking.check import check
from ullava.commands.check import main
from ullava.configs.load import ConfigError


@pytest.fixture
def world(tmp_path, monkeypatch, zoo):
    """Three records about two pictures, the folders of foundations, and a YAML that fits them."""
    monkeypatch.setenv("ULLAVA_DATA", str(tmp_path))
    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    box = {"height": 8, "width": 8, "category": "cat", "bbox": [1, 1, 4, 4]}
    polygon = {"segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]]}
    records = [
        box | polygon | {"image_path": "a.png", "sentences": ["the cat", "a cat"]},
        box | polygon | {"image_path": "a.png", "sentences": ["left one"]},
        box | polygon | {"image_path": "b.png", "sentences": ["right one"]},
    ]
    (tmp_path / "refs.json").write_text(json.dumps(records))
    for name in ("llm", "clip", "sam"):
        (tmp_path / name).symlink_to(zoo / name)
    return tmp_path


def write(folder, **changes) -> str:
    llm, clip, sam = (str(folder / name) for name in ("llm", "clip", "sam"))
    tree = {
        "output_dir": "runs/x",
        "model": {"llm": llm, "vision": {"tower": clip}, "heads": {"mask": {"sam": sam}, "box": {}}},
        "learn": {"projector": 1e-3, "heads": 2e-3},
        "data": [{"dataset": "toy", "task": "res", "portion": 2.0}, {"dataset": "toy", "task": "rec"}],
        "datasets": {"toy": {"reader": "ullava_referring", "annotations": "refs.json", "images": "."}},
        "training": {"batch_size": 2, "accumulate": 2, "epochs": 3},
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(tree | changes, sort_keys=False))
    return str(path)


def faults(*arguments, **named) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check(*arguments, **named)
    return str(caught.value).splitlines()


def test_a_sound_run_says_records_batch_and_steps(world):
    said = check(write(world)).split("\n")
    # 3 records, 2 pictures, 4 phrases; twice for res and once for rec: 9 dialogues.
    assert said[3].split() == ["data[0]", "toy", "res", "3", "2", "4", "0", "2", "6"]
    # ceil(9 / 2) = 5 batches, ceil(5 / 2) = 3 steps an epoch, three epochs.
    assert "batch   2 a device x 2 accumulated x 1 devices = 4" in said
    assert "steps   3 an epoch of 9 dialogues, 9 in all" in said
    assert "learns  projector 0.001, heads 0.002; every other part is frozen" in said


def test_rates_say_what_each_row_gives(world):
    rows = [{"dataset": "toy", "task": task, "family": family} for task, family in (("res", "a"), ("rec", "a"))]
    rows += [{"dataset": "toy", "task": "rec"}]
    said = check(write(world, data=rows, sampling={"rates": [3, 1], "samples_per_epoch": 40})).split("\n")
    # 30 of 40 for the first family, halved; 15 draws from 3 records are 5 passes, 10 are 3.333
    assert [line.split()[-2:] for line in said[3:6]] == [["5", "15"], ["5", "15"], ["3.333", "10"]]
    assert "steps   10 an epoch of 40 dialogues, 30 in all" in said


def test_more_devices_take_fewer_steps(world):
    # batches of 2 x 2: ceil(9 / 4) = 3, ceil(3 / 2) = 2 steps an epoch
    assert "steps   2 an epoch of 9 dialogues, 6 in all" in check(write(world), devices=2)


def test_overrides_count(world):
    assert "steps   9 an epoch" in check(write(world), ["training.batch_size=1", "training.accumulate=1"])


def test_all_faults_come_at_once_with_their_place(world):
    rows = [
        {"dataset": "toi", "task": "res"},
        {"dataset": "toy", "task": "ress"},
        {"dataset": "toy", "task": "res", "options": {"sayz": ["SEG"]}},
        {"dataset": "toy", "task": "res", "potion": 2},
    ]
    found = "\n".join(faults(write(world, data=rows, learn={"projectr": 1e-3})))
    assert "run.yaml: data[0]: no dataset 'toi'; did you mean 'toy'?" in found
    assert "run.yaml: data[1]: no task 'ress'; did you mean 'res'?" in found
    assert "run.yaml: data[2]: task 'res': no option 'sayz'; did you mean 'says'?" in found
    assert "run.yaml: data[3]: no key 'potion'; did you mean 'portion'?" in found
    assert "run.yaml: learn: no key 'projectr'; did you mean 'projector'?" in found


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.llm=nowhere", "model.llm: nowhere: no such folder"),
        ("model.vision.tower=nowhere", "model.vision.tower: nowhere: no such file or folder"),
        ("model.heads.mask.sam=nowhere", "model.heads.mask.sam: nowhere: no such file or folder"),
        ("model.heads.bix={}", "model.heads: no head 'bix'; did you mean 'box'?"),
        ("model.conversation=vicuna", "model.conversation: no conversation 'vicuna'; did you mean 'vicuna_v1'?"),
        ("losses.mask_dise=1", "losses: no key 'mask_dise'; did you mean 'mask_dice'?"),
        ("learn.lora=1e-3", "learn: this model has no part 'lora'"),
        ("model.lora={}", "learn: model.lora is there, but the part 'lora' does not learn"),
        ("sampling={rates: [9, 3], samples_per_epoch: 9}",
         "data[0].portion: says nothing beside `sampling:`; take `rate` instead"),
        ("data.1.family=a", "data[1].family: says nothing without `sampling:`"),
        ("training.deepspeed=zero4", "training.deepspeed: no file 'zero4'; did you mean 'zero3'?"),
        ("best=toy/res/gIoU", "best: 'toy/res/gIoU' is not measured by `evaluate`"),
        ('evaluate=[{dataset: toy, task: rec, boxes: bux}]', "evaluate[0]: no box source 'bux'; did you mean 'box'?"),
    ],
)  # fmt: skip
def test_one_fault_is_one_line(world, override, message):
    (line,) = faults(write(world), [override])
    assert message in line


def test_a_task_whose_token_no_head_reads(world):
    (line,) = faults(write(world), ["model.heads={box: {}}", "learn={heads: 1.0}", "data.0.options={says: [SEG]}"])
    assert "data[0]: task res says [SEG], which no head of the model reads" in line


def test_lost_pictures_and_empty_and_broken_annotations(world):
    (world / "b.png").unlink()
    lines = faults(write(world))
    assert "data[0]: toy: 1 of 2 pictures or videos are missing, e.g." in lines[0] and "b.png" in lines[0]
    (world / "refs.json").write_text("[]")
    assert all("data[" in line and "refs.json" in line or "no records" in line for line in faults(write(world)))
    (world / "refs.json").write_text('[{"image_path": ')
    assert all("refs.json" in line for line in faults(write(world)))


def test_an_evaluation_needs_the_folder_of_a_run(world):
    path = world / "eval.yaml"
    path.write_text("output_dir: runs/x\nmodel: nowhere\nevaluate: [{dataset: toy, task: rec}]\n"
                    "datasets: {toy: {reader: ullava_referring, annotations: refs.json, images: .}}\n")  # fmt: skip
    (line,) = faults(str(path))
    assert "eval.yaml: model: nowhere: no such folder; train it first" in line
    (world / "run").mkdir()
    assert "holds no ullava.json" in faults(str(path), [f"model={world / 'run'}"])[0]
    (world / "run" / "ullava.json").write_text('{"model": {"heads": {"box": {}}}}')
    said = check(str(path), [f"model={world / 'run'}"])
    assert "evaluate[0]" in said and "steps" not in said


def test_a_missing_file_and_no_file(world, capsys):
    assert "no such file" in faults(str(world / "rum.yaml"))[0]
    with pytest.raises(ConfigError, match="which YAML?"):
        main([])
    main(["--cfg_path", write(world), "training.batch_size=1"])
    assert "batch   1 a device" in capsys.readouterr().out


def test_a_catalogue_is_neither_a_training_nor_an_evaluation(world):
    (world / "sets.yaml").write_text("toy: {reader: ullava_referring}\n")
    (line,) = faults(str(world / "sets.yaml"))
    assert "sets.yaml: expected a training (model, learn, data) or an evaluation (model, evaluate)" in line
