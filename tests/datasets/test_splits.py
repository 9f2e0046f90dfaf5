"""Every fifth file is held out, whichever records speak of it."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from ullava.checking.row_checks import count
from ullava.datasets.exclude import Without
from ullava.datasets.readers.base import READERS, Reader
from ullava.datasets.splits import Beginning, Part
from ullava.datasets.structures import Picture, Sample


@dataclass(frozen=True)
class Toy(Reader):
    paths: tuple[Path, ...]

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        if self.paths[index].name == "broken":
            raise ValueError(f"toy/{index}: broken")
        return Sample(f"toy/{index}", (Picture(self.paths[index]),))


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"{letter}.jpg" for letter in "abcdefghijkl"]
    for path in paths:
        path.touch()
    return paths


def held_out(paths):
    return [sample.media[0].path.stem for sample in Part(Toy(tuple(paths)), 5, "held_out")]


def test_every_fifth_file_is_held_out(files):
    assert held_out(files) == ["e", "j"]
    train = Part(Toy(tuple(files)), 5, "train")
    assert [sample.media[0].path.stem for sample in train] == list("abcdfghikl")
    assert len(train) == 10


def test_no_picture_is_in_both_parts_when_records_repeat_it(files):
    assert held_out([files[9], files[4], files[0], files[4]]) == ["j", "e", "e"]


def test_a_reader_of_fewer_pictures_holds_out_the_same_ones(files):
    assert held_out(files[3:]) == ["e", "j"]


def test_a_beginning_is_the_first_samples_and_no_more_than_there_are(files):
    whole = Toy(tuple(files))
    assert [sample.id for sample in Beginning(whole, 3)] == ["toy/0", "toy/1", "toy/2"]
    assert len(Beginning(whole, 99)) == len(files)
    with pytest.raises(IndexError):
        Beginning(whole, 3)[3]


def test_a_record_that_cannot_be_read_is_in_both_parts_and_says_so(files):
    whole = Toy((*files[:5], Path("broken"), Path("/no/folder/a.jpg")))
    train, held_out = (Part(whole, 5, part) for part in ("train", "held_out"))
    assert [index for index in train.indices] == [0, 1, 2, 3, 5, 6]
    assert [index for index in held_out.indices] == [4, 5], "a missing file is none of the held out ones"
    for part in (train, held_out):
        with pytest.raises(ValueError, match="toy/5: broken"):
            list(part)


def test_no_label_map_is_opened_to_know_which_picture_it_is_of(write, tmp_path):
    """118,287 of them in COCO-Stuff."""
    for name in "abcdef":
        write(f"i/{name}.jpg", name)
        write(f"l/{name}.png", "nothing that could be decoded")
    maps = READERS["label_map"]("toy", tmp_path / "i", tmp_path / "l", write("names.txt", "sky\n"))
    held_out = Part(maps, 3, "held_out")
    assert [path.stem for index in range(len(held_out)) for path in held_out.shown(index)] == ["c", "f"]
    others = Without(maps, (Beginning(held_out, 1),))
    assert [path.stem for index in range(len(others)) for path in others.shown(index)] == ["a", "b", "d", "e", "f"]
    found = count(others)
    assert (found.records, found.pictures, found.unread) == (5, 5, ())
    with pytest.raises(ValueError, match="c.png"):
        held_out[0]
