"""Keywords by rule, and where they are read: REFER with keywords."""

import json
import pickle

import pytest

from ullava.datasets.keywords import is_said, keyword_of_explanation, keyword_of_phrase
from ullava.datasets.readers.base import READERS
from ullava.datasets.readers.regions.refer import unpickle


@pytest.mark.parametrize(
    ("phrase", "keyword"),
    [
        ("the lady with the blue shirt", "lady"),
        ("left man", "left man"),
        ("man left of the car", "man"),
        ("large dotted red ring", "red ring"),
        ("guy", "guy"),
        ("a T-shirt on the chair", "t-shirt"),
        ("with", None),
        ("", None),
    ],
)
def test_a_phrase_comes_down_to_the_end_of_its_first_noun_group(phrase, keyword):
    assert keyword_of_phrase(phrase) == keyword


def test_an_explanation_names_what_the_question_did_not():
    query = "After cooking, where can we throw the scraps?"
    outputs = "In the picture, the trash can is where the scraps go. The trash can stands beside the fridge."
    assert keyword_of_explanation(query, outputs) == "trash can"  # twice, the fridge once; scraps were in the question
    assert keyword_of_explanation("Which object has a hole?", "the red ring has a hole") == "red ring"
    assert keyword_of_explanation("Where is the hole?", "It is the hole.") == "hole"  # there is no other
    assert keyword_of_explanation("the cup", "It is there.") == "cup"
    assert keyword_of_explanation("what", "it is") is None


def test_a_keyword_is_said_as_one_or_two_words_in_a_row():
    assert is_said("Trash can", "Where is the trash can?") and is_said("can", "", "a trash can")
    assert not is_said("can trash", "trash can") and not is_said("trash", "trashcan")
    assert not is_said("the trash can", "the trash can") and not is_said("", "the trash can")


@pytest.fixture
def referred(tmp_path):
    """One object, three sentences, two keywords."""
    said = {"red ring": "ring", "it": None, "a ring": "ring"}
    sentences = [{"sent": text, "keyword": keyword} for text, keyword in said.items()]
    ref = {"ref_id": 0, "ann_id": 5, "image_id": 1, "split": "train", "sentences": sentences}
    thing = {"id": 5, "image_id": 1, "category_id": 2, "bbox": [0, 0, 2, 2], "segmentation": [[0, 0, 2, 0, 2, 2]]}
    image = {"id": 1, "file_name": "a.png", "height": 4, "width": 4}
    tree = {"images": [image], "annotations": [thing], "categories": [{"id": 2, "name": "ring"}]}
    (tmp_path / "instances.json").write_text(json.dumps(tree))
    (tmp_path / "refs(own).p").write_bytes(pickle.dumps([ref], protocol=2))
    return {"refs": tmp_path / "refs(own).p", "instances": tmp_path / "instances.json", "images": tmp_path}


def test_sentences_of_one_keyword_are_a_region(referred):
    sample = READERS["refer"]("toy", **referred, keywords=True)[0]
    assert [(region.phrases, region.keyword) for region in sample.regions] == [
        (("red ring", "a ring"), "ring"),
        (("it",), None),
    ]
    assert sample.regions[0].mask == sample.regions[1].mask


def test_without_the_option_a_reference_is_a_region(referred):
    (region,) = READERS["refer"]("toy", **referred)[0].regions
    assert region.phrases == ("red ring", "it", "a ring") and region.keyword is None


def test_the_embedded_worlds_sentences_have_keywords(tmp_path):
    from ullava.datasets.tiny_world.world import draw_world

    folder = draw_world(tmp_path, "tiny_val", scenes=6, workers=1)
    for ref in unpickle(folder / "refs(tiny).p"):
        for sentence in ref["sentences"]:
            assert is_said(sentence["keyword"], sentence["sent"]) and len(sentence["keyword"].split()) == 1
