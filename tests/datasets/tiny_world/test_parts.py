"""Objects with parts: what the folders say is what is drawn."""

import json

import numpy as np
import pytest

from ullava.datasets.boxes import box_of
from ullava.datasets.readers.regions.part_folders import PartFolders
from ullava.datasets.tiny_world.parts import BODIES, PAIRS, PARTS, apart, sample_scene, write_parts
from ullava.datasets.tiny_world.pixels import masks


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("split")
    write_parts(folder, 1, 0, 40, masked=0.5)
    return folder


def test_every_pair_of_part_and_object_is_drawn_and_half_have_masks(folder):
    reader = PartFolders("tiny", folder / "parts")
    names = [sample.regions[0].category for sample in reader]
    assert len(reader) == 40 and set(names) == {f"{part} of the {whole}" for part, whole in PAIRS}
    assert len(PartFolders("tiny", folder / "parts", masked=True)) == 20


def test_the_manifest_names_every_file(folder):
    lines = [json.loads(line) for line in (folder / "parts/manifest.jsonl").read_text().splitlines()]
    files = {str(path.relative_to(folder / "parts")) for path in (folder / "parts").rglob("*.png")}
    assert {line[key] for line in lines for key in ("file", "mask") if key in line} == files


def test_neither_the_part_nor_the_object_is_enough():
    assert all(len(wholes) > 1 for _, _, wholes in PARTS.values())
    assert all(sum(whole == kind for _, whole in PAIRS) == 2 for kind in BODIES)


@pytest.mark.parametrize(("part", "whole"), PAIRS)
def test_the_mask_is_the_part_of_the_object_that_is_meant(part, whole):
    for seed in range(5):
        scene, meant = sample_scene(part, whole, np.random.default_rng(seed))
        body, thing = scene.things[0], scene.things[meant]
        assert (body.shape, thing.shape) == (BODIES[whole], PARTS[part][0])
        assert len({thing.shape for thing in scene.things[:3]}) == 3  # a body and two parts
        assert scene.things[3].shape != body.shape
        seen = masks(scene)[meant]
        assert seen.sum() >= 100
        x0, y0, x1, y1 = box_of(seen)
        side = np.sign([x0 + x1 - 2 * body.x, y0 + y1 - 2 * body.y])
        assert any(all(s == 0 or s == t for s, t in zip(allowed, side, strict=True)) for allowed in PARTS[part][1])


def test_the_same_seed_draws_the_same_files(folder, tmp_path):
    write_parts(tmp_path, 1, 0, 40, masked=0.5)
    for path in (folder / "parts").rglob("*.*"):
        assert (tmp_path / path.relative_to(folder)).read_bytes() == path.read_bytes()


def test_objects_lie_apart_and_inside():
    assert apart((1, 1, 40, 40), (42, 1, 90, 40))
    assert not apart((1, 1, 40, 40), (41, 1, 90, 40)) and not apart((0, 1, 40, 40), (42, 1, 90, 40))
