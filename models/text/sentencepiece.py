"""Reads a `tokenizer.model`, SentencePiece's file (Apache-2.0, sentencepiece_model.proto), without its library.

Published LLaMA folders hold this file and often no `tokenizer.json`. It is a protocol buffer: fields with a number and
a kind, of which a few are read here. Scores become an order of merges, by which byte-pair encoding does the same.
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

SPACE = "▁"  # how a piece writes a space
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # kinds of pieces
PIECES, TRAINER, TYPE, BPE = 1, 2, 3, 2  # numbers of fields; a model's type


@dataclass(frozen=True, slots=True)
class Piece:
    """One row of the vocabulary."""

    text: str
    score: float
    kind: int


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


def read_pieces(path: Path) -> list[Piece]:
    """The vocabulary of a file, in the order of ids.

    Raises:
        ValueError: it is none of SentencePiece, or not of LLaMA's kind.
    """
    try:
        message = list(fields(path.read_bytes()))
        pieces = [dict(fields(value)) for name, value in message if name == PIECES]
        trainer = dict(fields(dict(message).get(TRAINER, b"")))
        found = [Piece(piece[1].decode(), piece.get(2, 0.0), piece.get(3, NORMAL)) for piece in pieces]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: expected SentencePiece's bytes, found others ({error}); copy it again") from error
    kinds = {piece.kind for piece in found}
    if trainer.get(TYPE) != BPE or not kinds <= {NORMAL, UNKNOWN, CONTROL, BYTE} or UNKNOWN not in kinds:
        raise ValueError(
            f"{path}: expected SentencePiece's byte-pair encoding, as LLaMA's, found another kind; save the folder's "
            "tokenizer as tokenizer.json with a transformers that reads it"
        )
    return found


def merges(pieces: list[Piece]) -> list[tuple[str, str]]:
    """Pairs in the order in which they are joined: the best piece first, and of equal ones that with the longest left.

    SentencePiece takes the leftmost of equal pairs: of `aa a aa`, the pair (aa, a).
    """
    scores = {piece.text: piece.score for piece in pieces if piece.kind == NORMAL}
    found = [
        (-score, -cut, text[:cut], text[cut:])
        for text, score in scores.items()
        for cut in range(1, len(text))
        if text[:cut] in scores and text[cut:] in scores
    ]
    return [(left, right) for *_, left, right in sorted(found)]


def open_sentencepiece(folder: str | Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a folder with a tokenizer.model, and with the tokens that were added to it.

    Raises:
        ValueError: the file is broken, or its added tokens do not follow its own.
    """
    folder = Path(folder)
    pieces = read_pieces(folder / "tokenizer.model")
    vocabulary = {piece.text: number for number, piece in enumerate(pieces)}
    names = settings(folder, pieces)
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges(pieces), unk_token=names["unk_token"], fuse_unk=True, byte_fallback=True)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    begin = names["bos_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        f"{begin} $A", f"{begin} $A {begin}:1 $B:1", [(begin, vocabulary[begin])]
    )
    controls = [piece.text for piece in pieces if piece.kind in (UNKNOWN, CONTROL)]
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in controls])
    for text, number in sorted(added(folder).items(), key=lambda pair: pair[1]):
        if text not in vocabulary:
            tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False)])
        if tokenizer.token_to_id(text) != number:
            raise ValueError(f"{folder}: {text} is given the id {number}, expected {tokenizer.token_to_id(text)}")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, name_or_path=str(folder), **names
    )


def settings(folder: Path, pieces: list[Piece]) -> dict[str, str]:
    """What begins, ends and fills a text, and stands for what is unknown; as the folder says, or as LLaMA's."""
    found = {"unk_token": next(piece.text for piece in pieces if piece.kind == UNKNOWN)}
    known = {piece.text for piece in pieces} | set(added(folder))
    for name, usual in (("bos_token", "<s>"), ("eos_token", "</s>"), ("pad_token", None)):
        said = read_json(folder / "special_tokens_map.json").get(name)
        said = said or read_json(folder / "tokenizer_config.json").get(name) or usual
        said = said["content"] if isinstance(said, dict) else said
        if said is not None:
            if said not in known:
                raise ValueError(f"{folder}: its {name} {said!r} is not in its vocabulary")
            found[name] = said
    return found


def added(folder: Path) -> dict[str, int]:
    """Tokens that were added to a vocabulary, with their ids: of old folders and of newer ones."""
    later = read_json(folder / "tokenizer_config.json").get("added_tokens_decoder", {})
    return {token["content"]: int(number) for number, token in later.items()} | read_json(folder / "added_tokens.json")


def read_json(path: Path) -> dict:
    """The mapping in a file; empty where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
