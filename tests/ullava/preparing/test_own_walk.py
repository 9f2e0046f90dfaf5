"""The way of own pictures: from `ullava prepare own` by the commands it prints to an answer, and its recipes."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image, ImageDraw

from tests import forks
from ullava.configs.load import build
from ullava.configs.schema import EvaluationConfig, RunConfig
from ullava.datasets.catalogue import open_dataset
from ullava.preparing.__main__ import main

HEIGHT, WIDTH = 48, 64
COLOURS = {"red": (200, 40, 40), "blue": (40, 40, 200)}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty working directory without settings."""
    monkeypatch.chdir(tmp_path)
    for variable in ("ULLAVA_DATA", "ULLAVA_CATALOGUE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ULLAVA_CACHE", str(tmp_path / "cache"))
    return tmp_path


def polygon(label: str, left: int, **more) -> dict:
    points = [[left, 10.5], [left + 20, 12.25], [left + 18.5, 40], [left + 2, 38.75]]
    return {"label": label, "points": points, "group_id": None, "shape_type": "polygon", "flags": {}} | more


def draw_labelme(folder: Path, count: int, *more: dict, phrases: bool = True) -> Path:
    """Pictures with a cup and a hat each on noise, and LabelMe's file beside each; the first one also has `more`."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        picture = Image.fromarray(rng.integers(90, 160, (HEIGHT, WIDTH, 3), np.uint8))
        shapes = []
        for label, left, colour in zip(("cup", "hat"), (5, 36), rng.permutation(list(COLOURS)), strict=True):
            shapes.append(polygon(label, left, **({"description": f"{colour} {label}"} if phrases else {})))
            ImageDraw.Draw(picture).polygon([tuple(corner) for corner in shapes[-1]["points"]], fill=COLOURS[colour])
        picture.save(folder / f"p{number:02}.png")
        tree = {"version": "5.4.1", "flags": {}, "imagePath": f"p{number:02}.png", "imageData": None}
        tree |= {"shapes": shapes + (list(more) if number == 0 else []), "imageHeight": HEIGHT, "imageWidth": WIDTH}
        (folder / f"p{number:02}.json").write_text(json.dumps(tree))
    return folder


def prepare(capsys, *arguments: str) -> tuple[list[str], list[str]]:
    """Prepares `mine`; returns the table's lines as words, and the commands that come next."""
    main(["own", "mine", *arguments])
    lines = capsys.readouterr().out.splitlines()
    start, end = lines.index("wrote data/mine"), len(lines) - 1
    return [" ".join(line.split()) for line in lines[:start]], [line.strip() for line in lines[start + 2 : end]]


def read(name: str) -> dict:
    return yaml.safe_load(Path("data", "mine", name).read_text())


@pytest.mark.slow
def test_the_printed_commands_lead_to_an_answer(place, capsys):
    draw_labelme(place / "photos", 12)
    table, commands = prepare(capsys, "photos", "--from", "labelme")
    assert table == ["mine: 12 pictures, 24 objects", "24 kept with a mask", "24 asked by its phrase: res, rec"]
    check, train, evaluate, ask = commands
    few = {train: ["training.max_steps=2"], evaluate: ["evaluate.0.limit=1", "evaluate.1.limit=1"]}
    for command in commands:
        words = shlex.split(command)
        words = words[3:] if words[0] == "python" else words[1:]  # as it was called: `python -m ullava` or `ullava`
        done = forks.run(["-m", "ullava", *words, *few.get(command, [])], place)
        assert done.returncode == 0, f"{command}\n{done.stdout}"
    rows = json.loads((place / "runs" / "mine" / "eval" / "results.json").read_text())["rows"]
    assert [row["dataset"] for row in rows] == ["mine_val", "mine_train"]
    (answer,) = map(json.loads, (place / "runs" / "ask" / "answers.jsonl").read_text().splitlines())
    assert answer["image"] == "photos/p00.png" and shlex.split(ask)[-3] in answer["question"]


def test_both_parts_have_pictures_and_share_none(place, capsys):
    draw_labelme(place / "photos", 12)
    prepare(capsys, "photos", "--from", "labelme")
    parts = []
    for config in (read("train.yaml"), read("eval.yaml")):
        for name, entry in config["datasets"].items():
            reader = open_dataset(name, "res", {name: entry})
            parts.append({sample.media[0].path.name for sample in reader})
    train, val = parts[:2]
    assert parts[2:] == parts[:2] and len(val) == 2 and len(train) == 10 and not train & val


def test_few_pictures_are_all_trained_on(place, capsys):
    draw_labelme(place / "photos", 3)
    prepare(capsys, "photos", "--from", "labelme")
    assert list(read("train.yaml")["datasets"]) == ["mine"] and "evaluate" not in read("train.yaml")
    assert [row["dataset"] for row in read("eval.yaml")["evaluate"]] == ["mine"]


def test_a_run_that_is_there_is_not_gone_on_with(place, capsys):
    draw_labelme(place / "photos", 3)
    (place / "runs" / "mine").mkdir(parents=True)
    commands = prepare(capsys, "photos", "--from", "labelme")[1]
    assert read("train.yaml")["output_dir"] == "runs/mine_2" and commands[-1].endswith("--model runs/mine_2")


def test_one_rectangle_among_polygons_costs_no_mask(place, capsys):
    """The class of the rectangle has no mask of all its objects in that picture, and is not asked for there."""
    draw_labelme(place / "photos", 2, polygon("cup", 0, points=[[1, 1], [9, 9]], shape_type="rectangle"), phrases=False)
    table, commands = prepare(capsys, "photos", "--from", "labelme")
    assert table == [
        "mine: 2 pictures, 5 objects", "4 kept with a mask", "1 kept box only: no mask to learn, rec alone",
        "3 asked by its class, the only one in its picture: res, rec",
        "2 not asked several of its class in a picture: semantic alone",
    ]  # fmt: skip
    catalogue = read("catalogue.yaml")
    asked = {task: open_dataset("mine", task, catalogue) for task in ("res", "semantic", "rec")}
    names = {task: [[thing.category for thing in sample.regions] for sample in asked[task]] for task in asked}
    assert names["res"] == [["hat"], ["cup"], ["hat"]]  # a record an object
    assert names["semantic"] == [["hat"], ["cup", "hat"]]
    assert names["rec"] == [["hat"], ["cup", "hat"]]
    assert [row["task"] for row in read("train.yaml")["data"]] == ["semantic"] and '"hat"' in commands[-1]


def test_boxes_alone_are_asked_for_as_boxes(place, capsys):
    (place / "photos").mkdir()
    Image.new("RGB", (WIDTH, HEIGHT)).save(place / "photos" / "a.png")
    shape = polygon("cup", 0, points=[[1, 1], [9, 9]], shape_type="rectangle")
    (place / "photos" / "a.json").write_text(json.dumps({"shapes": [shape], "imagePath": "a.png"}))
    commands = prepare(capsys, "photos", "--from", "labelme")[1]
    config = build(RunConfig, read("train.yaml"), "train.yaml")
    assert list(config.model.heads) == ["box"] and "mask_decoder" not in config.learn
    assert config.data[0].task == "rec" and "--task rec" in commands[-1]


def test_roboflows_splits_lie_beside_their_yaml(place, capsys):
    for split, name in (("train", "a"), ("valid", "b")):
        for kind in ("images", "labels"):
            (place / "export" / split / kind).mkdir(parents=True)
        Image.new("RGB", (WIDTH, HEIGHT)).save(place / "export" / split / "images" / f"{name}.jpg")
        (place / "export" / split / "labels" / f"{name}.txt").write_text("0 0.5 0.5 0.25 0.5\n")
    yolo = {"train": "../train/images", "val": "../valid/images", "nc": 1, "names": ["cup"]}
    (place / "export" / "data.yaml").write_text(yaml.safe_dump(yolo))
    commands = prepare(capsys, "export/data.yaml", "--from", "yolo")[1]
    config = read("train.yaml")
    assert list(config["datasets"]) == ["mine_train", "mine_val"] and "export/train/images/a.jpg" in commands[-1]
    assert [row["dataset"] for row in config["evaluate"]] == ["mine_val"]


def test_the_lines_for_real_weights_are_a_sound_yaml(place, capsys):
    draw_labelme(place / "photos", 3)
    prepare(capsys, "photos", "--from", "labelme")
    build(EvaluationConfig, read("eval.yaml"), "eval.yaml")
    lines = Path("data/mine/train.yaml").read_text().splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("# Real weights")) + 2
    real = yaml.safe_load("\n".join(line.removeprefix("# ") for line in lines[start:]))
    config = build(RunConfig, read("train.yaml") | real, "real weights")
    assert config.learn["lora"] == 2e-4 and config.model.lora and config.model.lora.rank == 8
    assert config.training.precision == "bf16" and "sam_vit_h" in config.model.heads["mask"]["sam"]


def test_a_recipe_goes_on_from_a_model_by_its_card(place, capsys):
    draw_labelme(place / "photos", 3)
    model = {"llm": "llm", "vision": {"tower": "clip"}, "projector": "mlp2", "conversation": "llama2",
             "heads": {"mask": {"sam": "sam.pth"}, "box": {}}}  # fmt: skip
    (place / "opened").mkdir()
    asked = [{"task": "vqa"}, {"task": "res", "options": {"phrases": "lisa", "rounds": 2}}]
    card = {"model": model, "vocabulary": 1, "bases": {}, "learned": [], "run": {"data": asked}}
    (place / "opened" / "ullava.json").write_text(json.dumps(card))
    prepare(capsys, "photos", "--from", "labelme", "--model", "opened")
    config = build(RunConfig, read("train.yaml"), "train.yaml")
    assert (config.model.llm, config.model.projector, config.model.conversation) == ("opened", "mlp2", "llama2")
    assert config.model.vision is None and config.model.heads == model["heads"]  # the tower is the model's own
    assert config.data[0].options == {"phrases": "lisa", "says": ["SEG", "LOC"]} and config.learn["lora"] == 2e-4


def test_a_folder_without_a_card_is_refused_before_anything_is_written(place, capsys):
    draw_labelme(place / "photos", 3)
    with pytest.raises(FileNotFoundError, match="nothing: holds no ullava.json; expected the folder of a run"):
        main(["own", "mine", "photos", "--from", "labelme", "--model", "nothing"])
    assert not (place / "data" / "mine").exists()


class TestMasks:
    @pytest.fixture
    def folders(self, place) -> Path:
        for path in ("images", "masks/red_cup", "masks/hat"):
            (place / "set" / path).mkdir(parents=True)
        Image.new("RGB", (4, 3)).save(place / "set" / "images" / "a.jpg")
        return place / "set"

    def save(self, path: Path, rows: list[list[int]]) -> None:
        Image.fromarray(np.array(rows, np.uint8)).save(path)

    def test_a_folder_each_is_a_class_each(self, folders, capsys):
        self.save(folders / "masks" / "red_cup" / "a.png", [[0, 255, 200, 0], [0, 0, 100, 0], [0, 0, 0, 0]])
        self.save(folders / "masks" / "hat" / "a.png", [[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0]])
        prepare(capsys, "set", "--from", "masks")
        ((hat, cup),) = (sample.regions for sample in open_dataset("mine", "semantic", read("catalogue.yaml")))
        assert (hat.category, cup.category) == ("hat", "red cup")
        assert hat.mask.draw().tolist() == [[0] * 4, [0] * 4, [1, 1, 0, 0]]
        assert cup.mask.draw().tolist() == [[0, 1, 1, 0], [0] * 4, [0] * 4]  # 100 of 255 is not bright

    def test_masks_of_one_thing_are_called_by_the_label(self, folders, capsys):
        self.save(folders / "masks" / "a.png", [[0, 255, 0, 0], [0] * 4, [0] * 4])
        table, commands = prepare(capsys, "set", "--from", "masks", "--label", "crack")
        assert table[:2] == ["mine: 1 pictures, 1 objects", "1 kept with a mask"] and '"crack"' in commands[-1]

    def test_an_empty_mask_is_counted_as_left_out(self, folders, capsys):
        self.save(folders / "masks" / "hat" / "a.png", [[0] * 4] * 3)
        self.save(folders / "masks" / "red_cup" / "a.png", [[255] * 4] * 3)
        assert prepare(capsys, "set", "--from", "masks")[0][-1] == "1 left out empty mask"

    def test_a_map_of_class_ids_is_refused(self, folders):
        self.save(folders / "masks" / "a.png", [[0, 7, 0, 0], [0] * 4, [0] * 4])
        with pytest.raises(ValueError, match="expected 0 and 1, or black and white, found values up to 7"):
            main(["own", "mine", "set", "--from", "masks"])

    def test_a_mask_without_a_picture_is_refused(self, folders):
        self.save(folders / "masks" / "b.png", [[255] * 4] * 3)
        with pytest.raises(FileNotFoundError, match="b.png: there is no picture of this name"):
            main(["own", "mine", "set", "--from", "masks"])
