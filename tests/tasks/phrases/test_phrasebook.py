"""Phrasebooks and question files."""

import json

import pytest

from tests.shared import SHARED
from ullava.tasks.phrases.phrasebook import PHRASEBOOKS, SLOT, fill, phrasebook, read_questions


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "questions.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("name", PHRASEBOOKS)
def test_questions_have_a_slot_just_where_a_phrase_is_asked(name):
    book = phrasebook(name, slotted=True)
    for questions, count in ((book.segment, 1), (book.locate, 1), (book.salient, 0), (book.explain, 0)):
        assert all(text.count(SLOT) == count for text in (*questions.templates, questions.eval_question))
        assert set(questions.drawn) == {*questions.templates, questions.eval_question}
        assert len(set(questions.drawn)) == len(questions.drawn)


def test_the_exam_asks_as_u_llava_evaluates():
    book = phrasebook("ullava", slotted=True)
    assert fill(book.segment.eval_question, "left dog") == "Output the segmentation mask of the left dog in the image."
    assert book.explain.eval_question == book.salient.eval_question == "Find the salient object in the image."


def test_a_file_gives_questions_and_the_first_is_the_exam(write):
    book = phrasebook(str(write(["<image> Où est <class> ?", "<class>?"])), slotted=True)
    assert book.segment.templates == ("Où est <class> ?", "<class>?")
    assert book.segment.eval_question == "Où est <class> ?"
    assert book.grammar == "ullava"


@pytest.mark.parametrize(
    "content, message",
    [
        ('["Where is <class>?"', "invalid JSON"),
        ("{}", "expected a list of questions, found {}"),
        ([], "expected a list of questions, found []"),
        (["Where is <class>?", 3], r"[1]: expected a question with the slot <class>, <image> in front only; found 3"),
        (["Where is it?"], r"[0]: expected a question with the slot <class>"),
        (["Where is <class> in <image>?"], r"[0]: expected"),
        (["<image>"], r"[0]: expected"),
    ],
)
def test_a_bad_file_is_named_with_its_entry(write, content, message):
    path = write(content)
    with pytest.raises(ValueError) as caught:
        read_questions(path, slotted=True)
    assert str(path) in str(caught.value) and message in str(caught.value)


def test_a_slot_in_a_question_without_phrase_is_refused(write):
    with pytest.raises(ValueError, match=r"\[0\]: expected a question without the slot"):
        read_questions(write(["Find the <class>."]), slotted=False)


def test_bytes_that_are_no_text_are_invalid(tmp_path):
    path = tmp_path / "questions.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="invalid JSON"):
        read_questions(path, slotted=True)


def test_a_missing_file_and_an_unknown_name_say_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.json"):
        phrasebook(str(tmp_path / "none.json"), slotted=True)
    with pytest.raises(LookupError, match="did you mean 'ullava_v1'"):
        phrasebook("ullava-v1", slotted=True)


@pytest.mark.shared
@pytest.mark.parametrize("release, name", [("head", "ullava"), ("v1", "ullava_v1")])
def test_the_releases_own_question_files_are_ours(release, name):
    folder = SHARED / f"legacy/templates_{release}"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    assert read_questions(folder / "SEG.json", slotted=True) == PHRASEBOOKS[name].segment.templates
    assert read_questions(folder / "SS.json", slotted=False) == PHRASEBOOKS[name].explain.templates
