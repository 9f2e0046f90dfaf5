"""The rows of a `tokenizer.model`, SentencePiece's file (sentencepiece_model.proto, Apache-2.0).

The sentencepiece library reads it where it is installed, and else a reader of our own. The file is a protocol buffer:
fields with a number and a kind, of which a few are needed here.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # kinds of pieces
PIECES, TRAINER, TYPE, BPE = 1, 2, 3, 2  # numbers of fields; a model's type
TEXT, SCORE, KIND = 1, 2, 3  # numbers of a piece's fields
UNIGRAM = 1  # a model's type where its file does not say


@dataclass(frozen=True, slots=True)
class Piece:
    """One row of the vocabulary; the piece with the highest score is joined first."""

    text: str
    score: float
    kind: int


def read_pieces(path: Path) -> list[Piece]:
    """The vocabulary of a file, in the order of ids.

    Raises:
        ValueError: it is none of SentencePiece, or not of LLaMA's kind.
    """
    try:
        pieces, kind = parse(path.read_bytes())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: expected SentencePiece's bytes, found others ({error}); copy it again") from error
    kinds = {piece.kind for piece in pieces}
    if kind != BPE or not kinds <= {NORMAL, UNKNOWN, CONTROL, BYTE} or UNKNOWN not in kinds:
        raise ValueError(
            f"{path}: expected SentencePiece's byte-pair encoding, as LLaMA's, found another kind; save the folder's "
            "tokenizer as tokenizer.json with a transformers that reads it"
        )
    return pieces


def parse(data: bytes) -> tuple[list[Piece], int]:
    """The rows of a file, and the model's type: by the library, or by hand where it or protobuf is not installed.

    Raises:
        ValueError: these bytes are no such file.
    """
    try:
        from google.protobuf.message import DecodeError

        schema = import_module("sentencepiece.sentencepiece_model_pb2")
    except ImportError:
        return parse_by_hand(data)
    model = schema.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise ValueError(str(error)) from error
    return [Piece(piece.piece, piece.score, piece.type) for piece in model.pieces], model.trainer_spec.model_type


def parse_by_hand(data: bytes) -> tuple[list[Piece], int]:
    """The same without the library."""
    message = list(fields(data))
    rows = [dict(fields(as_bytes(value))) for name, value in message if name == PIECES]
    trainer = dict(fields(as_bytes(dict(message).get(TRAINER, b""))))
    pieces = [
        Piece(
            as_bytes(row[TEXT]).decode(), float(as_number(row.get(SCORE, 0.0))), int(as_number(row.get(KIND, NORMAL)))
        )
        for row in rows
    ]
    return pieces, int(as_number(trainer.get(TYPE, UNIGRAM)))


def as_bytes(value: int | float | bytes) -> bytes:
    """A field that holds bytes.

    Raises:
        ValueError: it holds a number.
    """
    if not isinstance(value, bytes):
        raise ValueError(f"expected bytes, found {value}")
    return value


def as_number(value: int | float | bytes) -> int | float:
    """A field that holds a number.

    Raises:
        ValueError: it holds bytes.
    """
    if isinstance(value, bytes):
        raise ValueError(f"expected a number, found {value[:20]!r}")
    return value


def fields(data: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """(number, value) of every field of a message.

    Raises:
        ValueError: these bytes are no message.
    """
    place = 0

    def number() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = data[place]
            value, shift, place = value | (byte & 127) << shift, shift + 7, place + 1
            if byte < 128:
                return value

    try:
        while place < len(data):
            name, kind = divmod(number(), 8)
            if kind == 0:
                yield name, number()
                continue
            length = {1: 8, 5: 4}.get(kind) or (number() if kind == 2 else len(data) + 1)
            value, place = data[place : place + length], place + length
            if place > len(data):
                raise ValueError(f"field {name} ends behind the last byte")
            yield name, struct.unpack("<f", value)[0] if kind == 5 else value
    except IndexError as error:
        raise ValueError("the last number is cut") from error
