"""Makes a fast tokenizer of a `tokenizer.model`, SentencePiece's file.

Published LLaMA folders hold this file and often no `tokenizer.json`. The scores in it become an order of merges, by
which byte-pair encoding cuts texts as SentencePiece does.
"""

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from ullava.models.text.sentencepiece_file import CONTROL, NORMAL, UNKNOWN, Piece, read_pieces

SPACE = "▁"  # how a piece writes a space


def merges(pieces: list[Piece]) -> list[tuple[str, str]]:
    """Pairs in the order in which they are joined: the best piece first, and of equal ones that with the longest left.

    SentencePiece takes the leftmost of equal pairs: of `aa a aa`, the pair (aa, a).
    """
    scores = {piece.text: piece.score for piece in pieces if piece.kind == NORMAL}
    ranked = [
        (-score, -cut, text[:cut], text[cut:])
        for text, score in scores.items()
        for cut in range(1, len(text))
        if text[:cut] in scores and text[cut:] in scores
    ]
    return [(left, right) for *_, left, right in sorted(ranked)]


def open_sentencepiece(folder: str | Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a folder with a tokenizer.model, and with the tokens that were added to it.

    Raises:
        ValueError: the file is broken, or its added tokens do not follow its own.
    """
    folder = Path(folder)
    pieces = read_pieces(folder / "tokenizer.model")
    vocabulary = {piece.text: number for number, piece in enumerate(pieces)}
    names = special_tokens(folder, pieces)
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


def special_tokens(folder: Path, pieces: list[Piece]) -> dict[str, str]:
    """The tokens that begin, end and fill a text, and the unknown one; as the folder says, or as LLaMA's.

    Raises:
        ValueError: the folder names a token that its vocabulary lacks.
    """
    names = {"unk_token": next(piece.text for piece in pieces if piece.kind == UNKNOWN)}
    known = {piece.text for piece in pieces} | set(added(folder))
    for name, usual in (("bos_token", "<s>"), ("eos_token", "</s>"), ("pad_token", None)):
        token = read_json(folder / "special_tokens_map.json").get(name)
        token = token or read_json(folder / "tokenizer_config.json").get(name) or usual
        token = token["content"] if isinstance(token, dict) else token
        if token is not None:
            if token not in known:
                raise ValueError(f"{folder}: its {name} {token!r} is not in its vocabulary")
            names[name] = token
    return names


def added(folder: Path) -> dict[str, int]:
    """Tokens that were added to a vocabulary, with their ids: of old folders and of newer ones."""
    later = read_json(folder / "tokenizer_config.json").get("added_tokens_decoder", {})
    return {token["content"]: int(number) for number, token in later.items()} | read_json(folder / "added_tokens.json")


def read_json(path: Path) -> dict[str, Any]:
    """The mapping in a file; empty where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
