"""Plants fault after fault in a copy of the real samples, and says where `ullava check` has to find each."""

import json
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ullava.datasets.catalogue import open_dataset
from ullava.datasets.readers.regions.refer import unpickle

HELD_OUT = {"duts_sample_test": "salient"}  # evaluated: what is trained on must not show it


@dataclass(frozen=True)
class Planted:
    """One fault: its kind, the datasets that have it, and the words that name its record."""

    kind: str
    datasets: frozenset[str]
    record: str


@dataclass(frozen=True)
class Garden:
    """A copy of the real samples.

    Attributes:
        root: of the copy.
        rows: (dataset, task) of all of them.
        samples: by dataset and task, as they were.
    """

    root: Path
    samples: dict[tuple[str, str], list[Any]]

    @classmethod
    def of(cls, root: Path, rows: list[tuple[str, str]]) -> "Garden":
        return cls(root, {row: list(open_dataset(*row)) for row in rows})

    def of_picture(self, path: Path) -> frozenset[str]:
        """The datasets that show a file."""
        return frozenset(
            name
            for (name, _), samples in self.samples.items()
            if any(medium.path == path for sample in samples for medium in sample.media)
        )

    def shown(self, dataset: str, task: str, number: int) -> Path:
        """The picture or video of a record."""
        return self.samples[dataset, task][number].media[0].path

    def edit(self, path: str, change: Callable[[Any], None]) -> None:
        """Changes a JSON file."""
        file = self.root / path
        tree = json.loads(file.read_text())
        change(tree)
        file.write_text(json.dumps(tree))


def plant(garden: Garden) -> Iterator[Planted]:
    """Plants all faults, each in another record."""
    yield from pictures(garden)
    yield from salient_masks(garden)
    yield from label_maps(garden)
    yield from objects(garden)
    yield from references(garden)
    yield from small_sets(garden)
    yield from dialogues(garden)
    yield from phrases(garden)


def pictures(garden: Garden) -> Iterator[Planted]:
    """Files that are gone, cut, empty, of another kind or size."""
    gone, cut = (garden.shown("daquar_train", "vqa", number) for number in (0, 1))
    gone.unlink()
    yield Planted("record", frozenset(["daquar_train"]), f"daquar_train/{gone.stem}")
    cut.write_bytes(cut.read_bytes()[:20000])
    yield Planted("broken", frozenset(["daquar_train"]), f"daquar_train/{cut.stem}")
    in_entities = {sample.media[0].path for sample in garden.samples["entities_sample", "rec"]}
    captioned = [sample.media[0].path for sample in garden.samples["flickr8k_sample_train", "captioning"]]
    page = next(path for path in captioned if path not in in_entities)
    page.write_text("<html>404: not found</html>")
    yield Planted("broken", garden.of_picture(page), page.stem)
    nothing = garden.shown("refcocog_sample", "res", 0)
    homes = garden.of_picture(nothing)
    nothing.write_bytes(b"")
    yield Planted("broken", homes, nothing.name)
    small = garden.shown("coco_mini_train", "captioning", 3)
    Image.open(small).resize((64, 48)).save(small)
    yield Planted("size", garden.of_picture(small), small.name)
    film, lost = garden.shown("msrvtt_train", "video_captioning", 2), garden.shown("msrvtt_test", "video_captioning", 0)
    film.write_bytes(film.read_bytes()[:1000])
    yield Planted("broken", frozenset(["msrvtt_train"]), film.stem)
    lost.unlink()
    yield Planted("missing", frozenset(["msrvtt_test"]), lost.stem)


def salient_masks(garden: Garden) -> Iterator[Planted]:
    """Masks of another size, empty, of ones, and cut; and a held-out picture under a training picture's name."""
    trained = [sample for sample in garden.samples["duts_sample_train", "salient"]]
    masks = [sample.regions[0].mask.path for sample in trained]
    home = frozenset(["duts_sample_train"])
    Image.open(masks[0]).resize((50, 40), Image.Resampling.NEAREST).save(masks[0])
    yield Planted("size", home, masks[0].stem)
    grey = np.array(Image.open(masks[1]).convert("L"))
    Image.fromarray(grey * 0).save(masks[1])
    yield Planted("empty", home, masks[1].stem)
    ones = np.array(Image.open(masks[2]).convert("L"))
    Image.fromarray((ones > 127).astype(np.uint8)).save(masks[2])
    yield Planted("broken", home, masks[2].stem)
    masks[3].write_bytes(masks[3].read_bytes()[:200])
    yield Planted("broken", home, masks[3].stem)
    held_out, leaking = garden.samples["duts_sample_test", "salient"][0], trained[4]
    shutil.copy(held_out.media[0].path, leaking.media[0].path)
    shutil.copy(held_out.regions[0].mask.path, leaking.regions[0].mask.path)
    yield Planted("leak", home, leaking.id)
    gone = garden.samples["davis2016_sample", "salient"][7].regions[0].mask.path
    gone.unlink()
    yield Planted("dataset", frozenset(["davis2016_sample"]), f"{gone.parent.name}/{gone.stem}")


def label_maps(garden: Garden) -> Iterator[Planted]:
    """A value without a name, colours in place of ids, another size; and a segment that is not painted."""
    paths = {
        part: garden.samples[f"camvid_{part}", "semantic"][1].regions[0].mask.path for part in ("train", "val", "test")
    }
    labels = {part: np.array(Image.open(path)) for part, path in paths.items()}
    labels["train"][5, 5] = 77
    Image.fromarray(labels["train"]).save(paths["train"])
    Image.fromarray(np.repeat(labels["val"][..., None], 3, axis=-1)).save(paths["val"])
    Image.fromarray(labels["test"][:-10]).save(paths["test"])
    for part, kind in (("train", "record"), ("val", "record"), ("test", "size")):
        yield Planted(kind, frozenset([f"camvid_{part}"]), paths[part].stem)
    sample = garden.samples["coco128_val", "res"][0]
    mask = sample.regions[0].mask
    colours = np.array(Image.open(mask.path).convert("RGB"))
    colours[mask.draw()] = 0
    Image.fromarray(colours).save(mask.path)
    yield Planted("empty", frozenset(["coco128_val", "coco128_panoptic_val"]), sample.id.split("/")[1])


def objects(garden: Garden) -> Iterator[Planted]:
    """COCO's boxes beyond the picture and of no width, and a polygon of two points."""
    chosen = garden.samples["coco_mini_train", "res"][10:13]
    home = frozenset(["coco_mini_train"])

    def change(tree):
        far, thin, line = (stated(tree, sample) for sample in chosen)
        far["bbox"][0] += 5000
        thin["bbox"][2] = 0
        line["segmentation"] = [[10, 10, 30, 30]]

    garden.edit("coco_mini/annotations/instances_train2017.json", change)
    for kind, sample in zip(("outside", "empty", "empty"), chosen, strict=True):
        yield Planted(kind, home, sample.id)


def stated(tree: dict, sample) -> dict:
    """The annotation of a sample's first region in COCO's tree."""
    image = next(image for image in tree["images"] if sample.media[0].path.name in image["file_name"])
    names = {category["name"]: category["id"] for category in tree["categories"]}
    found = (note for note in tree["annotations"] if note["image_id"] == image["id"] and not note.get("iscrowd"))
    return next(note for note in found if note["category_id"] == names[sample.regions[0].category])


def references(garden: Garden) -> Iterator[Planted]:
    """REFER's objects: a box somewhere else, half a point, and a box that is no number."""
    changes = {"refcoco": ("frame", elsewhere), "refcoco+": ("record", halve), "refcocog": ("record", unnumbered)}
    for name, (kind, change) in changes.items():
        sample = garden.samples[f"{name}_sample", "res"][-1]
        refs = next((garden.root / "refer" / name).glob("refs*.p"))
        mine = next(ref["ann_id"] for ref in unpickle(refs) if str(ref["image_id"]) == sample.id.split("/")[1])

        def alter(tree, mine=mine, change=change):
            change(next(note for note in tree["annotations"] if note["id"] == mine))

        garden.edit(f"refer/{name}/instances.json", alter)
        yield Planted(kind, frozenset([f"{name}_sample"]), sample.id)


def elsewhere(note: dict) -> None:
    """A box of the same picture, where the object is not: its corners read as width and height would be too large."""
    x, y, _, _ = note["bbox"]
    note["bbox"] = [0, 0, max(x / 2, 6), max(y / 2, 6)]


def halve(note: dict) -> None:
    """An x without its y."""
    note["segmentation"][0] = note["segmentation"][0][:-1]


def unnumbered(note: dict) -> None:
    """JSON that Python writes and reads, and that is no number."""
    note["bbox"][0] = math.nan


def small_sets(garden: Garden) -> Iterator[Planted]:
    """Run lengths of another picture, a way out of the folder, a lost picture, a line that is no object."""
    wrong, out, lost = garden.samples["tiny_coco_train", "res"][:3]
    home = frozenset(["tiny_coco_train"])

    def change(tree):
        stated(tree, wrong)["segmentation"] = {"size": [3, 3], "counts": [9]}
        image = next(image for image in tree["images"] if image["file_name"] == out.media[0].path.name)
        image["file_name"] = "000/../../../../outside.jpg"

    garden.edit("tiny_coco/annotations/instances_train2017.json", change)
    lost.media[0].path.unlink()
    for kind, sample in (("record", wrong), ("record", out), ("missing", lost)):
        yield Planted(kind, home, sample.id)
    stem = garden.shown("coco128_yolo_val", "rec", 0).stem
    text = next((garden.root / "coco128_yolo/object_detection/labels").rglob(f"{stem}.txt"))
    text.write_text(text.read_text() + "0 0.5 half 0.1 0.1\n")
    yield Planted("record", frozenset(["coco128_yolo_val"]), text.name)
    questions = garden.root / "pope/coco_pope_popular.json"
    questions.write_text(questions.read_text()[:-40] + '{"question_id":')
    yield Planted("dataset", frozenset(["pope_popular_sample"]), questions.name)


def dialogues(garden: Garden) -> Iterator[Planted]:
    """A picture that no mark stands for, an answer without a word, a path out of the folder, two questions in a row."""
    many, empty = (garden.samples["sharegpt_sample", "vqa"][number].id for number in (0, 1))

    def change(tree):
        tree[0]["images"] += tree[0]["images"][:1]
        tree[1]["messages"][-1]["content"] = " "
        tree[2]["images"] = ["/etc/hostname"]

    garden.edit("sharegpt_mllm_demo/mllm_demo.json", change)
    for kind, name in (("record", many), ("empty", empty), ("record", "/etc/hostname")):
        yield Planted(kind, frozenset(["sharegpt_sample"]), name)

    def ask_again(tree):
        tree[0]["messages"].insert(0, tree[0]["messages"][0])

    garden.edit("sharegpt_mllm_demo/mllm_video_demo.json", ask_again)
    asked = garden.samples["sharegpt_video_sample", "vqa"][0].id
    yield Planted("record", frozenset(["sharegpt_video_sample"]), asked)


def phrases(garden: Garden) -> Iterator[Planted]:
    """A phrase longer than a row, a box beyond the picture, a phrase without a word."""
    long, far, mute = garden.samples["entities_sample", "rec"][:3]
    file = garden.root / "flickr8k/flickr30k_entities_boxes.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    first = {sample: next(n for n, line in enumerate(lines) if shows(line, sample)) for sample in (far, mute)}
    for line in lines:
        if shows(line, long):
            line["phrase"] = "very " * 3000 + line["phrase"]
    lines[first[far]]["bbox_xyxy"][2] = 9999.0
    lines[first[mute]]["phrase"] = " "
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for kind, sample in (("long", long), ("outside", far), ("empty", mute)):
        yield Planted(kind, frozenset(["entities_sample"]), sample.id)


def shows(line: dict, sample) -> bool:
    """Whether a line of the Entities' file is about a sample."""
    return line["flickr8k_file"] == sample.media[0].path.name
