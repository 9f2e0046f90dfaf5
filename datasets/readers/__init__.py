"""Readers: one file per annotation format. Importing this package registers them all."""

from ullava.datasets.readers import (  # noqa: F401
    coco_captions,
    coco_instances,
    coco_panoptic,
    daquar,
    entities,
    flickr_captions,
    gqa,
    label_map,
    llava_chat,
    msrvtt,
    phrase_boxes,
    pope,
    refer,
    salient_json,
    salient_pairs,
    text_vqa,
    ullava_parts,
    ullava_referring,
    vqa_v2,
    yolo,
)
