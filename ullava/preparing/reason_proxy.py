"""Questions of several hops about real pictures, as ReasonSeg lays out its own.

RefCOCOs' expressions need two steps and more ("the person to the right of the boy who ..."), and 18 of them have a mask
of MS COCO. ReasonSeg's pictures may be had from their authors only, so these stand in to try a reader or a task on real
pictures; scores on them are no ReasonSeg's.
"""

import json
import shutil
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ullava.configs.load import data_root
from ullava.datasets import masks, tracing
from ullava.datasets.readers.files import inside
from ullava.datasets.tables import read_records
from ullava.preparing.base import PREPARATIONS, Kind, fresh, progress


@PREPARATIONS.register("reason_proxy")
class ReasonProxy(Kind):
    """Writes RefCOCOs' expressions of several hops in ReasonSeg's layout, to stand in for it."""

    reads = "refcocos_test.json (github.com/kuoyang1999/refcocos-annotator), coco_mask_matches.json, and the pictures"
    writes = "<output>/<split>/<picture>_<number>.{jpg,json}, as ReasonSeg has them; every expression a picture"

    def ask(self, parser: ArgumentParser) -> None:
        parser.add_argument("source", type=Path, help="folder of refcocos_test.json and coco_mask_matches.json")
        parser.add_argument("--images", type=Path, required=True, help="folder that holds the pictures, at any depth")
        parser.add_argument("--split", default="val", help="default: %(default)s")
        parser.add_argument("--output", type=Path, help="default: reason_seg/ReasonProxy under the data root")

    def prepare(self, options: Namespace) -> str:
        output = (options.output or data_root() / "reason_seg" / "ReasonProxy") / options.split
        expressions = list(read_records(options.source / "refcocos_test.json"))
        matches = list(read_records(options.source / "coco_mask_matches.json"))
        stated = {(Path(record["file_name"]).stem, record["normal_caption"]): record for record in expressions}
        pictures = {path.stem: path for path in sorted(options.images.rglob("*.jpg"))}
        with fresh(output) as scratch:
            scratch.mkdir()
            for name, picture, record in progress(records(matches, stated, pictures), "writing", total=len(matches)):
                shutil.copyfile(picture, inside(scratch, f"{name}.jpg", str(output)))
                (scratch / f"{name}.json").write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
        empty = sum(not record["solution"] for record in expressions)
        boxed = len(expressions) - empty - len(matches)
        return (
            f"wrote {output}: {len(matches)} expressions with masks; left out: {boxed} that have a box only, and "
            f"{empty} of things that are not there, for which ReasonSeg has no form"
        )


def records(matches: list[dict], stated: dict, pictures: dict[str, Path]) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """Yields (name, picture, record) of each expression that has a mask.

    Raises:
        FileNotFoundError: a picture is missing.
        ValueError: an expression that the annotations do not have, or a match without a mask.
    """
    for number, match in enumerate(matches):
        stem = f"{match['image_id']:012d}"
        expression = stated.get((stem, match["caption"]))
        if expression is None:
            raise ValueError(f"coco_mask_matches.json: {match['caption']!r} of {stem} is not in refcocos_test.json")
        if stem not in pictures:
            raise FileNotFoundError(f"{stem}.jpg: no such picture below --images; get MS COCO's val2017")
        size = (expression["height"], expression["width"])
        mask = masks.from_coco(match["annotation"]["segmentation"], size)
        if mask is None:
            raise ValueError(f"coco_mask_matches.json: {match['caption']!r} of {stem}: expected a mask, found none")
        shapes = [
            {"label": "target", "points": points(outline), "shape_type": "polygon", "group_id": None, "flags": {}}
            for outline in tracing.polygons(mask.draw())
        ]
        record = {
            "text": [match["caption"]], "is_sentence": True, "shapes": shapes, "imagePath": f"{stem}_{number}.jpg",
            "imageHeight": size[0], "imageWidth": size[1], "hops": expression["categories"].get("hops"),
        }  # fmt: skip
        yield f"{stem}_{number}", pictures[stem], record


def points(outline: list[int]) -> list[list[int]]:
    """Pixels (x, y) along the inner side of an outline that runs clockwise along pixels' edges.

    ReasonSeg's shapes own the pixels of their outlines: an edge that runs down or to the left stands one pixel too far.
    """
    corners = list(zip(outline[::2], outline[1::2], strict=True))
    pixels = []
    for (x0, y0), (x, y), (x1, y1) in zip(corners[-1:] + corners, corners, corners[1:] + corners[:1], strict=False):
        pixels.append([x - (y > y0 or y1 > y), y - (x < x0 or x1 < x)])
    return pixels
