"""The old rule beside added tokens, and SentencePiece's files, on a vocabulary made by hand."""

import json
import struct

import pytest

from ullava.models.assembly import assemble
from ullava.models.folders.checkpoints import save
from ullava.models.text.sentencepiece import open_sentencepiece
from ullava.models.text.tokenization import legacy, open_tokenizer

WORDS = ("▁a", "▁do", "▁dog", "do", "og", "dog", "aa", "aaa")  # joined in this order


def number(value: int) -> bytes:
    """A number as protocol buffers write it: seven bits a byte, the lowest first."""
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + number(value >> 7)


def bundle(field: int, data: bytes) -> bytes:
    """A field that holds bytes."""
    return number(field * 8 + 2) + number(len(data)) + data


def piece(text: str, score: float = 0.0, kind: int = 1) -> bytes:
    return bundle(1, bundle(1, text.encode()) + b"\x15" + struct.pack("<f", score) + number(24) + number(kind))


def model(kind: int = 2) -> bytes:
    """A tokenizer.model: three marks, all bytes, letters, words."""
    pieces = [piece("<unk>", kind=2), piece("<s>", kind=3), piece("</s>", kind=3)]
    pieces += [piece(f"<0x{byte:02X}>", kind=6) for byte in range(256)]
    pieces += [piece(text, -float(n)) for n, text in enumerate([*WORDS, "▁", *"adog.;"])]
    return b"".join(pieces) + bundle(2, number(3 * 8) + number(kind))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tokenizer.model").write_bytes(model())
    (tmp_path / "added_tokens.json").write_text(json.dumps({"[SEG]": 259 + 15, "[tag]": 259 + 16}))
    return tmp_path


@pytest.fixture
def tokenizer(folder):
    return legacy(open_tokenizer(folder))


def words(tokenizer, text: str) -> list[str]:
    return tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a dog", ["▁a", "▁dog"]),
        ("a [SEG].", ["▁a", "[SEG]", "▁", "."]),  # the space before goes, each piece gets its own
        ("[SEG] \n dog", ["[SEG]", "▁dog"]),
        ("[SEG] [SEG]", ["[SEG]", "[SEG]"]),
        ("a</s> dog", ["▁a", "</s>", "▁", "▁dog"]),  # marks leave whitespace alone
        ("</s> [SEG]", ["</s>", "[SEG]"]),
        ("", []),
        (" ", ["▁", "▁"]),
        ("é", ["▁", "<0xC3>", "<0xA9>"]),
    ],
)
def test_the_old_rule_cuts_at_added_tokens(tokenizer, text, expected):
    assert words(tokenizer, text) == ["<s>", *expected]


def test_todays_rule_keeps_what_stands_beside_them(folder):
    assert words(open_tokenizer(folder), "a [SEG].") == ["<s>", "▁a", "▁", "[SEG]", "."]


def test_every_token_knows_its_characters(tokenizer):
    text = "a dog [SEG]; do"
    places = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)["offset_mapping"]
    assert [text[first:last] for first, last in places] == ["a", " dog", " [SEG]", ";", ";", " do"]


@pytest.mark.parametrize("text", ["a dog: [SEG]; do.", "[tag]dog do[SEG].", "a dog", "do [SEG] do"])
def test_reading_is_the_inverse_of_writing_but_for_spaces_before_tokens(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text.replace(" [SEG]", "[SEG]")


def test_of_equal_pairs_the_leftmost_is_joined(tokenizer):
    """aaaaa begins as aa aa a; then (aa, a) makes aaa of what is at the end, and no (a, aa)."""
    assert words(tokenizer, "daaaaa")[1:] == ["▁", "d", "aa", "aaa"]


def test_it_stays_in_the_folder(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path / "saved")
    again = open_tokenizer(tmp_path / "saved")
    assert words(again, "a [SEG].") == words(tokenizer, "a [SEG].")
    assert again.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()


def test_it_may_be_asked_for_twice(tokenizer):
    assert legacy(tokenizer).backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()


def test_another_kind_of_tokenizer_is_refused(recipe):
    with pytest.raises(ValueError, match="model.tokenization: legacy is for LLaMA's kind of tokenizer .*; take native"):
        assemble(recipe(tokenization="legacy"))


@pytest.mark.parametrize("data", [b"", b"hello", model()[:-700], model(kind=1)])
def test_what_is_no_vocabulary_of_llama_is_refused(tmp_path, data):
    (tmp_path / "tokenizer.model").write_bytes(data)
    with pytest.raises(ValueError, match="tokenizer.model: expected"):
        open_sentencepiece(tmp_path)


def test_added_tokens_follow_the_vocabulary(folder):
    (folder / "added_tokens.json").write_text('{"[SEG]": 300}')
    with pytest.raises(ValueError, match=r"\[SEG\] is given the id 300, expected 274"):
        open_sentencepiece(folder)


def test_a_run_keeps_the_rule_of_its_parent(recipe, folder, zoo, tmp_path):
    from ullava.models.tiny import tiny_llm

    llm = tmp_path / "llm"
    open_tokenizer(folder).save_pretrained(llm)
    tiny_llm(276, width=32, layers=1).save_pretrained(llm)
    parent = assemble(recipe(llm=str(llm), heads={}, tokenization="legacy"))
    assert words(parent.processor.tokenizer, "a [SEG].") == ["<s>", "▁a", "[SEG]", "▁", "."]
    save(tmp_path / "run", parent.model, parent.config, parent.processor.tokenizer)
    child = assemble(recipe(llm=str(tmp_path / "run")))
    assert child.config.tokenization == "legacy"
    assert words(child.processor.tokenizer, "a [LOC].") == ["<s>", "▁a", "[LOC]", "▁", "."]
    with pytest.raises(ValueError, match="was trained with legacy; its tokenizer cannot go back"):
        assemble(recipe(llm=str(tmp_path / "run"), tokenization="native"))
