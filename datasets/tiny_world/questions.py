"""Writes a drawn world's questions and captions as GQA, TextVQA, POPE, DAQUAR, ScienceQA and Flickr8k have theirs."""

import csv
import json
import shutil
from pathlib import Path

from PIL import Image

from ullava.datasets.tables import read_object
from ullava.datasets.tiny_world.files import dump, speak
from ullava.datasets.tiny_world.layouts import copy

Asked = tuple[str, str, str]  # stem of a picture, question, answer


def asked(world: Path) -> list[Asked]:
    """Every question about a picture."""
    annotations = read_object(world / "answers.json")["annotations"]
    answers = {annotation["question_id"]: annotation["multiple_choice_answer"] for annotation in annotations}
    questions = read_object(world / "questions.json")["questions"]
    return [(f"{record['image_id']:06d}", record["question"], answers[record["question_id"]]) for record in questions]


def as_jpeg(world: Path, folder: Path) -> None:
    """The world's pictures under a suffix that a format takes for granted."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in (world / "images").iterdir():
        Image.open(path).save(folder / f"{path.stem}.jpg", quality=95)


def gqa(world: Path, root: Path) -> None:
    """One mapping of all questions by their number."""
    as_jpeg(world, root / "gqa/images")
    records = [{"imageId": stem, "question": question, "answer": answer} for stem, question, answer in asked(world)]
    by_number = {f"{number:06d}": record for number, record in enumerate(records)}
    dump(root / "gqa/testdev_balanced_questions.json", by_number)


def text_vqa(world: Path, root: Path) -> None:
    """Ten answers a question."""
    as_jpeg(world, root / "textvqa/train_images")
    records = [
        {"image_id": stem, "question": question, "answers": [answer] * 10} for stem, question, answer in asked(world)
    ]
    dump(root / "textvqa/TextVQA_0.5.1_val.json", {"data": records})


def pope(world: Path, root: Path) -> None:
    """One JSON a line, of the questions that yes or no answers."""
    copy(world / "images", root / "coco2014/val2014")
    records = [row for row in asked(world) if row[2] in ("yes", "no")]
    lines = [
        json.dumps({"question_id": number, "image": f"{stem}.png", "text": question, "label": answer})
        for number, (stem, question, answer) in enumerate(records, 1)
    ]
    (root / "pope").mkdir()
    (root / "pope/coco_pope_random.json").write_text("\n".join(lines) + "\n", encoding="utf-8")


def daquar(world: Path, root: Path) -> None:
    """A question that ends in its picture's name, and its answer on the next line; pictures count from 1."""
    home = root / "daquar"
    (home / "nyu_depth_images").mkdir(parents=True)
    for path in (world / "images").iterdir():
        shutil.copy(path, home / f"nyu_depth_images/image{int(path.stem) + 1}.png")
    text = "".join(
        f"{question.rstrip('?. ')} in the image{int(stem) + 1} ?\n{answer}\n" for stem, question, answer in asked(world)
    )
    (home / "qa.894.raw.train.txt").write_text(text, encoding="utf-8")


def scienceqa(world: Path, root: Path) -> None:
    """LLaVA's conversations, each picture in a folder of its own; every other question has none."""
    records = []
    for number, (stem, question, answer) in enumerate(asked(world)):
        record = {"id": str(number), "conversations": speak([(question, answer)], "" if number % 2 else "<image>\n")}
        if number % 2 == 0:
            folder = root / f"scienceqa/images/train/{number}"
            folder.mkdir(parents=True)
            shutil.copy(world / f"images/{stem}.png", folder / "image.png")
            record["image"] = f"{number}/image.png"
        records.append(record)
    dump(root / "scienceqa/llava_train_QCM-LEA.json", records)


def flickr(world: Path, root: Path) -> None:
    """A table of captions, and the list of a split."""
    copy(world / "images", root / "flickr8k/Images")
    tree = read_object(world / "captions.json")
    files = {image["id"]: image["file_name"] for image in tree["images"]}
    with (root / "flickr8k/captions.txt").open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["image", "caption"])
        lines.writerows([files[note["image_id"]], note["caption"]] for note in tree["annotations"])
    (root / "flickr8k/Flickr_8k.testImages.txt").write_text("\n".join(files.values()) + "\n")
