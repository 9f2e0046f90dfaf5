"""Masks drawn by a model: what it is asked, what is kept, and that a stopped run goes on."""

import json

import numpy as np
import pytest
from PIL import Image

from ullava.datasets.readers.regions.part_folders import PartFolders
from ullava.datasets.structures import Answer
from ullava.models import answering
from ullava.preparing.__main__ import main


class Stub:
    """A model that draws the left half of a pot's parts, nothing of other objects, and breaks down when told to."""

    def __init__(self):
        self.questions, self.breaks = [], False

    def __call__(self, dialogues, *, given):
        if self.breaks:
            raise RuntimeError("stopped")
        return [self.answer(dialogue) for dialogue in dialogues]

    def answer(self, dialogue):
        self.questions.append(dialogue.turns[0].question)
        if "pot" not in dialogue.id:
            return Answer("I see none.", {"mask": ()}, {"mask": ()})
        mask = np.tile((np.arange(6) < 3).astype(np.float32), (4, 1))
        return Answer("[SEG]", {"mask": (mask,)}, {"mask": (0.9,)})


@pytest.fixture
def stub(monkeypatch):
    found = Stub()
    monkeypatch.setattr(answering, "open_answerer", lambda *_, **__: found)
    return found


@pytest.fixture
def images(tmp_path):
    for name in ("handle/pot/0", "handle/pot/1", "lid/pot/0", "handle/mug/0"):
        path = tmp_path / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(path)
    return tmp_path / "images"


def prepare(images, output, *more):
    main(["pseudo_masks", "model", str(images), str(output), "--phrases", "ullava", "--batch_size", "2", *more])


def test_kept_masks_are_read_with_their_pictures(stub, images, tmp_path, capsys):
    prepare(images, tmp_path / "masks")
    assert "kept 3 of 4 masks; 1 no mask was said" in capsys.readouterr().out
    reader = PartFolders("sd", images, masks=tmp_path / "masks", masked=True)
    assert [sample.id for sample in reader] == ["sd/handle/pot/0", "sd/handle/pot/1", "sd/lid/pot/0"]
    assert all(sample.regions[0].mask.draw().sum() == 12 for sample in reader)
    assert sorted(stub.questions)[0] == "Output the segmentation mask of the handle of the mug in the image."


def test_the_manifest_says_what_became_of_every_picture(stub, images, tmp_path):
    prepare(images, tmp_path / "masks", "--quality", "0.95")
    about, *lines = map(json.loads, (tmp_path / "masks/manifest.jsonl").read_text().splitlines())
    assert about["quality"] == 0.95 and about["model"] == "model"
    assert {line["file"]: line["verdict"] for line in lines} == {
        "handle/mug/0.png": "no mask was said", "handle/pot/0.png": "little is expected of it",
        "handle/pot/1.png": "little is expected of it", "lid/pot/0.png": "little is expected of it",
    }  # fmt: skip
    assert not list((tmp_path / "masks").rglob("*_mask.png"))


def test_a_stopped_run_goes_on_where_it_was(stub, images, tmp_path):
    prepare(images / ".", tmp_path / "whole")
    asked = len(stub.questions)
    prepare(images, tmp_path / "masks")
    lines = (tmp_path / "masks/manifest.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "masks/manifest.jsonl").write_text("".join(lines[:3]))
    prepare(images, tmp_path / "masks")
    assert (len(stub.questions) - asked) == 4 + 2
    assert (tmp_path / "masks/manifest.jsonl").read_text() == "".join(lines)
    stub.breaks = True
    prepare(images, tmp_path / "masks")  # all is done: the model is not asked


def test_other_thresholds_need_another_folder(stub, images, tmp_path):
    prepare(images, tmp_path / "masks")
    with pytest.raises(FileExistsError, match="holds masks made with other stability"):
        prepare(images, tmp_path / "masks", "--stability", "0.5")


def test_a_part_may_be_asked_for_in_other_words(stub, images, tmp_path):
    prepare(images, tmp_path / "masks", "--asks", "handle=ring", "lid of the pot=triangle")
    assert [question.split(" of the ")[1] for question in stub.questions] == ["ring in the image."] * 3 + [
        "triangle in the image."
    ]
    with pytest.raises(LookupError, match="no picture of 'knob'"):
        prepare(images, tmp_path / "more", "--asks", "knob=ring")
    with pytest.raises(ValueError, match="expected NAME=WORDS, found 'handle'"):
        prepare(images, tmp_path / "more", "--asks", "handle")
