"""Writes the embedded world in the very formats that real data use.

    images/000000.png                      every scene
    captions.json                          MS COCO captions
    refs(tiny).p, instances.json           REFER, masks as run lengths; sentences with their keywords
    questions.json, answers.json           VQA v2, ten answers a question
    labels/000000.png, classes.txt         label maps of the shapes; 0 is no class
    labels_fine/000000.png, classes_fine.txt    of colors and shapes (`tiny_world_labels`)
    salient.json, salient/000000.png       u-LLaVA's salient JSON, masks 0 and 255
    chat.json                              LLaVA's conversations, some without a picture
    videos.json, videos/video0.mp4         MSR-VTT

A scene is written by `write_scene`, in any process; its record is what the annotation files say of it.
"""

import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image
from pycocotools import mask as coco

from ullava.datasets.tiny_world import words
from ullava.datasets.tiny_world.labels import CLASSES, FINE, FINE_CLASSES, fine_labels
from ullava.datasets.tiny_world.pixels import draw, draw_motion, masks
from ullava.datasets.tiny_world.scene import SHAPES, SIDE, Scene, sample_motion, sample_scene

FRAMES, RATE = 16, 8  # of a video; frames a second
QUESTIONS, TARGETS, PHRASES = 6, 3, 2  # at most: a scene, a scene, a target
Record = dict[str, Any]


def write_scene(folder: Path, index: int, rng: np.random.Generator) -> Record:
    """Draws one scene, writes its pictures, and returns what its annotations state."""
    scene = sample_scene(rng)
    name, drawn = f"{index:06d}.png", masks(scene)
    save(draw(scene, rng), folder / "images" / name)
    shapes = np.array([SHAPES.index(thing.shape) + 1 for thing in scene.things], np.uint8)
    save((drawn * shapes[:, None, None]).sum(0).astype(np.uint8), folder / "labels" / name)
    save(fine_labels(scene, drawn), folder / FINE / name)
    record: Record = {"index": index, "file": name, "caption": words.caption(scene), "salient": None}
    if scene.salient is not None:
        save(drawn[scene.salient].astype(np.uint8) * 255, folder / "salient" / name)
        record["salient"] = {"reason": words.reason(scene, rng), "tag": scene.things[scene.salient].shape}
    record["objects"] = [instance(scene, i, mask) for i, mask in enumerate(drawn)]
    record["phrases"] = referred(scene, rng)
    asked = {a.question: a for a in (words.ask(scene, rng) for _ in range(2 * QUESTIONS))}
    record["asked"] = [(a.kind, a.question, a.answer) for a in list(asked.values())[:QUESTIONS]]
    return record


def save(pixels: np.ndarray, path: Path) -> None:
    """Writes a PNG, quickly rather than small."""
    Image.fromarray(pixels).save(path, compress_level=1)


def instance(scene: Scene, index: int, mask: np.ndarray) -> Record:
    """COCO's statement of one object, but for its ids."""
    code = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {
        "category_id": SHAPES.index(scene.things[index].shape) + 1,
        "bbox": coco.toBbox(code).tolist(),
        "area": float(coco.area(code)),
        "iscrowd": 0,
        "segmentation": {"size": code["size"], "counts": cast(bytes, code["counts"]).decode()},
    }


def referred(scene: Scene, rng: np.random.Generator) -> dict[int, list[str]]:
    """Phrases of the things that are referred to: ones that something else is confused with."""
    targets = {}
    for index in rng.permutation(len(scene.things)).tolist():
        if len(targets) < TARGETS and scene.has_distractors(index):
            phrases = dict.fromkeys(words.phrase(scene, index, rng) for _ in range(PHRASES))
            if None not in phrases:
                targets[index] = list(phrases)
    return targets


def write_video(folder: Path, index: int, rng: np.random.Generator) -> Record:
    """Draws one motion, writes its video, and returns its captions."""
    import av

    motion = sample_motion(rng)
    with av.open(str(folder / "videos" / f"video{index}.mp4"), "w") as file:
        stream = file.add_stream("libx264", rate=RATE, options={"crf": "12", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt, stream.codec_context.thread_count = SIDE, SIDE, "yuv420p", 1
        for frame in draw_motion(motion, FRAMES, rng):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode())
    return {"index": index, "captions": words.motion_captions(motion)}


def write_annotations(
    folder: Path, split: str, scenes: Sequence[Record], videos: Sequence[Record], rng: np.random.Generator
) -> None:
    """Writes all annotation files of a split."""
    info = {"description": f"the embedded world, {split}", "version": "1.0"}
    images = [{"id": s["index"], "file_name": s["file"], "height": SIDE, "width": SIDE} for s in scenes]
    captions = [{"id": s["index"], "image_id": s["index"], "caption": s["caption"]} for s in scenes]
    dump(folder / "captions.json", {"info": info, "images": images, "annotations": captions})
    objects, refs = refer(scenes, split.removeprefix("tiny_"))
    shapes = [{"id": i + 1, "name": shape, "supercategory": "shape"} for i, shape in enumerate(SHAPES)]
    dump(folder / "instances.json", {"info": info, "images": images, "annotations": objects, "categories": shapes})
    (folder / "refs(tiny).p").write_bytes(pickle.dumps(refs, protocol=2))
    questions, answers = vqa(scenes)
    dump(folder / "questions.json", {"info": info, "questions": questions})
    dump(folder / "answers.json", {"info": info, "annotations": answers})
    dump(folder / "salient.json", [salient(s) for s in scenes if s["salient"]])
    dump(folder / "chat.json", chat(scenes, rng))
    (folder / "classes.txt").write_text("\n".join(SHAPES) + "\n", encoding="utf-8")
    (folder / FINE_CLASSES).write_text("\n".join(CLASSES) + "\n", encoding="utf-8")
    dump(folder / "videos.json", msrvtt(videos, {"train": "train", "val": "validate"}.get(split[5:], "test")))


def dump(path: Path, tree: Any) -> None:
    """Writes JSON."""
    path.write_text(json.dumps(tree), encoding="utf-8")


def refer(scenes: Sequence[Record], split: str) -> tuple[list[Record], list[Record]]:
    """COCO's objects, and REFER's references to some of them."""
    objects, refs = [], []
    sentence = 0
    for scene in scenes:
        for i, stated in enumerate(scene["objects"]):
            objects.append({"id": len(objects) + 1, "image_id": scene["index"], **stated})
            phrases = scene["phrases"].get(i, [])
            if phrases:
                shape = SHAPES[stated["category_id"] - 1]
                sentences = [
                    {"sent_id": sentence + k, "sent": text, "raw": text, "tokens": text.split(), "keyword": shape}
                    for k, text in enumerate(phrases)
                ]
                refs.append(
                    {
                        "ref_id": len(refs),
                        "ann_id": len(objects),
                        "image_id": scene["index"],
                        "file_name": scene["file"],
                        "category_id": stated["category_id"],
                        "split": split,
                        "sentences": sentences,
                        "sent_ids": [s["sent_id"] for s in sentences],
                    }
                )
                sentence += len(phrases)
    return objects, refs


def vqa(scenes: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """VQA v2's questions and answers; ten people agree."""
    questions, answers = [], []
    for scene in scenes:
        for k, (kind, question, answer) in enumerate(scene["asked"]):
            ids = {"question_id": scene["index"] * 100 + k, "image_id": scene["index"]}
            sort = "yes/no" if answer in ("yes", "no") else "number" if kind == "count" else "other"
            ten = [{"answer_id": n + 1, "answer": answer, "answer_confidence": "yes"} for n in range(10)]
            questions.append({**ids, "question": question})
            answers.append(
                {**ids, "question_type": kind, "answer_type": sort, "multiple_choice_answer": answer, "answers": ten}
            )
    return questions, answers


def salient(scene: Record) -> Record:
    """u-LLaVA's record of a salient object."""
    paths = {"image_path": f"images/{scene['file']}", "label_path": f"salient/{scene['file']}"}
    return {"id": scene["index"], **paths, "height": SIDE, "width": SIDE, "gpt": scene["salient"]}


def chat(scenes: Sequence[Record], rng: np.random.Generator) -> list[Record]:
    """LLaVA's conversations: about every fourth picture, and one in five without a picture."""
    records = []
    for scene in scenes[::4]:
        turns = [("Describe the image.", scene["caption"]), *((q, a) for _, q, a in scene["asked"][:2])]
        records.append(
            {"id": f"scene{scene['index']}", "image": scene["file"], "conversations": speak(turns, "<image>\n")}
        )
        if rng.random() < 0.2:
            records.append({"id": f"text{scene['index']}", "conversations": speak([words.pick(words.CHAT, rng)])})
    return records


def speak(turns: Sequence[tuple[str, str]], before: str = "") -> list[Record]:
    """Turns as LLaVA writes them."""
    utterances = [(speaker, text) for turn in turns for speaker, text in zip(("human", "gpt"), turn, strict=True)]
    return [{"from": who, "value": before * (i == 0) + text} for i, (who, text) in enumerate(utterances)]


def msrvtt(videos: Sequence[Record], split: str) -> Record:
    """MSR-VTT's videos and sentences."""
    clips, sentences = [], []
    for video in videos:
        name = f"video{video['index']}"
        clips.append(
            {"id": video["index"], "video_id": name, "split": split, "start time": 0.0, "end time": FRAMES / RATE}
        )
        for text in video["captions"]:
            sentences.append({"sen_id": len(sentences), "video_id": name, "caption": text})
    return {"info": {"description": "the embedded world"}, "videos": clips, "sentences": sentences}
