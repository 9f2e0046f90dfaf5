"""Questions from every place, against a model that always says the same."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ullava.configs.schema import GenerationConfig
from ullava.datasets.structures import Answer, Picture, Video
from ullava.evaluation import inference_ullava
from ullava.evaluation.ask.infer import Ask, answer, find_media, question_of, read_asks, write

ROOT = Path(__file__).resolve().parents[3]
MASK = np.array([[1, 1, 0, 0], [0, 0, 0, 0]], np.float32)


class Fake:
    generation = GenerationConfig(batch_size=2)

    def __init__(self):
        self.batches = []

    def __call__(self, dialogues, *, given):
        assert not given and all(dialogue.turns[-1].answer == "" for dialogue in dialogues)
        self.batches.append(len(dialogues))
        said = "Sure. Mask: [SEG]; Location: [LOC]; [tag]cat[/tag]."
        return [Answer(said, {"mask": (MASK,), "box": ((0.0, 0.0, 2.0, 1.0),)}) for _ in dialogues]


@pytest.fixture
def photos(tmp_path):
    for name in ("b.png", "a.png"):
        Image.fromarray(np.full((2, 4, 3), 90, np.uint8)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_pictures_come_from_files_folders_and_patterns(photos):
    a, b = Picture(photos / "a.png"), Picture(photos / "b.png")
    assert find_media([str(photos)]) == [a, b]
    assert find_media([str(photos / "*.png"), str(photos / "a.png")]) == [a, b, a]
    (photos / "c.gif").write_bytes(b"")
    assert find_media([str(photos / "c.gif")]) == [Video(photos / "c.gif")]
    with pytest.raises(FileNotFoundError, match="none.png: no such picture or video"):
        find_media([str(photos / "none.png")])
    with pytest.raises(FileNotFoundError, match=r"\*.jpg: holds no picture"):
        find_media([str(photos / "*.jpg")])
    with pytest.raises(ValueError, match="notes.txt: expected a picture"):
        find_media([str(photos / "notes.txt")])


def test_questions_come_from_a_jsonl(photos):
    path = photos / "asks.jsonl"
    path.write_text('{"image": "a.png", "question": "what?"}\n\n{"question": "and in words?"}\n')
    assert read_asks(path) == [Ask("what?", Picture(photos / "a.png")), Ask("and in words?")]
    path.write_text('{"image": "a.png"}\n')
    with pytest.raises(ValueError, match='asks.jsonl:1: expected {"image": ..., "question": ...}'):
        read_asks(path)
    path.write_text('{"image": \n')
    with pytest.raises(ValueError, match="asks.jsonl:1: expected a JSON object"):
        read_asks(path)


def test_a_task_words_the_question_as_in_its_exams(photos):
    about = Picture(photos / "a.png")
    assert "red circle" in question_of("res", "red circle", about)
    assert question_of("vqa", "what is it?", about) == "what is it?"
    assert question_of("reasoning", "Where is it?", about) == "Where is it? Please output segmentation mask."
    assert question_of("reasoning", "red ring", about).startswith("What is red ring in this image?")
    assert question_of("captioning", "", about)
    assert question_of("salient", "", about)
    with pytest.raises(ValueError, match="task 'rec' asks about a phrase; name it by --phrase"):
        question_of("rec", "", about)


def test_answers_are_asked_in_batches_and_written_with_what_they_point_at(photos, tmp_path):
    asks = [Ask("one?", Picture(photos / "a.png")), Ask("two?", Picture(photos / "b.png")), Ask("three?")]
    fake, folder = Fake(), tmp_path / "out"
    lines = list(write(folder, answer(asks, fake)))
    assert fake.batches == [2, 1]
    assert lines == [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    assert lines[1]["image"] == str(photos / "b.png") and lines[1]["boxes"] == [[0.0, 0.0, 2.0, 1.0]]
    assert lines[1]["masks"] == ["0001_b_mask_0.png"] and lines[1]["overlay"] == "0001_b_overlay.png"
    assert (np.asarray(Image.open(folder / "0001_b_mask_0.png")) == 255 * MASK).all()
    assert json.loads((folder / "0001_b_boxes.json").read_text()) == [[0.0, 0.0, 2.0, 1.0]]
    assert np.asarray(Image.open(folder / "0001_b_overlay.png")).shape == (2, 4, 3)
    assert lines[2]["image"] is None and "overlay" not in lines[2]


def test_every_question_is_asked_about_every_picture(photos):
    said = ["--images", str(photos), "--questions", "one?", "two?", "--lora_r", "8"]
    options = inference_ullava.parse(said, "runs/mine")
    asks = inference_ullava.collect(options)
    assert [(ask.question, ask.medium.path.name) for ask in asks] == [
        ("one?", "a.png"), ("two?", "a.png"), ("one?", "b.png"), ("two?", "b.png"),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no question to ask; add --questions"):
        inference_ullava.collect(inference_ullava.parse(["--images", str(photos)], "runs/mine"))


def test_the_flags_of_u_llava_and_of_lisa_are_understood(photos, capsys, monkeypatch):
    """Those that the model's folder settles are said to be ignored; the others mean what they mean there."""
    asked = []

    def open_answerer(folder, how, allow_mismatch):
        asked.append((folder, how))
        return Fake()

    monkeypatch.setattr("ullava.models.answering.open_answerer", open_answerer)
    theirs = "--llm_path run --dtype bf16 --conv_type conv_sep2 --lora_r 8 --clip_path clip --aspect_ratio pad"
    common = ["--images", str(photos / "a.png"), "--questions", "what?"]
    inference_ullava.main([*theirs.split(), "--model_max_length", "512", "--result_dir", str(photos / "out"), *common])
    said = capsys.readouterr().err
    assert all(f"--{flag}" in said for flag in ("lora_r", "clip_path", "aspect_ratio", "model_max_length", "conv_type"))
    inference_ullava.main(["--version", "run", "--load_in_4bit", "--vis_save_path", str(photos / "lisa"), *common])
    assert [(folder, how.precision) for folder, how in asked] == [("run", "bf16"), ("run", "4bit")]
    assert (photos / "out" / "answers.jsonl").is_file() and (photos / "lisa" / "answers.jsonl").is_file()


def test_a_conversation_goes_on_until_nothing_is_typed(photos, monkeypatch):
    typed = iter([str(photos / "none.png"), str(photos / "a.png"), "one?", "two?", "", "-", "three?", "", ""])
    monkeypatch.setattr("builtins.input", lambda prompt: next(typed))
    answered = list(inference_ullava.converse(Fake()))
    assert [(number, ask.question, ask.medium is None) for number, ask, _ in answered] == [
        (0, "one?", False), (1, "two?", False), (2, "three?", True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "command", ["eval_ullava.py", "eval_ullava_grounding.py", "inference_ullava.py", "inference_ullava_core.py"]
)
def test_commands_run_from_anywhere_and_say_what_is_wrong(command, tmp_path):
    wrong = ["modle=nowhere"] if command.startswith("eval") else ["--images", "modle", "--questions", "what?"]
    script = str(ROOT / "evaluation" / command)
    done = subprocess.run([sys.executable, script, *wrong], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "error: " in done.stderr and "modle" in done.stderr


def test_a_url_is_refused_and_not_taken_for_a_path():
    with pytest.raises(ValueError, match="https://example.com/cat.jpg: a URL, which is never fetched"):
        find_media(["https://example.com/cat.jpg"])
