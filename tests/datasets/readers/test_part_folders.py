"""Seed 000's folders: which pictures are found, under which names, with which masks."""

import json

import numpy as np
import pytest
from PIL import Image

from ullava.datasets.readers.regions.part_folders import PartFolders


@pytest.fixture
def tree(tmp_path):
    """Writes files below `images`: pictures of 4 x 6, masks whose left half is white."""

    def write(*names: str):
        for name in names:
            path = tmp_path / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.zeros((4, 6, 3), np.uint8)
            if "_mask" in name:
                pixels[:, :3] = 255
            Image.fromarray(pixels).save(path)
        return tmp_path / "images"

    return write


def test_pictures_are_sorted_by_part_object_and_name(tree):
    reader = PartFolders("sd", tree("lid/pot/b.png", "handle/mug/2.jpg", "handle/mug/10.png", "handle/big_pot/1.png"))
    assert [sample.id for sample in reader] == [
        "sd/handle/big_pot/1", "sd/handle/mug/10", "sd/handle/mug/2", "sd/lid/pot/b",
    ]  # fmt: skip
    assert [region.category for sample in reader for region in sample.regions] == [
        "handle of the big pot", "handle of the mug", "handle of the mug", "lid of the pot",
    ]  # fmt: skip


def test_hidden_files_and_other_files_are_no_pictures(tree):
    images = tree("lid/pot/a.png", "lid/pot/.b.png", ".cache/pot/c.png")
    (images / "manifest.jsonl").write_text("{}\n")
    (images / "lid/pot/notes.txt").write_text("x")
    assert [sample.id for sample in PartFolders("sd", images)] == ["sd/lid/pot/a"]


def test_a_mask_beside_the_picture_is_its_mask(tree):
    reader = PartFolders("sd", tree("lid/pot/a.jpg", "lid/pot/a_mask.png", "lid/pot/b.png"))
    first, second = (sample.regions[0].mask for sample in reader)
    assert second is None
    np.testing.assert_array_equal(first.draw(), np.tile(np.arange(6) < 3, (4, 1)))


def test_masks_beside_can_be_left_unseen_and_pictures_without_left_out(tree):
    images = tree("lid/pot/a.png", "lid/pot/a_mask.png", "lid/pot/b.png")
    assert [sample.regions[0].mask for sample in PartFolders("sd", images, beside=False)] == [None, None]
    assert [sample.id for sample in PartFolders("sd", images, masked=True)] == ["sd/lid/pot/a"]


def test_folders_may_be_drawn_alike(tree):
    images = tree(*(f"lid/pot/{n}.png" for n in range(6)), "lid/jar/0.png")
    assert [sample.id for sample in PartFolders("sd", images, each=3)] == [
        "sd/lid/jar/0", "sd/lid/jar/0", "sd/lid/jar/0", "sd/lid/pot/0", "sd/lid/pot/2", "sd/lid/pot/4",
    ]  # fmt: skip


def test_another_tree_of_masks_comes_before_those_beside(tree, tmp_path):
    images = tree("lid/pot/a.png", "lid/pot/a_mask.png", "lid/pot/b.png")
    masks = tmp_path / "pseudo"
    (masks / "lid/pot").mkdir(parents=True)
    Image.fromarray(np.full((4, 6), 255, np.uint8)).save(masks / "lid/pot/a_mask.png")
    first, second = PartFolders("sd", images, masks=masks)
    assert first.regions[0].mask.draw().all() and second.regions[0].mask is None


def test_a_sidecar_names_a_mask_below_the_folder(tree):
    images = tree("lid/pot/a.png", "lid/pot/drawn_mask_of_a.png")
    (images / "renders").mkdir()
    (images / "lid/pot/drawn_mask_of_a.png").rename(images / "renders/a.tiff")
    (images / "lid/pot/a.json").write_text(json.dumps({"prompt": "a pot", "mask": "renders/a.tiff"}))
    (sample,) = PartFolders("sd", images)
    assert sample.regions[0].mask.draw().sum() == 12
    (images / "lid/pot/a.json").write_text(json.dumps({"mask": "../secret.png"}))
    with pytest.raises(ValueError, match="leads out of"):
        len(PartFolders("sd", images))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["lid/a.png"], "expected .*<part>/<object>/a.png"),
        (["lid/pot/deep/a.png"], "expected .*<part>/<object>/a.png"),
        (["lid/pot/a.png", "lid/pot/b_mask.png"], "b_mask.png: a mask without its picture"),
        (["lid/pot/a.png", "lid/pot/a.jpg"], "has the same name"),
    ],
)
def test_what_lies_wrong_is_named(tree, names, message):
    with pytest.raises(ValueError, match=message):
        len(PartFolders("sd", tree(*names)))


def test_an_empty_folder_says_what_was_expected(tmp_path):
    with pytest.raises(ValueError, match="no pictures; expected <part>/<object>"):
        len(PartFolders("sd", tmp_path))
