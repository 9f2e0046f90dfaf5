"""MATLAB's files of version 5 to 7 (.mat), read as plain data.

A file is a row of elements, each with its type and its length; a matrix is an element of elements. scipy's reader
trusts what a file says of itself, and a broken one ends the process (a segmentation fault within 500 files of flipped
bytes). Source: MathWorks, "MAT-File Format"; version 7.3 is HDF5, another format.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ullava.datasets.opening import check_file

HEAD = 128  # bytes before the first element: a sentence, the version, the order of bytes
VERSION = 0x0100
LARGEST = 1 << 28  # bytes that one compressed element may become
DEEPEST = 16  # matrices in matrices
MATRIX, COMPRESSED = 14, 15
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
CELL, STRUCTURE, TEXT, NUMERIC = 1, 2, 4, range(6, 16)  # classes of matrices


def read_mat(path: Path, name: str) -> Any:
    """Returns the variable `name`: an array (H, W, ...), a text, the list of a cell's values, or one of mappings.

    The last are structures, field by value.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is broken, of another version, or has no such variable.
    """
    check_file(path, "annotation")
    raw = path.read_bytes()
    try:
        order = {b"IM": "<", b"MI": ">"}.get(raw[HEAD - 2 : HEAD])
        if order is None or struct.unpack_from(f"{order}H", raw, HEAD - 4) != (VERSION,):
            raise ValueError("it does not begin as one")
        for kind, body in elements(memoryview(raw)[HEAD:], order):
            if kind == COMPRESSED:
                kind, body = next(elements(memoryview(unpacked(body)), order), (kind, body))
            if kind == MATRIX and (variable := matrix(body, order))[0] == name:
                return variable[1]
    except (ValueError, LookupError, struct.error, zlib.error) as error:
        raise ValueError(f"{path}: expected a MATLAB file of version 5 to 7, but {error}; fetch it again") from error
    raise ValueError(f"{path}: the MATLAB file has no variable {name!r}; is it another set's?")


def elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Yields the type and the bytes of each element; short ones lie in their own tag."""
    place = 0
    while place < len(data):
        kind, length = struct.unpack_from(f"{order}II", data, place)
        if kind >> 16:
            kind, length, start, end = kind & 0xFFFF, kind >> 16, place + 4, place + 8
        else:
            start = place + 8
            end = start + length + (0 if kind == COMPRESSED else -length % 8)
        if start + length > len(data):
            raise ValueError(f"an element of {length} bytes ends beyond it")
        yield kind, data[start : start + length]
        place = end


def unpacked(data: memoryview) -> bytes:
    """The bytes of a compressed element."""
    machine = zlib.decompressobj()
    contents = machine.decompress(data, LARGEST)
    if machine.unconsumed_tail:
        raise ValueError(f"an element has more than {LARGEST} bytes")
    return contents


def matrix(data: memoryview, order: str, depth: int = 0) -> tuple[str, Any]:
    """Name and value of a matrix."""
    if not len(data):
        return "", np.zeros((0, 0))
    if depth > DEEPEST:
        raise ValueError(f"matrices lie in matrices, more than {DEEPEST} deep")
    parts = elements(data, order)
    kind = struct.unpack_from(f"{order}I", part(parts)[1])[0] & 0xFF
    shape = tuple(numbers(*part(parts), order).tolist())
    name = bytes(part(parts)[1]).decode("latin-1")
    if min(shape, default=0) < 0:
        raise ValueError(f"a matrix has the shape {shape}")
    if kind in NUMERIC:
        return name, numbers(*part(parts), order).reshape(shape, order="F")
    if kind == TEXT:
        coding, letters = part(parts)
        endian = {"<": "-le", ">": "-be"}[order] if TEXTS[coding] in ("utf-16", "utf-32") else ""
        return name, bytes(letters).decode(TEXTS[coding] + endian)
    if kind not in (CELL, STRUCTURE):
        raise ValueError(f"a matrix is of class {kind}: expected numbers, text, cells or structures")
    fields = named(parts, order) if kind == STRUCTURE else [""]
    values = [matrix(body, order, depth + 1)[1] for _, body in parts]
    if len(values) != int(np.prod(shape)) * len(fields):
        raise ValueError(f"a matrix of {shape} has {len(values)} values")
    if kind == CELL:
        return name, values
    return name, [dict(zip(fields, values[i : i + len(fields)], strict=True)) for i in rows(values, fields)]


def rows(values: list[Any], fields: list[str]) -> range:
    """Returns the index of each structure's first value."""
    return range(0, len(values), len(fields)) if fields else range(0)


def named(parts: Iterator[tuple[int, memoryview]], order: str) -> list[str]:
    """Names of a structure's fields: all of one length, filled up with zeros."""
    (length,) = numbers(*part(parts), order).tolist()
    letters = bytes(part(parts)[1])
    if length < 1 or len(letters) % length:
        raise ValueError(f"names of fields have {len(letters)} bytes, {length} each")
    starts = range(0, len(letters), length)
    return [letters[start : start + length].split(b"\0")[0].decode("latin-1") for start in starts]


def numbers(kind: int, body: memoryview, order: str) -> np.ndarray:
    """The numbers of an element, (N,), in the machine's own order of bytes."""
    if kind not in NUMBERS:
        raise ValueError(f"an element is of type {kind}: expected numbers")
    return np.frombuffer(body, f"{order}{NUMBERS[kind]}").astype(NUMBERS[kind])


def part(parts: Iterator[tuple[int, memoryview]]) -> tuple[int, memoryview]:
    """The next element of a matrix."""
    element = next(parts, None)
    if element is None:
        raise ValueError("a matrix ends before its values")
    return element
