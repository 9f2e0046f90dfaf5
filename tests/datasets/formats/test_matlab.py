"""MATLAB's files: read as scipy reads them, and refused where they are broken."""

import struct

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from ullava.datasets.formats.mat_files import read_labels, read_objects
from ullava.datasets.formats.matlab import read_mat
from ullava.datasets.tiny_world import originals

HEAD = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
THINGS = [{"name": "dog", "mask": np.eye(3, dtype=np.uint8)}, {"name": "ein Hund, süß", "mask": np.zeros((0, 0))}]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["u1", "i2", "u2", "i4", "f4", "f8", "u8", "?"])
def test_numbers_are_scipys(tmp_path, packed, kind):
    stated = (np.arange(12).reshape(3, 4) % 7 - (kind[0] in "if") * 3).astype(kind)
    savemat(tmp_path / "a.mat", {"other": "x", "x": stated}, do_compression=packed)
    read = read_mat(tmp_path / "a.mat", "x")
    assert (read == loadmat(tmp_path / "a.mat")["x"]).all() and (read == stated).all() and read.shape == (3, 4)


@pytest.mark.parametrize("packed", [False, True])
def test_structures_texts_and_cells_are_scipys(tmp_path, packed):
    stated = {"things": originals.structures(THINGS), "cell": np.array(["a", 5.0], object), "text": "some words"}
    savemat(tmp_path / "a.mat", {"x": stated}, do_compression=packed)
    (read,) = read_mat(tmp_path / "a.mat", "x")
    theirs = loadmat(tmp_path / "a.mat", simplify_cells=True)["x"]
    assert read.keys() == theirs.keys() == {"things", "cell", "text"} and read["text"] == theirs["text"]
    for ours, other, thing in zip(read["things"], theirs["things"], THINGS, strict=True):
        assert ours["name"] == other["name"] == thing["name"]
        assert (ours["mask"] == thing["mask"]).all() and ours["mask"].shape == thing["mask"].shape
    assert read["cell"][0] == "a" and read["cell"][1].tolist() == [[5.0]]


def element(kind: int, body: bytes) -> bytes:
    return struct.pack(">II", kind, len(body)) + body + bytes(-len(body) % 8)


def test_a_file_of_a_machine_that_counts_the_other_way_round(tmp_path):
    """Written by hand: 2 x 2 of uint16, column by column, its name in a short element."""
    parts = element(6, struct.pack(">II", 11, 0)) + element(5, struct.pack(">ii", 2, 2))
    parts += struct.pack(">HH", 1, 1) + b"x\0\0\0" + element(4, struct.pack(">4H", 1, 258, 3, 4))
    (tmp_path / "a.mat").write_bytes(b"MATLAB 5.0".ljust(124) + b"\x01\x00MI" + element(14, parts))
    assert read_mat(tmp_path / "a.mat", "x").tolist() == [[1, 3], [258, 4]]


@pytest.mark.parametrize(("content", "said"), [
    (b"", "it does not begin as one"),
    (b"<html>" * 40, "it does not begin as one"),
    (HEAD[:-4] + b"\x00\x02IM", "it does not begin as one"),  # version 7.3
    (HEAD, "no variable 'LabelMap'"),
    (HEAD + b"\xff" * 90, "expected a MATLAB file"),
    (HEAD + struct.pack("<II", 14, 1 << 31), "an element of 2147483648 bytes ends beyond it"),
    (HEAD + struct.pack("<II", 15, 8) + b"notzlib!", "expected a MATLAB file"),
])  # fmt: skip
def test_what_is_no_such_file_is_named(tmp_path, content, said):
    (tmp_path / "x.mat").write_bytes(content)
    with pytest.raises(ValueError, match=f"x.mat: .*{said}"):
        read_labels(tmp_path / "x.mat")


def test_flipped_bytes_end_in_a_message_or_nowhere(tmp_path):
    """scipy's reader, which trusts lengths, ended the process on some of these files."""
    rng, mask = np.random.default_rng(0), np.zeros((20, 20), bool)
    mask[4:12, 3:15] = True
    things = originals.structures([originals.dog(mask), originals.dog(mask.T)])
    for number, packed in enumerate((False, True)):
        path = tmp_path / f"{number}.mat"
        savemat(path, {"anno": {"imname": "x", "objects": things}}, do_compression=packed)
        whole = path.read_bytes()
        assert [kind for kind, _, _ in read_objects(path)] == ["dog", "dog"]
        for _ in range(200):
            broken = bytearray(whole)
            for place in rng.integers(0, len(whole), rng.integers(1, 4)):
                broken[place] = rng.integers(256)
            path.write_bytes(broken[: rng.integers(len(whole))] if rng.random() < 0.2 else broken)
            try:
                found = read_objects(path)
            except ValueError as error:
                assert str(path) in str(error)
            else:
                assert all(isinstance(kind, str) and drawn.ndim == 2 for kind, drawn, _ in found)


def test_a_mask_that_is_no_matrix_is_named(tmp_path):
    thing = {"class": "dog", "mask": "none", "parts": np.zeros((0, 0))}
    savemat(tmp_path / "a.mat", {"anno": {"objects": originals.structures([thing])}})
    with pytest.raises(ValueError, match="a.mat: expected PASCAL-Part's `anno`, .* a mask is no matrix"):
        read_objects(tmp_path / "a.mat")
    savemat(tmp_path / "b.mat", {"LabelMap": "none"})
    with pytest.raises(ValueError, match="b.mat: LabelMap: expected class ids"):
        read_labels(tmp_path / "b.mat")
