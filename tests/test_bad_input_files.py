"""Wrong paths, misspelt names and empty files, verb by verb: one sentence that names the file and the cure."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ullava.__main__ import dispatch
from ullava.configs.messages import run_command

STAGE = Path(__file__).parents[1] / "configs/train/ullava_stage2.yaml"
NO_CARD = "holds no ullava.json; expected the folder of a run, a checkpoint or a merged model"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with a mask, a picture, and files that hold nothing, or something else."""
    mask = np.ones((4, 6), np.uint8)
    for folder in ("gt", "other", "broken", "nothing"):
        (tmp_path / folder).mkdir()
    Image.fromarray(mask).save(tmp_path / "gt/a.png")
    Image.fromarray(mask).save(tmp_path / "other/b.png")
    Image.fromarray(mask).save(tmp_path / "a.jpg")
    (tmp_path / "broken/a.png").write_bytes(b"")
    contents = {"empty.json": "", "list.json": "[]", "object.json": "{}", "cut.json": '{"a": ', "number.json": "3"}
    contents |= {"empty.jsonl": "", "lines.jsonl": '{"id": "x"}\n', "number.jsonl": "3\n", "notes.txt": "hello"}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\xfe\x00\x01")
    (tmp_path / "x.pth").write_bytes((tmp_path / "a.jpg").read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


SCORE = [
    ("masks", "ullava score masks: expected --pred and --gt; see --help"),
    ("masks --pred nowhere --gt gt", "nowhere: no such folder"),
    ("masks --pred gt --gt nowhere", "nowhere: no such folder"),
    ("masks --pred gt --gt nothing", "nothing: expected truths, found none"),
    ("masks --pred other --gt gt", "other: no prediction belongs to a truth; truths are called a, predictions b; name"),
    ("masks --pred broken --gt gt", "broken/a.png: the mask cannot be decoded"),
    ("masks --pred gt --gt gt --out a.jpg/scores.json", "a.jpg: file exists"),
    ("masks --list nowhere.json", "nowhere.json: no such file"),
    ("masks --list empty.json", "empty.json: expected JSON, the file is empty"),
    ("masks --list list.json", "list.json: expected cases, found none"),
    ("masks --list object.json", "object.json: expected a list of cases, each an object"),
    ("boxes --pred nowhere.json --gt nowhere.json", "nowhere.json: no such file"),
    ("boxes --pred list.json --gt list.json", "list.json: expected truths, found none"),
    ("boxes --pred number.json --gt number.json", "number.json: expected a list of objects, each with 'id' and 'box'"),
    ("boxes --pred lines.jsonl --gt lines.jsonl", "lines.jsonl: x: expected 'box', found 'id'"),
    ("semantic --pred gt --gt gt", "score semantic: expected --classes K above 0, or --names FILE"),
    ("semantic --pred gt --gt gt --classes 1", "a: label map: expected ids 0..0 or 255, found 1..1"),
    ("salient --pred nowhere --gt gt", "nowhere: no such folder"),
    ("captions --pred list.json --gt object.json", "object.json: expected 'annotations', found nothing"),
    ("captions --pred list.json --gt cut.json", "cut.json: expected JSON: "),
    ("vqa --pred list.json --gt number.json", "number.json: expected a list of objects under 'annotations'"),
    ("predictions", "ullava score predictions: expected --pred; see --help"),
    ("predictions --pred nowhere", "nowhere: no such file"),
    ("predictions --pred empty.jsonl", "empty.jsonl: expected lines of predictions, found none"),
    ("predictions --pred lines.jsonl", "lines.jsonl:1: expected 'dataset', found 'id'"),
    ("predictions --pred number.jsonl", "number.jsonl:1: expected an object with 'id', found '3'"),
    ("predictions --pred bytes.jsonl", "bytes.jsonl:1: expected JSON, found "),
]
COMPARE = [
    ("nothing", "ullava compare: expected two runs or more, found nothing alone"),
    ("nothing nothing", "nothing/predictions.jsonl: no such file"),
    ("nowhere nothing", "nowhere: no such file"),
    ("empty.jsonl empty.jsonl", "empty.jsonl: expected lines of predictions, found none"),
    ("number.jsonl number.jsonl", "number.jsonl:1: expected an object with 'id', found '3'"),
]
CONVERT = [
    ("lissa nothing out", "no kind of checkpoint 'lissa'; did you mean 'lisa'?"),
    ("lisa nowhere out", "nowhere/config.json: no such file; expected a Hugging Face folder with config.json"),
    ("sam nowhere.pth out", "nowhere.pth: no such file or folder; expected a published checkpoint"),
    ("sam x.pth out", "x.pth: cannot be read (no pickle of tensors); it is cut off or no checkpoint: fetch it again"),
    ("sam nothing out", "nothing: no weights; expected model.safetensors"),
    ("llava x.pth out", "x.pth: a projector alone; say --llm FOLDER and --vision FOLDER"),
    ("groundingdino nowhere.pth out", "nowhere.pth: no such file or folder; expected groundingdino_swint_ogc.pth"),
]
ASK = [
    ("nowhere.jpg cup", "nowhere.jpg: no such picture or video"),
    ("notes.txt cup", "notes.txt: expected a picture (.jpg "),
    ("nothing cup", "nothing: holds no picture or video"),
    ('a.jpg " "', "ullava ask: expected what to find, or a question, found no words"),
    ("a.jpg cup --model nowhere", f"nowhere: {NO_CARD}"),
    ("a.jpg cup --task ress", "no task 'ress'; did you mean 'res'?"),
    ("a.jpg cup --load_in_4bit --load_in_8bit", "--load_in_8bit and --load_in_4bit: expected one of them, found both"),
]
PLAN = [
    ("nowhere.yaml", "nowhere.yaml: no such file"),
    ("notes.txt", "notes.txt: expected keys and values, found 'hello'"),
    (f"{STAGE} --gpus 4", "--gpus: expected COUNTxGIB, e.g. 4x24, found '4'"),
    (f"{STAGE} --gpus 4x0", "--gpus: expected COUNTxGIB, e.g. 4x24, found '4x0'"),
    (f"{STAGE} --gpus 4x24", "model.llm: runs/ullava_core_stage1: no config.json there; give --size 7b or 13b instead"),
    (f"{STAGE} training.batchsize=3", "training: no key 'batchsize'; did you mean 'batch_size'?"),
]
OTHERS = [
    ("report nothing", "nothing/results.json: no such file; `ullava eval` writes results"),
    ("chat notes.txt", "notes.txt: expected a picture"),
    ("chat a.jpg --model nothing", f"nothing: {NO_CARD}"),
    ("export sam nowhere out.pth", "nowhere/config.json: no such file"),
    ("export-masks nowhere", "nowhere: no such file or folder"),
    ("export-masks nothing", "nothing: expected annotations (.json), found none"),
    ("export-masks object.json", "object.json: expected `shapes`, each with `label` and `points`"),
    ("infer --jsonl nowhere.jsonl", "nowhere.jsonl: no such file"),
    ("infer --jsonl bytes.jsonl", "bytes.jsonl:1: expected a JSON object, found "),
    ("infer --jsonl empty.jsonl", "no question to ask; add --questions, or --task with --phrase, or lines"),
    ("eval --cfg_path nowhere.yaml", "nowhere.yaml: no such file"),
    (
        f"eval --cfg_path {STAGE.parents[1] / 'eval/eval_rec.yaml'} --only ecsd",
        "--only ecsd: no row of `evaluate` is of such a dataset; there are: refcoco_val, refcoco_testA",
    ),
    ("evall", "ullava: no verb 'evall'; did you mean 'eval'?"),
]
VERBS = {"score": SCORE, "compare": COMPARE, "convert": CONVERT, "ask": ASK, "plan": PLAN, "": OTHERS}
CASES = [(f"{verb} {said}".strip(), message) for verb, cases in VERBS.items() for said, message in cases]


@pytest.mark.parametrize(("said", "message"), CASES, ids=[said.replace(str(STAGE), "X.yaml") for said, _ in CASES])
def test_a_verb_says_in_one_sentence_what_is_wrong(here, capsys, said, message):
    with pytest.raises(SystemExit) as ended:
        run_command(dispatch, shlex.split(said))
    told = capsys.readouterr().err
    assert ended.value.code == 1 and "Traceback" not in told and "[Errno" not in told
    assert told.count("error: ") == 1 and message in told.removesuffix("\n(--debug shows where)\n")
    assert len(told.splitlines()) == 2, "one sentence, and how to see more"


@pytest.mark.parametrize("verb", ["score", "compare", "convert", "ask", "plan"])
def test_a_verb_without_arguments_shows_how_it_is_used(here, capsys, verb):
    with pytest.raises(SystemExit) as ended:
        run_command(dispatch, [verb])
    assert ended.value.code == 2 and f"usage: ullava {verb}" in capsys.readouterr().err


def test_an_evaluation_asks_for_no_box_of_a_token_that_its_task_does_not_say(here, capsys, monkeypatch):
    monkeypatch.setenv("ULLAVA_DATA", str(here))
    tree = {"output_dir": "out", "model": "nothing", "evaluate": [{"dataset": "toy", "task": "rec"}]}
    tree["evaluate"][0]["boxes"] = "mask2box"
    tree["datasets"] = {"toy": {"reader": "ullava_referring", "annotations": "refs.json", "images": "."}}
    record = {"image_path": "a.jpg", "height": 4, "width": 6, "category": "cat", "bbox": [1, 1, 2, 2]}
    record |= {"segmentation": [[1, 1, 3, 1, 3, 3]], "sentences": ["the cat"]}
    (here / "refs.json").write_text(json.dumps([record]))
    (here / "eval.yaml").write_text(json.dumps(tree))
    for verb in (["eval", "--cfg_path"], ["check"]):
        with pytest.raises(SystemExit):
            run_command(dispatch, [*verb, "eval.yaml"])
        told = capsys.readouterr().err
        assert "evaluate[0]: boxes: mask2box makes a box of [SEG], which answers of task rec do not say" in told
