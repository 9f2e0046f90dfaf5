"""Lays a drawn world out as the LISA family's sets are published, beyond what u-LLaVA's recipes need.

Beside `tiny_world_layouts`: label maps under other names and in MATLAB's files, masks of OpenImages, parts, phrases.
"""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco

from ullava.datasets.readers.regions.refer import unpickle
from ullava.datasets.tables import read_object
from ullava.datasets.tiny_world.files import Record, dump
from ullava.datasets.tiny_world.layouts import copy, objects

CITY = "aachen"  # Cityscapes' folders are cities


def stems(world: Path) -> list[str]:
    """Names of the pictures, without suffix."""
    return [path.stem for path in sorted((world / "images").iterdir())]


def labels(world: Path, stem: str) -> np.ndarray:
    """A picture's label map, (H, W) uint8; 0 is no class."""
    return np.asarray(Image.open(world / "labels" / f"{stem}.png"))


def things(world: Path, stem: str) -> list[tuple[str, np.ndarray]]:
    """Class and mask of each object that is referred to in a picture."""
    referred = [thing for thing in objects(world) if thing["file"] == f"{stem}.png"]
    return [(thing["category"], coco.decode(thing["segmentation"][0]).astype(bool)) for thing in referred]


def cityscapes(world: Path, root: Path, split: str = "val") -> None:
    """Label ids beside other pictures of the same stem, in a folder for each city; the world's 1 is 7, a road."""
    pictures, maps = (root / f"cityscapes/{kind}/{split}/{CITY}" for kind in ("leftImg8bit", "gtFine"))
    for folder in (pictures, maps):
        folder.mkdir(parents=True)
    for stem in stems(world):
        shutil.copy(world / f"images/{stem}.png", pictures / f"{CITY}_{stem}_leftImg8bit.png")
        values = labels(world, stem)
        ids = np.where(values, values + 6, 0).astype(np.uint8)
        Image.fromarray(ids).save(maps / f"{CITY}_{stem}_gtFine_labelIds.png")
        train = np.where(values, values - 1, 255).astype(np.uint8)
        Image.fromarray(train).save(maps / f"{CITY}_{stem}_gtFine_labelTrainIds.png")
        Image.fromarray(ids).convert("RGB").save(maps / f"{CITY}_{stem}_gtFine_color.png")


def mapillary(world: Path, root: Path, split: str = "training") -> None:
    """Both versions' label maps over one folder of pictures; nothing is the last label."""
    copy(world / "images", root / f"mapillary/{split}/images")
    for version, nothing in (("v1.2", 65), ("v2.0", 123)):
        folder = root / f"mapillary/{split}/{version}/labels"
        folder.mkdir(parents=True)
        for stem in stems(world):
            values = labels(world, stem).astype(int)
            Image.fromarray(np.where(values, values - 1, nothing).astype(np.uint8)).save(folder / f"{stem}.png")


def pascal_context(world: Path, root: Path) -> None:
    """MATLAB's label maps of 459 classes, 431 of which is "unknown"; the list of the val split."""
    from scipy.io import savemat

    folder = root / "VOCdevkit/VOC2010"
    copy(world / "images", folder / "JPEGImages")
    (folder / "trainval").mkdir()
    for stem in stems(world):
        values = labels(world, stem).astype(np.uint16)
        savemat(folder / f"trainval/{stem}.mat", {"LabelMap": np.where(values, values, 431)}, do_compression=True)
    (folder / "pascalcontext_val.txt").write_text("\n".join(stems(world)) + "\n")


def open_images(world: Path, root: Path) -> None:
    """A one-bit mask of half the size for every referred object, and the index of them."""
    home, index = root / "OpenImageV6", {}
    for stem in stems(world):
        folder = home / f"folder_train/{stem[:2]}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.open(world / f"images/{stem}.png").save(folder / f"{stem}.jpg")
        (home / f"train-masks/{stem[0]}").mkdir(parents=True, exist_ok=True)
        for number, (name, mask) in enumerate(things(world, stem)):
            file = f"{stem[0]}/{stem}_m0{name}_{number}.png"
            Image.fromarray(np.ascontiguousarray(mask[::2, ::2])).save(home / "train-masks" / file)
            index.setdefault(stem, {}).setdefault(name, []).append(file)
    categories = sorted({name for named in index.values() for name in named})
    dump(home / "train_mask.json", index | {"categories": categories})


def pascal_part(world: Path, root: Path) -> None:
    """Every referred object is a dog, its upper half its head, its lower half two legs."""
    from scipy.io import savemat

    folder = root / "vlpart/pascal_part"
    for name in ("VOCdevkit/VOC2010/JPEGImages", "VOCdevkit/VOC2010/ImageSets/Main", "Annotations_Part"):
        (folder / name).mkdir(parents=True)
    (folder / "VOCdevkit/VOC2010/ImageSets/Main/train.txt").write_text("\n".join(stems(world)) + "\n")
    for stem in stems(world):
        Image.open(world / f"images/{stem}.png").save(folder / f"VOCdevkit/VOC2010/JPEGImages/{stem}.jpg")
        anno = {"imname": stem, "objects": structures([dog(mask) for _, mask in things(world, stem)])}
        savemat(folder / f"Annotations_Part/{stem}.mat", {"anno": anno}, do_compression=True)


def dog(mask: np.ndarray) -> Record:
    """PASCAL-Part's structure of one object."""
    rows = np.flatnonzero(mask.any(axis=1))
    upper, left = np.zeros_like(mask), np.zeros_like(mask)
    upper[: int(rows.mean()) + 1] = True
    left[:, : int(np.flatnonzero(mask.any(axis=0)).mean()) + 1] = True
    parts = {"head": mask & upper, "lbleg": mask & ~upper & left, "rbleg": mask & ~upper & ~left}
    stated = [{"part_name": code, "mask": part.astype(np.uint8)} for code, part in parts.items()]
    return {"class": "dog", "class_ind": 12, "mask": mask.astype(np.uint8), "parts": structures(stated)}


def structures(records: list[Record]) -> np.ndarray:
    """Records as MATLAB's array of structures; [] where there are none."""
    made = np.zeros(len(records), [(name, object) for name in (records[0] if records else ())])
    for number, record in enumerate(records):
        made[number] = tuple(record.values())
    return made


def paco(world: Path, root: Path, split: str = "train") -> None:
    """MS COCO's JSON: every object by its shape, half of them as the handle of a mug, too."""
    tree = read_object(world / "instances.json", "images", "annotations", "categories")
    count = len(tree["categories"])
    tree["categories"].append({"id": count + 1, "name": "mug_(cup):handle_top", "supercategory": "PART"})
    handles = [thing | {"category_id": count + 1, "id": -thing["id"]} for thing in tree["annotations"][::2]]
    tree["annotations"] += handles
    for image in tree["images"]:
        image["file_name"] = f"{split}2017/{image['file_name']}"
    (root / "vlpart/paco/annotations").mkdir(parents=True, exist_ok=True)
    dump(root / f"vlpart/paco/annotations/paco_lvis_v1_{split}.json", tree)
    copy(world / "images", root / f"coco/{split}2017")


def grefcoco(world: Path, root: Path, split: str = "val") -> None:
    """The world's references; and of each picture all things of a shape that is there, and of one that is not."""
    folder = root / "refer_seg/grefcoco"
    folder.mkdir(parents=True)
    shutil.copy(world / "instances.json", folder)
    copy(world / "images", root / "refer_seg/images/mscoco/images/train2014")
    tree = read_object(world / "instances.json", "images", "annotations", "categories")
    listed = [ref | {"ann_id": [ref["ann_id"]], "split": split} for ref in unpickle(world / "refs(tiny).p")]
    for image in tree["images"]:
        things_by_category: dict[int, list[int]] = {category["id"]: [] for category in tree["categories"]}
        for thing in tree["annotations"]:
            if thing["image_id"] == image["id"]:
                things_by_category[thing["category_id"]].append(thing["id"])
        for there in (True, False):
            asked = [category for category in tree["categories"] if bool(things_by_category[category["id"]]) == there]
            category = asked[image["id"] % len(asked)]
            targets = things_by_category[category["id"]] or [-1]
            ref = {"ann_id": targets, "sentences": [{"sent": f"every {category['name']}"}]}
            listed.append(ref | {"image_id": image["id"], "split": split, "ref_id": len(listed)})
    dump(folder / "grefs(unc).json", [ref | {"no_target": ref["ann_id"] == [-1]} for ref in listed])


def odvg(world: Path, path: Path) -> None:
    """One JSON a line: the objects of a picture, and its phrases."""
    pictures: dict[str, Record] = {}
    for thing in objects(world):
        box = [thing["bbox"][0], thing["bbox"][1], *np.add(thing["bbox"][:2], thing["bbox"][2:]).tolist()]
        facts = {"filename": thing["file"], "height": thing["height"], "width": thing["width"]}
        record = pictures.setdefault(thing["file"], facts | {"instances": [], "regions": []})
        record["instances"].append({"bbox": box, "label": 0, "category": thing["category"]})
        record["regions"] += [{"bbox": box, "phrase": phrase} for phrase in thing["sentences"]]
    lines = []
    for record in pictures.values():
        instances, regions = record.pop("instances"), record.pop("regions")
        grounding = {"caption": ". ".join(region["phrase"] for region in regions), "regions": regions}
        lines.append(json.dumps(record | {"detection": {"instances": instances}, "grounding": grounding}))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def tgif(root: Path) -> None:
    """The original table over the films that `tiny_world_layouts.gifs` drew, two sentences of the first."""
    films = sorted((root / "TGIF/GIFs").iterdir())
    with (root / "TGIF/tgif-v1.0.tsv").open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, delimiter="\t", lineterminator="\n")
        for sentence in ("things come and go", "shapes are shown in turn"):
            lines.writerows([[f"https://38.media.tumblr.com/x/{film.name}", sentence] for film in films])


def entities(world: Path, root: Path) -> None:
    """Flickr30k Entities: a sentence and an XML for each picture; corners count from 1 and are both inside."""
    home, pictures = root / "flickr30k_entities", root / "flickr30k/flickr30k-images"
    for folder in (home / "Annotations", home / "Sentences", pictures):
        folder.mkdir(parents=True)
    for stem in stems(world):
        Image.open(world / f"images/{stem}.png").save(pictures / f"{stem}.jpg")
        referred = [thing for thing in objects(world) if thing["file"] == f"{stem}.png"]
        sentences, boxes = [], []
        for number, thing in enumerate(referred, 1):
            x, y, width, height = map(int, thing["bbox"])
            sides = zip(("xmin", "ymin", "xmax", "ymax"), (x + 1, y + 1, x + width, y + height), strict=True)
            frame = "".join(f"<{side}>{value}</{side}>" for side, value in sides)
            boxes.append(f"<object><name>{number}</name><bndbox>{frame}</bndbox></object>")
            sentences.append(f"There is [/EN#{number}/other {thing['sentences'][0]}] .")
        (home / f"Annotations/{stem}.xml").write_text(f"<annotation>{''.join(boxes)}</annotation>")
        (home / f"Sentences/{stem}.txt").write_text("\n".join(sentences) + "\n")
    (home / "test.txt").write_text("\n".join(stems(world)) + "\n")


def yolo(world: Path, root: Path) -> None:
    """A text for each picture: the number of a class, and a box's centre, width and height as fractions."""
    copy(world / "images", root / "yolo/images")
    (root / "yolo/labels").mkdir()
    names = (world / "classes.txt").read_text().split()
    lines: dict[str, list[str]] = {}
    for thing in objects(world):
        x, y, width, height = thing["bbox"]
        sides = np.array([x + width / 2, y + height / 2, width, height])
        shares = sides / (thing["width"], thing["height"], thing["width"], thing["height"])
        line = " ".join(f"{share:.6f}" for share in shares)
        lines.setdefault(Path(thing["file"]).stem, []).append(f"{names.index(thing['category'])} {line}")
    for stem, rows in lines.items():
        (root / f"yolo/labels/{stem}.txt").write_text("\n".join(rows) + "\n")
    shutil.copy(world / "classes.txt", root / "yolo/classes.txt")


def panoptic(world: Path, root: Path) -> None:
    """Coloured segments: the class is the number of its one segment, and its colour (class, 1, 0) is class + 256."""
    home = root / "coco2017"
    copy(world / "images", home / "val2017")
    (home / "annotations/panoptic_val2017").mkdir(parents=True)
    tree = read_object(world / "instances.json", "images", "categories")
    annotations = []
    for image in tree["images"]:
        stem = Path(image["file_name"]).stem
        values = labels(world, stem)
        colours = np.stack([values, values > 0, np.zeros_like(values)], axis=-1).astype(np.uint8)
        Image.fromarray(colours).save(home / f"annotations/panoptic_val2017/{stem}.png")
        classes = [int(value) for value in np.unique(values) if value]
        segments = [{"id": value + 256, "category_id": value, "bbox": [0, 0, 1, 1], "iscrowd": 0} for value in classes]
        annotations.append({"image_id": image["id"], "file_name": f"{stem}.png", "segments_info": segments})
    facts = {"images": tree["images"], "categories": tree["categories"], "annotations": annotations}
    dump(home / "annotations/panoptic_val2017.json", facts)


def phrase_boxes(world: Path, root: Path) -> None:
    """RefCOCOs' records: a phrase and its box, or none."""
    records = []
    for thing in objects(world):
        x, y, width, height = thing["bbox"]
        box = [x, y, x + width, y + height]
        facts = {"file_name": thing["file"], "solution": box}
        records += [facts | {"normal_caption": sentence} for sentence in thing["sentences"]]
    records.append({"file_name": records[0]["file_name"], "normal_caption": "the elephant", "solution": None})
    (root / "refcocos").mkdir()
    dump(root / "refcocos/refcocos_test.json", records)
