"""Lays a drawn world out as LISA's README has its sets, and as LaSagnA's program looks for them.

A recipe of the family at full size can be tried on it: `lay_out(world, data_root(), as_lisa)`. Each set has all
pictures of the world; of the references every other picture is held out, as "val".
"""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from ullava.datasets.readers.regions.refer import unpickle
from ullava.datasets.tables import read_object
from ullava.datasets.tiny_world import originals
from ullava.datasets.tiny_world.files import dump
from ullava.datasets.tiny_world.layouts import SPLITS_BY, chats, copy

SETS = ("refcoco", "refcoco+", "refcocog", "refclef")


def refer(world: Path, folder: Path) -> None:
    """REFER's own files, of which every other picture is the val split."""
    refs = [ref | {"split": ("train", "val")[ref["image_id"] % 2]} for ref in unpickle(world / "refs(tiny).p")]
    for name in SETS:
        (folder / name).mkdir(parents=True)
        shutil.copy(world / "instances.json", folder / name)
        (folder / name / f"refs({SPLITS_BY.get(name, 'unc')}).p").write_bytes(pickle.dumps(refs, protocol=2))


def reason_seg(world: Path, root: Path) -> None:
    """ReasonSeg with its explanations, and KeySeg's list of them with keywords."""
    home = root / "reason_seg/ReasonSeg"
    for split in ("train", "val", "test"):
        copy(world / "images", home / split)
        for path in (world / "reason_seg").glob("*.json"):
            shutil.copy(path, home / split)
    explanations = json.loads((world / "reason_seg/explanatory/train.json").read_text(encoding="utf-8"))
    for file in ("explanatory/train.json", "explanatory_key/keyword_outputs.json"):
        (home / file).parent.mkdir()
        dump(home / file, explanations)


def words(world: Path, root: Path) -> None:
    """Writes MS COCO's captions and VQA v2's questions, which the recipes train and evaluate on beside masks."""
    copy(world / "images", root / "coco/val2017")
    (root / "coco/annotations").mkdir(parents=True)
    shutil.copy(world / "captions.json", root / "coco/annotations/captions_val2017.json")
    (root / "vqav2").mkdir()
    shutil.copy(world / "questions.json", root / "vqav2/v2_OpenEnded_mscoco_val2014_questions.json")
    shutil.copy(world / "answers.json", root / "vqav2/v2_mscoco_val2014_annotations.json")
    (root / "coco2014/val2014").mkdir(parents=True)
    for image in read_object(world / "captions.json")["images"]:
        name = f"COCO_val2014_{image['id']:012d}.jpg"
        Image.open(world / "images" / image["file_name"]).save(root / "coco2014/val2014" / name)


def as_lisa(world: Path, root: Path) -> None:
    """LISA's tree (github.com/dvlab-research/LISA#dataset), which KeySeg and seed 000 share."""
    refer(world, root / "refer_seg")
    for folder in ("mscoco/images/train2014", "saiapr_tc-12"):
        copy(world / "images", root / "refer_seg/images" / folder)
    copy(world / "labels", root / "cocostuff/train2017")
    for split in ("training", "validation"):
        copy(world / "images", root / f"ade20k/images/{split}")
        copy(world / "labels", root / f"ade20k/annotations/{split}")
    originals.mapillary(world, root)
    (root / "llava_dataset").mkdir()
    chats(world, root / "llava_dataset/llava_instruct_150k.json")


def as_lasagna(world: Path, root: Path) -> None:
    """LaSagnA's, where it differs: its code's places, not its README's."""
    refer(world, root / "refer")
    refer(world, root / "refer_seg")  # RefCLEF's pictures it does not move
    copy(world / "images", root / "refer_seg/images/saiapr_tc-12")
    copy(world / "images", root / "coco/train2014")
    copy(world / "labels", root / "coco/stuffthingmaps_trainval2017/train2017")
    for split in ("training", "validation"):
        copy(world / "images", root / f"ADEChallengeData2016/images/{split}")
        copy(world / "labels", root / f"ADEChallengeData2016/annotations/{split}")
    originals.mapillary(world, root / "moved")
    (root / "moved/mapillary").rename(root / "mapillary_vistas")
    (root / "mapillary_vistas/training/v1.2/labels").rename(root / "mapillary_vistas/training/labels")
    (root / "moved").rmdir()
    chats(world, root / "llava_instruct_150k.json")


def lay_out(world: Path, root: Path, sets: Callable[[Path, Path], None]) -> None:
    """Everything that the family's recipes name; `sets` is as_lisa or as_lasagna."""
    sets(world, root)
    copy(world / "images", root / "coco/train2017")
    originals.cityscapes(world, root, "train")
    originals.open_images(world, root)
    originals.pascal_part(world, root)
    for split in ("train", "val"):
        originals.paco(world, root, split)
    reason_seg(world, root)
    words(world, root)
    for folder in ("imgs_from_stablediffusion", "imgs_from_stablediffusion_masks"):
        copy(world / "parts", root / folder)
