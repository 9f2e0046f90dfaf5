"""A `tokenizer.model` as the sentencepiece library wrote it: read by the library and by hand, and cut as it cuts."""

import io
import random
import sys

import pytest

from ullava.models.text.sentencepiece import merges, open_sentencepiece
from ullava.models.text.sentencepiece_file import BPE, BYTE, CONTROL, UNKNOWN, parse, parse_by_hand, read_pieces
from ullava.models.text.tokenization import legacy

SENTENCES = (
    "the red circle is left of the blue square",
    "can you segment the red circle in this picture?",
    "a small dog and a large dog; two dogs, aaaa aaa aa",
    "le cercle rouge est à gauche du carré bleu",
    "左边的红色圆圈在哪里",
)
TEXTS = (
    *SENTENCES,
    "",
    " ",
    "  two  blanks ",
    "tab\tand\nline",
    "aaaaaaa",
    "naïve café – 12345",
    "emoji 🐶 [SEG] </s>x",
    "ẞ",
)


@pytest.fixture(scope="module")
def library():
    """The sentencepiece library."""
    return pytest.importorskip("sentencepiece", reason="pip install 'ullava[sentencepiece]'")


@pytest.fixture(scope="module")
def folder(library, tmp_path_factory):
    """A tokenizer.model, trained as LLaMA's was: byte pairs that fall back on bytes, no text normalised."""
    place, file = tmp_path_factory.mktemp("pieces"), io.BytesIO()
    library.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 4), model_writer=file, vocab_size=360, model_type="bpe", byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True, minloglevel=2,
        hard_vocab_limit=False, character_coverage=0.99,
    )  # fmt: skip
    (place / "tokenizer.model").write_bytes(file.getvalue())
    return place


def test_both_readers_give_the_same_pieces(folder, library):
    data = (folder / "tokenizer.model").read_bytes()
    assert parse(data) == parse_by_hand(data) and parse(data)[1] == BPE
    official = library.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    pieces = parse_by_hand(data)[0]
    assert [piece.text for piece in pieces] == [official.id_to_piece(n) for n in range(official.vocab_size())]
    assert [piece.score for piece in pieces] == [official.get_score(n) for n in range(official.vocab_size())]
    for kind, asked in ((UNKNOWN, official.is_unknown), (CONTROL, official.is_control), (BYTE, official.is_byte)):
        assert [piece.kind == kind for piece in pieces] == [asked(n) for n in range(official.vocab_size())]


def test_both_readers_give_the_same_merges(folder, monkeypatch):
    by_library = merges(read_pieces(folder / "tokenizer.model"))
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    assert merges(read_pieces(folder / "tokenizer.model")) == by_library and len(by_library) > 50


def test_texts_are_cut_as_the_library_cuts_them(folder, library):
    official = library.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    tokenizer, rng = open_sentencepiece(folder), random.Random(0)
    drawn = ["".join(rng.choices(" abcdegloqrstu,.?é左", k=rng.randint(1, 40))) for _ in range(300)]
    texts = [text for text in (*TEXTS, *drawn) if "</s>" not in text]  # of which the library writes the letters
    for text in texts:
        ids = [official.bos_id(), *official.encode(text)]
        if not text.startswith(" "):  # transformers' rule puts no blank in front of one, SentencePiece does
            assert tokenizer(text)["input_ids"] == ids, repr(text)
    assert sum(text.startswith(" ") for text in texts) > 10


def test_the_old_rule_cuts_texts_that_begin_with_a_blank_as_the_library(folder, library):
    official = library.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    tokenizer = legacy(open_sentencepiece(folder))
    for text in (*SENTENCES, " ", "  two  blanks ", " left of"):
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == official.encode(text), repr(text)


def test_the_tokenizer_is_the_same_without_the_library(folder, monkeypatch):
    by_library = open_sentencepiece(folder).backend_tokenizer.to_str()
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    assert open_sentencepiece(folder).backend_tokenizer.to_str() == by_library


@pytest.mark.parametrize("data", [b"hello", b"\x0a\x05abc", b"\x0a\x02\x0a\x05"])
def test_broken_bytes_are_named_with_the_library_and_without(library, tmp_path, data, monkeypatch):
    (tmp_path / "tokenizer.model").write_bytes(data)
    with pytest.raises(ValueError, match="tokenizer.model: expected SentencePiece's bytes, found others"):
        read_pieces(tmp_path / "tokenizer.model")
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(ValueError, match="tokenizer.model: expected SentencePiece's bytes, found others"):
        read_pieces(tmp_path / "tokenizer.model")


def test_another_kind_of_model_is_refused(library, tmp_path):
    file = io.BytesIO()
    library.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 4), model_writer=file, vocab_size=90, model_type="unigram", minloglevel=2,
        hard_vocab_limit=False,
    )  # fmt: skip
    (tmp_path / "tokenizer.model").write_bytes(file.getvalue())
    with pytest.raises(ValueError, match="expected SentencePiece's byte-pair encoding, as LLaMA's, found another kind"):
        read_pieces(tmp_path / "tokenizer.model")
