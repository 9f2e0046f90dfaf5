"""u-LLaVA's datasets: a builder's key, its files and its questions become a catalogue entry and a row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ullava.configs.legacy_words import Notes, place
from ullava.configs.registry import nearest

ULLAVA = "https://huggingface.co/datasets/jinxu95/ullava"
LLAVA = "https://huggingface.co/liuhaotian"
BUILT_IN = ("SEG.json", "SS.json")  # u-LLaVA's lists of questions; tasks/phrases/phrasebook.py has both releases'


@dataclass(frozen=True, slots=True)
class Builder:
    """What one of u-LLaVA's builders reads and asks.

    Attributes:
        reader, task: ours.
        options: of the reader, beside its files.
        folder: the reader's option for `image_dir`.
    """

    reader: str
    task: str
    options: Mapping[str, Any] = field(default_factory=dict)
    folder: str = "images"
    url: str = ULLAVA


CHAT = Builder("llava_chat", "vqa", url=LLAVA)
REFERRING, SALIENT = Builder("ullava_referring", "res"), Builder("salient_json", "salient")
PARTS = Builder("ullava_parts", "semantic")
TRAINED = {
    **dict.fromkeys(("llava", "llava_cc3m", "llava_instruct", "llava_seg", "sqa"), CHAT),
    "tgif": Builder("llava_chat", "vqa", folder="videos"),
    **dict.fromkeys(("refcoco", "refcoco+", "refcocog", "refclef"), REFERRING),
    "ade20k": Builder("ullava_semantic", "semantic", {"first_id": 1, "void": [0]}),
    "cocostuff": Builder("ullava_semantic", "semantic", {"void": [255]}),
    **dict.fromkeys(("paco_lvis", "pascal_part"), PARTS),
    **dict.fromkeys(("msra_10k", "msra_b"), SALIENT),
}
SPLITS = (
    *(f"{name}_{split}" for name in ("refcoco", "refcoco+") for split in ("val", "testA", "testB")),
    "refcocog_val", "refcocog_test",
)  # fmt: skip
ASKED = {**dict.fromkeys(SPLITS, REFERRING), **dict.fromkeys(("dut_omron", "duts_te", "ecssd"), SALIENT)}
BUILDERS = TRAINED | ASKED


def dataset_entry(name: str, section: Mapping[str, Any], notes: Notes) -> dict[str, Any] | None:
    """The catalogue entry of a dataset; None where it has a fault, which is noted."""
    build_info = section.get("build_info") or {}
    if name not in BUILDERS:
        notes.refuse(f"no dataset {name!r} in u-LLaVA; {nearest(name, BUILDERS)}")
        return None
    if missing := [key for key in ("anno_dir", "image_dir") if not build_info.get(key)]:
        notes.refuse(*(f"dataset.{name}.build_info: key {key!r} is missing" for key in missing))
        return None
    builder = BUILDERS[name]
    files = {"annotations": place(build_info["anno_dir"]), builder.folder: place(build_info["image_dir"])}
    return {"reader": builder.reader, **files, **builder.options, "url": builder.url}


def training_row(name: str, section: Mapping[str, Any], release: str, notes: Notes) -> dict[str, Any] | None:
    """The row of `data:`; None where u-LLaVA draws nothing from it."""
    build_info, builder = section.get("build_info") or {}, BUILDERS.get(name)
    portion = build_info.get("portion", 1.0)
    if builder is None or not portion:
        return None
    if portion > 1:
        notes.say(f"dataset.{name}.portion {portion:g} never had an effect in u-LLaVA; here it repeats the records")
    elif portion < 1:
        notes.say("a portion below 1 was one fixed subset in u-LLaVA; here each epoch draws the next part")
    row: dict[str, Any] = {"dataset": name, "task": builder.task}
    row |= {"portion": portion} if portion != 1 else {}
    options = questions(name, build_info.get("template_root"), builder, release, notes)
    return row | ({"options": options} if options else {})


def questions(name: str, path: str | None, builder: Builder, release: str, notes: Notes) -> dict[str, Any]:
    """Options that ask the questions of a `template_root`, and answer as the release does."""
    if builder.task == "vqa":
        if path:
            notes.say(f"dataset.{name}.template_root never had an effect in u-LLaVA: its records bring their questions")
        return {}
    if path and Path(path).is_file():
        form = {"form": release} if release != "ullava" else {}
        return {"phrases": str(Path(path)), **form}
    if path and Path(path).name not in BUILT_IN:
        notes.refuse(f"dataset.{name}.build_info: template_root: {path}: no such file")
        return {}
    if path:
        notes.say(f"template_root {path} is not there; the release's own questions are built in (phrases: {release})")
    return {"phrases": release} if release != "ullava" else {}


def evaluation_rows(sections: Mapping[str, Any], release: str, detector: str | None, notes: Notes) -> dict[str, Any]:
    """Our `evaluate:` and `datasets:`.

    Args:
        detector: u-LLaVA's `grounding_path`; with it boxes are scored, found by that GroundingDINO and by the mask.
    """
    rows, entries = [], {}
    options = {"options": {"phrases": release}} if release != "ullava" else {}
    grounding = {"weights": str(Path(detector))} if detector else {}
    if detector and Path(detector).suffix == ".pth":
        grounding["text"] = "model_zoo/bert-base-uncased"
        notes.say("GroundingDINO's text encoder, which u-LLaVA downloads, is looked for in model_zoo/bert-base-uncased")
    for name, section in sections.items():
        entry = dataset_entry(name, section, notes)
        if entry is None:
            continue
        entries[name] = entry
        build_info = section["build_info"]
        if build_info.get("template_root"):
            notes.say(f"eval_dataset.{name}.template_root never had an effect in u-LLaVA: one question is asked of all")
        if (portion := build_info.get("portion", 1.0)) != 1:
            meant = "drew a part at random" if portion < 1 else "never had an effect in u-LLaVA"
            notes.say(f"eval_dataset.{name}.portion {portion:g} {meant}; here all is asked, or `limit` of it")
        row = {"dataset": name, "task": BUILDERS[name].task, **options}
        sources = [{"grounding": grounding}, "mask2box"] if detector else [None]
        rows += [row | ({"boxes": source} if source else {}) for source in sources]
    return {"evaluate": rows, "datasets": entries}
