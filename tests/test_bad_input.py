"""Bad input through the commands that a user types: one message that says where and how to cure it, no traceback."""

import json
import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from ullava.configs.messages import run_command

SIZE = (40, 60)  # (H, W) of the pictures


@pytest.fixture(scope="module")
def foundations(zoo, tmp_path_factory) -> Path:
    """The zoo in a folder of this module's own, and a language model of another width."""
    from transformers import AutoTokenizer

    from ullava.models.tiny import tiny_llm

    folder = tmp_path_factory.mktemp("foundations")
    shutil.copytree(zoo, folder, dirs_exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(zoo / "llm")
    tokenizer.save_pretrained(folder / "wide")
    tiny_llm(len(tokenizer), width=64, layers=2).save_pretrained(folder / "wide")
    return folder


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A data root with two pictures, their annotation, and a picture with a mask of another size."""
    monkeypatch.setenv("ULLAVA_DATA", str(tmp_path))
    monkeypatch.setenv("ULLAVA_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for name in ("a.jpg", "b.jpg", "pictures/a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (*SIZE, 3), np.uint8)).save(tmp_path / name)
    (tmp_path / "masks").mkdir()
    Image.new("L", (SIZE[1], SIZE[0] - 10), 255).save(tmp_path / "masks" / "a.png")
    (tmp_path / "refs.json").write_text(json.dumps([record("a"), record("b")]))
    return tmp_path


@pytest.fixture
def train_yaml(home, foundations) -> Path:
    """A sound YAML of a run of one step; every test breaks something in it, or under it."""
    mask = {"sam": str(foundations / "sam")}
    tree = {
        "output_dir": str(home / "run"),
        "model": {
            "llm": str(foundations / "llm"),
            "vision": {"tower": str(foundations / "clip")},
            "heads": {"mask": mask, "box": {"channels": 16}},
        },
        "learn": {"projector": 1e-3, "heads": 1e-3},
        "data": [{"dataset": "toy", "task": "res"}],
        "datasets": {
            "toy": {"reader": "ullava_referring", "annotations": "refs.json", "images": "."},
            "other": {"reader": "salient_pairs", "images": "pictures", "masks": "masks"},
        },
        "training": {"precision": "fp32", "workers": 0, "batch_size": 2, "max_steps": 1, "report_to": []},
    }
    return write(home / "train.yaml", tree)


@pytest.fixture
def eval_yaml(home) -> Path:
    """A sound YAML of an evaluation, but that its model is not there yet."""
    tree = {
        "output_dir": str(home / "scores"),
        "model": str(home / "run"),
        "evaluate": [{"dataset": "toy", "task": "res"}],
        "datasets": {"toy": {"reader": "ullava_referring", "annotations": "refs.json", "images": "."}},
        "generation": {"max_new_tokens": 4, "workers": 0},
    }
    return write(home / "eval.yaml", tree)


@pytest.fixture
def fail(capsys, monkeypatch):
    """Runs a command that must fail, and returns its one message."""
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    def run(main, *arguments) -> str:
        with pytest.raises(SystemExit) as ended:
            run_command(main, list(map(str, arguments)))
        said = capsys.readouterr().err
        assert ended.value.code == 1 and "Traceback" not in said and said.count("error: ") == 1
        return said.partition("error: ")[2].removesuffix("\n(--debug shows where)\n")

    return run


def record(name: str, **changes) -> dict:
    """One object in a picture, as u-LLaVA's flat JSON has it."""
    facts = {"image_path": f"{name}.jpg", "height": SIZE[0], "width": SIZE[1], "category": "cat"}
    square = {"bbox": [1, 1, 20, 20], "segmentation": [[1, 1, 21, 1, 21, 21, 1, 21]]}
    return facts | square | {"sentences": ["the red circle"]} | changes


def write(path: Path, tree: dict) -> Path:
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    return path


def train(arguments) -> None:
    from ullava.commands.train import main

    main(arguments)


def evaluate(arguments) -> None:
    from ullava.evaluation.eval_ullava import main

    main(arguments)


def ullava(verb: str):
    from ullava.__main__ import dispatch

    return lambda arguments: dispatch([verb, *arguments])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epoch=3", "training: no key 'epoch'; did you mean 'epochs'?"),
        ("training.epochs=many", "training.epochs: input should be a valid number"),
        ("data=3", "data: input should be a list, found 3"),
        ("data.0.task=ress", "data[0]: no task 'ress'; did you mean 'res'?"),
        ("data.0.options={sayz: [SEG]}", "data[0]: task 'res': no option 'sayz'; did you mean 'says'?"),
        ("data.0.dataset=toi", "data[0]: no dataset 'toi'; did you mean 'toy'?"),
        ("datasets.toy.reader=refering", "data[0]: no reader 'refering'; did you mean 'refer'?"),
        ("datasets.toy.images=nowhere", "nowhere: no such file or folder; relative paths count from the data root"),
        ("losses.mask_dise=1", "losses: no key 'mask_dise'; did you mean 'mask_dice'?"),
        ("learn.projectr=1e-3", "learn: no key 'projectr'; did you mean 'projector'?"),
        ("learn.lora=1e-3", "learn: this model has no part 'lora'"),
        ("model.heads={box: {}}", "data[0]: task res says [SEG], which no head of the model reads; add it"),
        ("best=toy/res/cIoU", "best: 'toy/res/cIoU' is not measured by `evaluate`"),
        ("evaluate=[{dataset: toy, task: ress}]", "evaluate[0]: no task 'ress'; did you mean 'res'?"),
        ("training.deepspeed=zero9", "training.deepspeed: no file 'zero9'; did you mean 'zero3'?"),
        ("model.llm=nowhere", "model.llm: nowhere: no such folder; if a stage writes it, run that stage first"),
        ("model.conversation=vicuna", "no conversation 'vicuna'; did you mean 'vicuna_v1'?"),
        ("model.conversation=chat_template", "model.conversation: the chat template of the tokenizer"),
        ("sampling={rates: [1, 2], samples_per_epoch: 9}", "sampling.rates: expected 1, one each for data[0]; found 2"),
        ("data.0.rate=2", "data[0].rate: says nothing without `sampling:`; add that, or take `portion` instead"),
        ("other.yaml", "'other.yaml': expected key=value, e.g. training.batch_size=4; a YAML is the first argument"),
    ],
)
def test_what_a_yaml_says_wrong_is_found_before_a_weight_is_loaded(fail, train_yaml, override, message, monkeypatch):
    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", None)
    assert message in (said := fail(train, "--cfg_path", train_yaml, override))
    assert override == "other.yaml" or said.startswith(f"{train_yaml}: ")


@pytest.mark.parametrize("command", [train, ullava("check")])
def test_a_missing_key_and_a_missing_file(fail, train_yaml, command):
    tree = yaml.safe_load(train_yaml.read_text())
    del tree["learn"]
    write(train_yaml, tree)
    assert fail(command, "--cfg_path", train_yaml) == f"{train_yaml}: key 'learn' is missing"
    beside = train_yaml.with_name("trian.yaml")
    assert f"{beside}: no such file; did you mean 'train.yaml'?" in fail(command, "--cfg_path", beside)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.heads.bix={}", "model.heads: no head 'bix'; did you mean 'box'?"),
        ("model.heads.box={chanels: 3}", "model.heads.box: no option 'chanels'; did you mean 'channels'?"),
        ("model.heads.box={channels: many}", "model.heads.box: channels: input should be a valid integer"),
        ("model.heads.mask={}", "model.heads.mask: option 'sam' is missing"),
        ("model.heads.mask.sam=nowhere", "model.heads.mask.sam: nowhere: no such file or folder; put the"),
        ("model.vision.tower={sam}", "model.vision.tower: {sam} holds a 'sam', expected one of clip, "),
        ("model.llm={clip}", "model.llm: {clip} holds a 'clip_vision_model', expected a causal language model"),
        ("model.vision.layer=-9", "model.vision.layer: expected -3 to -1, found -9"),
    ],
)
def test_foundations_and_heads_that_cannot_be_built(fail, train_yaml, foundations, override, message):
    folders = {name: foundations / name for name in ("llm", "clip", "sam")}
    for name, folder in folders.items():
        override, message = (text.replace(f"{{{name}}}", str(folder)) for text in (override, message))
    assert fail(train, "--cfg_path", train_yaml, override).startswith(f"{train_yaml}: {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "refs.json: the file is empty; fetch it again"),
        ("[]", "refs.json: no records; expected one at least"),
        ('[{"image_path":\n "a.jpg"},\n {"image', "refs.json:3: broken JSON"),
    ],
)
def test_annotation_files_that_cannot_be_read(fail, train_yaml, text, message):
    train_yaml.with_name("refs.json").write_text(text)
    assert message in fail(train, "--cfg_path", train_yaml)


def test_a_broken_line_is_named(fail, train_yaml):
    train_yaml.with_name("refs.jsonl").write_text(f'{json.dumps(record("a"))}\n{{"image_path": \n')
    said = fail(train, "--cfg_path", train_yaml, "datasets.toy.annotations=refs.jsonl")
    assert "refs.jsonl:2: broken JSON" in said


def test_a_record_without_a_key_is_named(fail, train_yaml):
    train_yaml.with_name("refs.json").write_text('[{"image_path": "a.jpg"}]')
    assert "a.0: the record has no key 'height'; there are: image_path" in fail(train, "--cfg_path", train_yaml)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_path": "../a.jpg"}, "toy/a.0: '../a.jpg' leads out of {home}; expected a path below it"),
        ({"image_path": 5}, "refs.json: a record holds another kind of value than its format has"),
        ({"image_path": "link/a.jpg"}, "toy/a.0: {home}/link is a link to /, out of {home}; name that folder in the"),
        ({"bbox": [0, 0, float("nan"), 1]}, "toy/a.0: cat: box: expected four finite numbers, found (0, 0, nan, 1)"),
        ({"segmentation": [[0, 0, 1e9, 0, 1e9, 1e9]]}, "toy/a.0: cat: a polygon: expected pixels of a picture"),
        (
            {"segmentation": {"size": [9, 9], "counts": [81]}},
            "toy/a.0: cat: segmentation: the mask is 9 x 9 (H x W), its picture 40 x 60",
        ),
        (
            {"segmentation": {"size": list(SIZE), "counts": "0"}},
            "run lengths cover 0 pixels, their size (40, 60) has another number",
        ),
    ],
)
def test_what_an_annotation_may_not_say(fail, train_yaml, changes, message):
    home = train_yaml.parent
    (home / "link").symlink_to("/")
    (home / "refs.json").write_text(json.dumps([record("a") | changes]))
    assert message.format(home=home) in fail(train, "--cfg_path", train_yaml)


@pytest.mark.parametrize(
    ("name", "content", "patience", "message"),
    [
        ("film.mp4", b"ffconcat version 1.0\nfile a.jpg\n", "", "film.mp4: the video is truncated or broken"),
        ("film.gif", "a.jpg", "1e-9", "film.gif: not read in 1e-09 s; the disk or the file is stuck: take it out"),
        ("film.gif", "a.jpg", "soon", "ULLAVA_VIDEO_TIMEOUT: expected seconds above 0, found 'soon'"),
        ("film.mp4", None, "", "film.mp4: expected a video, found no regular file; take it out of the annotation file"),
    ],
)
def test_films_that_cannot_be_watched(fail, train_yaml, monkeypatch, name, content, patience, message):
    home, turns = train_yaml.parent, [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "A film."}]
    (home / "chat.json").write_text(json.dumps([{"video": name, "conversations": turns}]))
    if content is None:
        os.mkfifo(home / name)
    elif isinstance(content, str):
        Image.open(home / content).save(home / name)
    else:
        (home / name).write_bytes(content)
    monkeypatch.setenv("ULLAVA_VIDEO_TIMEOUT", patience)
    films = "datasets.films={reader: llava_chat, annotations: chat.json, images: .}"
    workers = f"training.workers={int(patience == '1e-9')}"
    assert message in fail(train, "--cfg_path", train_yaml, films, "data=[{dataset: films, task: vqa}]", workers)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("7 0.5 0.5 0.1 0.1", "a.txt:1: no class '7' in names.txt from 0 on"),
        ("0 50 50 10 10", "a.txt:1: expected fractions of the picture, 0 to 1, found '50 50 10 10'"),
    ],
)
def test_lines_of_yolo_that_do_not_fit(fail, train_yaml, line, message):
    (home := train_yaml.parent).joinpath("texts").mkdir()
    (home / "texts" / "a.txt").write_text(line)
    (home / "names.txt").write_text("cat\n")
    own = "datasets.own={reader: yolo, images: pictures, labels: texts, classes: names.txt}"
    assert message in fail(train, "--cfg_path", train_yaml, own, "data=[{dataset: own, task: rec}]")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_truncated_picture_is_named_whoever_reads_it(fail, train_yaml, workers):
    picture = train_yaml.with_name("b.jpg")
    picture.write_bytes(picture.read_bytes()[:700])
    said = fail(train, "--cfg_path", train_yaml, f"training.workers={workers}")
    assert said.startswith(f"{train_yaml}: {picture}: the picture (700 bytes) is truncated or broken (")
    assert said.endswith("; fetch the file again")


def test_a_mask_of_another_size_than_its_picture(fail, train_yaml):
    said = fail(train, "--cfg_path", train_yaml, "data=[{dataset: other, task: salient}]")
    assert f"{train_yaml}: other/a: the mask is 30 x 60 (H x W), its picture 40 x 60" in said


def test_a_text_too_long_for_its_promises(fail, train_yaml):
    said = fail(train, "--cfg_path", train_yaml, "training.max_length=40")
    assert "one turn with 2 promises is" in said and "raise training.max_length or shorten the text" in said


def test_a_checkpoint_of_another_architecture(fail, train_yaml, eval_yaml, foundations):
    from ullava.models.folders.manifest import fingerprint

    run_command(train, ["--cfg_path", str(train_yaml)])
    card_file = train_yaml.parent / "run" / "ullava.json"
    card = card_file.read_text().replace(str(foundations / "llm"), str(foundations / "wide"))
    card_file.write_text(card)
    assert "wide with sha256" in (said := fail(evaluate, "--cfg_path", eval_yaml)) and "put those weights back" in said
    tree = json.loads(card)
    tree["bases"] = {base: fingerprint(base) for base in tree["bases"]}
    tree["settings"], tree["files"] = {}, None  # as an older ullava wrote it
    card_file.write_text(json.dumps(tree))
    said = fail(evaluate, "--cfg_path", eval_yaml)
    assert "weights do not fit this model" in said and "has shape (32,), expected (64,)" in said
    card_file.with_name("learned.safetensors").write_bytes(b"cut")
    assert "learned.safetensors: cannot be read" in fail(evaluate, "--cfg_path", eval_yaml)
    card_file.write_text("{")
    assert f"{card_file}: " in fail(ullava("check"), eval_yaml)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("clip/model.safetensors", b"cut", "model.vision.tower: {folder}/clip: no readable weights"),
        ("clip/config.json", b"{", "model.vision.tower: {folder}/clip/config.json: broken JSON"),
        ("llm/model.safetensors", "wide/model.safetensors", "model.llm: {folder}/llm lacks"),
        ("llm/config.json", b'{"model_type": "x", "auto_map": {"AutoConfig": "x.X"}}', "model.llm: {folder}/llm holds"),
        ("clip/x.index.json", b'{"weight_map": {"x": "../x"}}', "model.vision.tower: {folder}/clip/x.index.json names"),
        ("llm/adapter_config.json", b"{}", "model.llm: {folder}/llm is a LoRA for another model; merge it into"),
    ],
)
def test_weights_that_are_not_their_configurations(fail, train_yaml, foundations, file, content, message):
    path = foundations / file
    kept = path.read_bytes() if path.is_file() else None
    broken = (foundations / content).read_bytes() if isinstance(content, str) else content
    path.write_bytes(broken)
    said = fail(train, "--cfg_path", train_yaml)
    path.unlink() if kept is None else path.write_bytes(kept)
    assert f"{train_yaml}: {message.format(folder=foundations)}" in said


def test_an_output_that_is_a_file(fail, train_yaml):
    said = fail(train, "--cfg_path", train_yaml, f"output_dir={train_yaml}")
    assert said == f"{train_yaml}: output_dir: {train_yaml} is a file; expected a folder, or a name that is free"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model=nowhere", "nowhere: "),
        ("evaluate.0.dataset=toi", "evaluate[0]: no dataset 'toi'; did you mean 'toy'?"),
        ("evaluate.0.task=ress", "evaluate[0]: no task 'ress'; did you mean 'res'?"),
        ("evaluate.0.options={sayz: [SEG]}", "evaluate[0]: task 'res': no option 'sayz'; did you mean 'says'?"),
        ("evaluate.0.boxes=bux", "evaluate[0]: no box source 'bux'; did you mean 'box'?"),
        ("generation.batchsize=3", "generation: no key 'batchsize'; did you mean 'batch_size'?"),
    ],
)
def test_an_evaluation_says_which_row(fail, eval_yaml, override, message):
    assert fail(evaluate, "--cfg_path", eval_yaml, override).startswith(f"{eval_yaml}: {message}")


def test_an_inference_names_the_file_or_the_line(fail, home):
    from ullava.evaluation.inference_ullava import main

    ask = partial(fail, main, "--llm_path", home / "run")
    assert "nowhere.jpg: no such picture or video" in ask("--images", "nowhere.jpg", "--questions", "What?")
    assert "no question to ask" in ask("--images", home / "a.jpg")
    assert "no task 'ress'; did you mean 'res'?" in ask("--images", home / "a.jpg", "--task", "ress", "--phrase", "cat")
    (home / "q.jsonl").write_text('{"question": "What?"}\n{"question"\n')
    assert "q.jsonl:2: expected a JSON object" in ask("--jsonl", home / "q.jsonl")
    assert f"{home / 'run'}: " in ask("--questions", "What?")


def test_other_verbs_name_what_is_not_there(fail, home):
    assert "nowhere: " in fail(ullava("merge"), "nowhere", home / "merged")
    assert "no split 'tiny_tset'" in fail(ullava("prepare"), "tiny_world", "--splits", "tiny_tset", "--root", home)
