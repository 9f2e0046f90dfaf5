"""`ullava check --depth`: each of the faults planted in a copy of the real samples is found by record, and no other."""

import json
import shutil
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.shared import SHARED
from ullava.checking.check import check, check_whole
from ullava.checking.data_issues import ISSUES
from ullava.checking.datasets import Inspected, balance, deeper, duplicates, inspect, issues
from ullava.checking.records import Inspector, Looked
from ullava.checking.row_checks import Opened
from ullava.commands.check import main
from ullava.configs.load import CONFIGS, ConfigError, read_yaml
from ullava.configs.schema import DataRow
from ullava.datasets.readers.base import Reader
from ullava.datasets.structures import Picture, Region, Sample
from ullava.preparing.__main__ import main as prepare
from ullava.tasks.base import TASKS

planted = SimpleNamespace(**run_path(str(Path(__file__).with_name("planted.py"))))
ROOT = Path(__file__).parents[3]
FOUNDATIONS = ROOT / "configs" / "real" / "foundations"
ASKED = {
    "label_map": "semantic", "salient_pairs": "salient", "refer": "res", "flickr_captions": "captioning",
    "daquar": "vqa", "msrvtt": "video_captioning", "phrase_boxes": "rec", "pope": "vqa", "llava_chat": "vqa",
    "coco_instances": "res",
}  # fmt: skip
PARTS = (
    "coco_mini", "flickr8k", "refer", "duts", "camvid", "daquar", "msrvtt", "coco128_yolo", "tiny_coco",
    "ade20k_sample", "voc_sample", "davis2016", "pope", "sharegpt_mllm_demo", "refcocos",
)  # fmt: skip


def rows() -> list[tuple[str, str]]:
    """Every real sample of the catalogue, as (dataset, task)."""
    found = []
    for name in ("real", "more"):
        for dataset, entry in read_yaml(CONFIGS / "datasets" / f"{name}_samples.yaml").items():
            tasks = entry.get("by_task") or [ASKED[entry["reader"]]]
            found += [(dataset, task) for task in tasks]
    return found


def write(folder: Path, trained, evaluate=(), **sections) -> str:
    """A run over rows (dataset, task), on foundations without weights."""
    model = {
        "llm": str(FOUNDATIONS / "llm"), "vision": {"tower": str(FOUNDATIONS / "clip")}, "projector": "mlp2",
        "conversation": "simple", "heads": {"mask": {"sam": str(FOUNDATIONS / "sam")}, "box": {}},
        "from_scratch": ["llm", "vision", "sam"],
    }  # fmt: skip
    tree = {
        "output_dir": str(folder / "run"), "model": model, "learn": {"heads": 1e-3, "projector": 1e-3},
        "data": [{"dataset": dataset, "task": task} for dataset, task in trained],
        "evaluate": [{"dataset": dataset, "task": task} for dataset, task in evaluate],
    }  # fmt: skip
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(tree | sections, sort_keys=False))
    return str(path)


def found_in(folder: Path) -> dict:
    return json.loads((folder / "run" / "check" / "check.json").read_text())


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the real samples, named as the shared material is."""
    shared = SHARED / "realdata"
    if not all((shared / part).is_dir() for part in PARTS):
        pytest.skip(f"{shared} is absent")
    folder = tmp_path_factory.mktemp("shared")
    for part in PARTS:
        shutil.copytree(shared / part, folder / "realdata" / part)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ULLAVA_SHARED", str(folder))
        patch.setenv("ULLAVA_CACHE", str(folder / "cache"))
        yield folder / "realdata"


def of_several_hops(realdata: Path) -> dict[str, dict]:
    """Catalogue entries of RefCOCOs' expressions, and of those with masks as ReasonSeg's."""
    folder = realdata / "refcocos"
    (folder / "images").mkdir()
    for paths in json.loads((folder / "image_paths_in_this_pack.json").read_text()).values():
        shutil.copy(realdata / paths[0], folder / "images")
    prepare(["reason_proxy", str(folder), "--images", str(folder / "images"), "--output", str(folder / "proxy")])
    boxes = {"reader": "phrase_boxes", "annotations": str(folder / "refcocos_test.json"), "picture": "file_name"}
    boxes |= {"images": str(folder / "images"), "phrase": "normal_caption", "box": "solution", "targets_only": True}
    return {"refcocos_sample": boxes, "hops": {"reader": "reason_seg", "root": str(folder / "proxy"), "folder": "val"}}


@pytest.mark.shared
@pytest.mark.slow
def test_every_planted_fault_is_found_by_record_and_no_other(copy, tmp_path):
    held_out = planted.HELD_OUT.items()
    data = [row for row in rows() if row not in held_out] + [("refcocos_sample", "rec"), ("hops", "reasoning")]
    longer = {"max_length": 2048}  # LaSagnA's questions name all classes of a set
    path = write(tmp_path, data, held_out, datasets=of_several_hops(copy), training=longer)
    faults = list(planted.plant(planted.Garden.of(copy, rows())))
    assert len(faults) == 35 and {fault.kind for fault in faults} == ISSUES.keys() - {"duplicate", "task"}
    with pytest.raises(ConfigError):
        check_whole(path, depth="all")
    found = found_in(tmp_path)
    opened = {row["dataset"] for row in found["datasets"]}
    broken = [fault for fault in faults if fault.kind == "dataset"]
    assert len(found["faults"]) == len(broken) and not opened & {name for fault in broken for name in fault.datasets}
    assert all(any(fault.record in line for line in found["faults"]) for fault in broken)
    wanted = [(fault, name) for fault in faults if fault.kind != "dataset" for name in fault.datasets]
    missed = [one for one in wanted if not any(is_of(finding, *one) for finding in found["findings"])]
    unplanted = [finding for finding in found["findings"] if not any(is_of(finding, *one) for one in wanted)]
    assert not missed and not unplanted
    page = (tmp_path / "run" / "check" / "check.html").read_text()
    bad = {name: {finding["record"] for finding in found["findings"] if finding["dataset"] == name} for name in opened}
    for row in found["datasets"]:
        assert row["records"] == len(bad[row["dataset"]]) or f"{row['place']}: {row['dataset']}, {row['task']}<" in page


def is_of(finding: dict, fault, dataset: str) -> bool:
    named = fault.record in finding["record"] or fault.record in finding["said"]
    return (finding["kind"], finding["dataset"]) == (fault.kind, dataset) and named


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Two sets of four pictures each, the last one of `toy` is also the first of `val`; and a way to check them."""
    monkeypatch.setenv("ULLAVA_CACHE", str(tmp_path / "cache"))
    own, rng = {}, np.random.default_rng(0)
    noise = rng.integers(0, 255, (7, 24, 32, 3), np.uint8)
    for name, numbers in {"toy": (0, 1, 2, 3), "val": (3, 4, 5, 6)}.items():
        folder = tmp_path / name
        folder.mkdir()
        records = []
        for number in numbers:
            Image.fromarray(noise[number]).save(folder / f"{number}.png")
            box = {"height": 24, "width": 32, "category": "cat" if number else "dog", "bbox": [4, 4, 8, 8]}
            ring = {"segmentation": [[4, 4, 12, 4, 12, 12, 4, 12]], "sentences": ["the cat", "that cat"]}
            records.append(box | ring | {"image_path": f"{number}.png"})
        (folder / "refs.json").write_text(json.dumps(records))
        own[name] = {"reader": "ullava_referring", "annotations": str(folder / "refs.json"), "images": str(folder)}

    def run(data=("toy",), evaluate=(), *, depth="all", workers=1, **sections):
        rows = [{"dataset": name, "task": "res"} if isinstance(name, str) else name for name in data]
        sections = {"data": rows, "datasets": own} | sections
        path = write(tmp_path, [], [(name, "res") for name in evaluate], **sections)
        try:
            check_whole(path, depth=depth, sample=2, workers=workers)
        except ConfigError as error:
            return found_in(tmp_path) | {"message": str(error)}
        return found_in(tmp_path)

    return run


def test_what_is_trained_on_and_evaluated_is_said_until_it_is_excluded(toy, tmp_path):
    found = toy(evaluate=("val",))
    (leak,) = found["findings"]
    assert leak["kind"] == "leak" and not leak["fails"] and "exclude: [val]" in leak["said"]
    found = toy(data=({"dataset": "toy", "task": "res", "exclude": ["val"]},), evaluate=("val",))
    assert not found["findings"] and (found["datasets"][0]["records"], found["datasets"][0]["excluded"]) == (3, 1)
    assert "data[0]: exclude leaves out 1 records" in check(tmp_path / "run.yaml")


def test_paths_decodes_nothing_and_a_sample_is_spread(toy, tmp_path):
    (tmp_path / "toy" / "1.png").write_bytes(b"no picture")
    assert not toy(depth="paths")["findings"]
    assert [row["looked_at_whole"] for row in toy(depth="sample")["datasets"]] == [2]
    assert [finding["kind"] for finding in toy(depth="all")["findings"]] == ["broken"]
    (tmp_path / "toy" / "2.png").unlink()
    assert [finding["kind"] for finding in toy(depth="paths")["findings"]] == ["missing"]
    assert deeper(11, "sample", 3).nonzero()[0].tolist() == [0, 5, 10]
    assert deeper(2, "sample", 3).all() and not deeper(9, "paths", 3).any()


def test_lengths_balance_and_examples(toy, tmp_path):
    rows = ({"dataset": "toy", "task": "res", "portion": 2.0}, {"dataset": "toy", "task": "rec"})
    found = toy(data=rows)
    assert found["tasks"] == {"res": 8, "rec": 4}
    assert found["classes"] == {"cat": 9.0, "dog": 3.0}  # three passes over three cats and a dog
    assert all(row["longest"] > 64 and row["share_over_max_length"] == 0 for row in found["datasets"])
    page = (tmp_path / "run" / "check" / "check.html").read_text()
    assert page.count("<figure>") == 2 and "as SAM sees it" in page and "data:image/jpeg" in page
    assert page.count(">[SEG]</i>") == 2 and "<b>" in page
    found = toy(data=rows, training={"max_length": 80})
    assert {finding["kind"] for finding in found["findings"]} == {"long"} and "max_length 80" in found["message"]


def test_without_the_models_folders_records_are_looked_at_and_shown(toy, tmp_path):
    (tmp_path / "toy" / "0.png").write_bytes(b"no picture")
    found = toy(model={"llm": "nowhere", "vision": {"tower": "nowhere"}, "heads": {"mask": {"sam": "no"}, "box": {}}})
    assert [finding["kind"] for finding in found["findings"]] == ["broken"]
    assert any("model.llm: nowhere: no such folder" in fault for fault in found["faults"])
    assert "nowhere" in found["note"] and found["datasets"][0]["longest"] is None
    page = (tmp_path / "run" / "check" / "check.html").read_text()
    assert page.count("<figure>") == 1 and "[SEG]" in page


def test_many_processes_find_the_same(toy, tmp_path):
    (tmp_path / "toy" / "1.png").write_bytes(b"no picture")
    alone = toy(data=("toy", "val"))
    assert toy(data=("toy", "val"), workers=2) == alone


def test_the_command_writes_files_where_a_depth_is_named(toy, tmp_path, capsys):
    toy()
    shutil.rmtree(tmp_path / "run")
    main([str(tmp_path / "run.yaml")])
    assert "is sound" in capsys.readouterr().out and not (tmp_path / "run").exists()
    main([str(tmp_path / "run.yaml"), "--sample", "1", "--workers", "2", "--output", str(tmp_path)])
    said = capsys.readouterr().out
    assert "4 records in 1 rows, 1 of them looked at whole: 0 faults." in said and "batch   16 a device" in said
    assert json.loads((tmp_path / "check.json").read_text())["sample"] == 1 and (tmp_path / "check.html").is_file()


class Twins(Reader):
    """Two records of one id, about a picture of 24 x 32 that nobody opens."""

    def __init__(self, path: Path, *regions: Region):
        self.path, self.regions = path, regions

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return Sample("toy/7", (Picture(self.path, (24, 32)),), self.regions)


def look(reader, task="res"):
    opened = Opened("data[0]", DataRow(dataset="toy", task=task), TASKS.build(task, {}), reader)
    return inspect([opened], None, depth="paths")


def test_an_id_that_stands_twice(tmp_path):
    (tmp_path / "a.png").touch()
    (found,) = issues(look(Twins(tmp_path / "a.png")))
    assert (found.kind, found.record, found.message) == ("duplicate", "toy/7", "2 records have this id: 0, 1")


def test_a_record_that_its_task_cannot_ask_about(tmp_path):
    Image.new("RGB", (32, 24)).save(tmp_path / "a.png")
    inspector = Inspector(DataRow(dataset="toy", task="res"), Twins(tmp_path / "a.png"), TASKS.build("res", {}))
    (found,) = inspector(0, True).issues
    assert found.kind == "task" and found.record == "toy/7"


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ((0, 0, 32, 24), None), ((-1, 0, 33, 25), None), ((-1.5, 0, 8, 8), "outside"), ((0, 0, 33.5, 8), "outside"),
        ((4, 4, 4, 8), "empty"), ((8, 8, 4, 12), "empty"),
    ],
)  # fmt: skip
def test_where_a_box_may_lie(tmp_path, box, kind):
    (tmp_path / "a.png").touch()
    reader = Twins(tmp_path / "a.png", Region(("it",), box=box))
    found = Inspector(DataRow(dataset="toy", task="rec"), reader, TASKS.build("rec", {}))(0, False).issues
    assert [finding.kind for finding in found] == ([kind] if kind else [])


def test_balance_counts_what_an_epoch_draws():
    looked = (Looked(0, "a/0", classes=(("cat", 2),)), Looked(1, "a/1", classes=(("dog", 1), ("cat", 1))))
    opened = Opened("data[0]", DataRow(dataset="a", task="res"), TASKS.build("res", {}), [0, 1])
    tasks, classes = balance([Inspected(opened, None, looked)], [5])  # 2.5 passes
    assert tasks == {"res": 5} and classes == {"cat": 7.5, "dog": 2.5}
    assert not list(duplicates(Inspected(opened, None, looked)))


def test_the_plain_check_says_which_record_cannot_be_read(toy, tmp_path):
    records = json.loads((tmp_path / "toy" / "refs.json").read_text())
    records[2]["image_path"] = "../x.png"
    (tmp_path / "toy" / "refs.json").write_text(json.dumps(records))
    toy(depth="paths")
    with pytest.raises(ConfigError, match="1 of 4 records cannot be read, e.g. toy/"):
        check(tmp_path / "run.yaml")
