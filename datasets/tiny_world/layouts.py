"""Lays a drawn world out as all the sets of u-LLaVA's recipes at once, in its flat files or as their makers do.

A recipe at full size can be tried on it before a byte of real data is there: `lay_out(world, data_root(), as_ullava)`.
"""

import json
import pickle
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ullava.datasets.readers.regions.refer import unpickle
from ullava.datasets.tables import read_object
from ullava.datasets.tiny_world.files import Record, dump

SETS = {  # REFER's set: its splits by their name in REFER's files
    "refcoco": ("train", "val", "testA", "testB"), "refcoco+": ("train", "val", "testA", "testB"),
    "refcocog": ("train", "val", "test"), "refclef": ("train",),
}  # fmt: skip
SPLITS_BY = {"refcocog": "umd"}  # whose splits; else UNC's
SALIENT = {
    "DUTS-TE": ("DUTS-TE-Image", "DUTS-TE-Mask"), "DUT-OMRON": ("DUT-OMRON-image", "pixelwiseGT-new-PNG"),
    "ECSSD": ("images", "ground_truth_mask"),
}  # fmt: skip


def copy(source: Path, target: Path) -> None:
    """Copies the files of a folder."""
    shutil.copytree(source, target, dirs_exist_ok=True)


def objects(world: Path) -> list[Record]:
    """Per referred object of the world: u-LLaVA's keys but `image_path`, and the picture's `file`."""
    tree = read_object(world / "instances.json", "images", "annotations", "categories")
    sizes = {image["id"]: image for image in tree["images"]}
    names = {category["id"]: category["name"] for category in tree["categories"]}
    things = {thing["id"]: thing for thing in tree["annotations"]}
    records = []
    for ref in unpickle(world / "refs(tiny).p"):
        thing, image = things[ref["ann_id"]], sizes[ref["image_id"]]
        facts = {"height": image["height"], "width": image["width"], "category": names[thing["category_id"]]}
        facts |= {"bbox": thing["bbox"], "segmentation": [thing["segmentation"]]}
        sentences = [sentence["sent"] for sentence in ref["sentences"]]
        records.append(facts | {"file": image["file_name"], "sentences": sentences})
    return records


def referring(world: Path, path: Path, folder: str) -> None:
    """u-LLaVA's JSON for RES; `folder` stands before the pictures' names."""
    records = [{"image_path": f"{folder}/{thing['file']}", **thing} for thing in objects(world)]
    dump(path, [{key: value for key, value in record.items() if key != "file"} for record in records])


def parts(world: Path, path: Path, folder: str) -> None:
    """u-LLaVA's JSON for parts: a record a picture."""
    pictures: dict[str, list[Record]] = {}
    for thing in objects(world):
        pictures.setdefault(thing["file"], []).append(thing)
    dump(path, [
        {"image_path": f"{folder}/{file}", "classes": [thing["category"] for thing in things],
         "annotations": [
             {"segmentation": thing["segmentation"][0]} | {key: thing[key] for key in ("bbox", "height", "width")}
             for thing in things
         ]}
        for file, things in pictures.items()
    ])  # fmt: skip


def semantic(world: Path, path: Path, images: str, labels: str, first: int) -> None:
    """u-LLaVA's JSON for classes; `first` is the pixel value of the class 0."""
    names = (world / "classes.txt").read_text().split()
    records = []
    for label in sorted((world / "labels").iterdir()):
        values = [int(value) for value in np.unique(np.asarray(Image.open(label))) if value]
        classes = [{"class": names[value - 1], "class_id": value - first} for value in values]
        records.append({"image_path": f"{images}/{label.name}", "label_path": f"{labels}/{label.name}"})
        records[-1]["classes"] = classes
    dump(path, records)


def chats(world: Path, path: Path) -> None:
    """LLaVA's conversations, those about pictures."""
    dump(path, [record for record in json.loads((world / "chat.json").read_text()) if "image" in record])


def gifs(world: Path, folder: Path, path: Path) -> None:
    """TGIF: one film whose frames are the world's pictures."""
    folder.mkdir(parents=True)
    first, *others = [Image.open(picture).convert("P") for picture in sorted((world / "images").iterdir())]
    first.save(folder / "a.gif", save_all=True, append_images=others, duration=100)
    question, answer = "Describe the video concisely.", "things come and go"
    messages = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    dump(path, [{"gif": "a.gif", "conversations": messages}])


def salient(world: Path, root: Path, name: str) -> None:
    """A record for each mask below `root/name`, as u-LLaVA writes MSRA-10K and MSRA-B."""
    copy(world / "images", root / name / "images")
    copy(world / "salient", root / name / "salient")
    records = json.loads((world / "salient.json").read_text())
    paths = ("image_path", "label_path")
    dump(root / f"ullava/{name}.json", [r | {key: f"{name}/{r[key]}" for key in paths} for r in records])


def refer(world: Path, folder: Path, by: str, splits: Sequence[str]) -> None:
    """REFER's own files of one set; each split has all references, as if they were its own."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(world / "instances.json", folder)
    refs = unpickle(world / "refs(tiny).p")
    every = [ref | {"split": split, "ref_id": k * len(refs) + n} for k, split in enumerate(splits)
             for n, ref in enumerate(refs)]  # fmt: skip
    (folder / f"refs({by}).p").write_bytes(pickle.dumps(every, protocol=2))


def stage_one(world: Path, root: Path) -> None:
    """CC3M-595K and TGIF."""
    copy(world / "images", root / "LLaVA-CC3M-Pretrain-595K/images")
    chats(world, root / "LLaVA-CC3M-Pretrain-595K/chat.json")
    gifs(world, root / "TGIF/GIFs", root / "TGIF/tgif_llava.json")


def as_ullava(world: Path, root: Path) -> None:
    """Referring and semantic sets as u-LLaVA's README lays them out."""
    copy(world / "images", root / "coco2014/train2014")
    copy(world / "images", root / "saiapr_tc-12/00")
    for name, splits in SETS.items():
        for split in splits:
            referring(world, root / f"ullava/{name}_{split}.json", "00" if name == "refclef" else "train2014")
    copy(world / "images", root / "ade20k/images/training")
    copy(world / "labels", root / "ade20k/annotations/training")
    semantic(world, root / "ullava/ade20k.json", "images/training", "annotations/training", 1)
    copy(world / "labels", root / "cocostuff/train2017")
    semantic(world, root / "ullava/cocostuff.json", "coco2017/train2017", "cocostuff/train2017", 0)


def as_published(world: Path, root: Path) -> None:
    """The same sets as their makers, and LISA, lay them out."""
    for name, splits in SETS.items():
        refer(world, root / "refer_seg" / name, SPLITS_BY.get(name, "unc"), splits)
    for folder in ("mscoco/images/train2014", "saiapr_tc-12"):
        copy(world / "images", root / "refer_seg/images" / folder)
    copy(world / "images", root / "ADEChallengeData2016/images/training")
    copy(world / "labels", root / "ADEChallengeData2016/annotations/training")
    copy(world / "labels", root / "cocostuff/train2017")


def as_lisa(world: Path, root: Path) -> None:
    """The same as LISA's README lays them out, with Mapillary, ReasonSeg, and what its chat is measured by."""
    as_published(world, root)
    copy(world / "images", root / "mapillary/training/images")
    copy(world / "labels", root / "mapillary/training/v2.0/labels")
    for split in ("train", "val", "test"):
        copy(world / "images", root / "reason_seg/ReasonSeg" / split)
        for annotation in (world / "reason_seg").glob("*.json"):
            shutil.copy(annotation, root / "reason_seg/ReasonSeg" / split)
    copy(world / "reason_seg/explanatory", root / "reason_seg/ReasonSeg/explanatory")
    copy(world / "images", root / "coco2017/val2017")
    for folder in ("coco2017/annotations", "vqav2", "coco2014/val2014"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    shutil.copy(world / "captions.json", root / "coco2017/annotations/captions_val2017.json")
    shutil.copy(world / "questions.json", root / "vqav2/v2_OpenEnded_mscoco_val2014_questions.json")
    shutil.copy(world / "answers.json", root / "vqav2/v2_mscoco_val2014_annotations.json")
    for picture in (world / "images").iterdir():
        shutil.copy(picture, root / "coco2014/val2014" / f"COCO_val2014_{int(picture.stem):012d}.jpg")


def lay_out(world: Path, root: Path, sets: Callable[[Path, Path], None]) -> None:
    """Everything that u-LLaVA's recipes and evaluations name; `sets` is as_ullava, as_published or as_lisa."""
    (root / "ullava").mkdir(parents=True, exist_ok=True)
    (root / "llava_instruct").mkdir(exist_ok=True)
    stage_one(world, root)
    sets(world, root)
    copy(world / "images", root / "coco2017/train2017")
    chats(world, root / "llava_instruct/llava_instruct_150k.json")
    copy(world / "images", root / "vlpart/pascal-part")
    parts(world, root / "ullava/pascal_part.json", "pascal-part")
    parts(world, root / "ullava/paco_lvis.json", "train2017")
    for name in ("MSRA-10K", "MSRA-B"):
        salient(world, root, name)
    masks = sorted(path.name for path in (world / "salient").iterdir())
    for name, (images, labels) in SALIENT.items():
        copy(world / "salient", root / name / labels)
        (root / name / images).mkdir()
        for mask in masks:
            shutil.copy(world / "images" / mask, root / name / images)
