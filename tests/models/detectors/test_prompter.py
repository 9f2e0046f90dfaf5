"""A GroundingDINO is asked for words: what it is shown, what it keeps, and what it answers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ullava.datasets.boxes import iou
from ullava.datasets.structures import Picture
from ullava.models.detectors import prompter as prompting
from ullava.models.detectors.grounding_dino import Found, find, look, read, to_pixels
from ullava.models.detectors.opening import open_detector
from ullava.models.detectors.prompter import Prompter, caption, over, prepare, resized
from ullava.models.tiny import ZOO


@pytest.fixture(scope="module")
def opened():
    return open_detector(ZOO / "groundingdino")


@pytest.fixture(scope="module")
def picture(tmp_path_factory) -> Picture:
    """A red circle and a blue square on grey, as the embedded world draws them: radius 15, half width 12."""
    from ullava.datasets.tiny_world.pixels import draw
    from ullava.datasets.tiny_world.scene import Scene, Thing

    things = (
        Thing("circle", "red", "plain", "large", 30, 40, 15),
        Thing("square", "blue", "plain", "large", 70, 60, 15),
    )
    path = tmp_path_factory.mktemp("scene") / "scene.png"
    Image.fromarray(draw(Scene(things), np.random.default_rng(3))).save(path)
    return Picture(path)


def test_the_shipped_detector_finds_what_is_named_where_it_is(opened, picture):
    ask = Prompter(opened)
    for words, truth in (("circle", (15, 25, 45, 55)), ("square", (57.4, 47.4, 82.6, 72.6))):
        best = max(ask(picture, words), key=lambda box: iou(box, truth))
        np.testing.assert_allclose(best, truth, atol=3)


def test_the_maps_of_a_picture_are_computed_once(opened, picture, monkeypatch):
    looked = []
    monkeypatch.setattr(prompting, "look", lambda detector, pixels: looked.append(1) or look(detector, pixels))
    ask = Prompter(opened)
    for words in ("circle", "square", "ring"):
        ask(picture, words)
    assert len(looked) == 1


def test_nothing_is_found_over_a_threshold_of_one(opened, picture):
    assert Prompter(opened, threshold=1.0)(picture, "circle") == []


def test_a_box_that_answers_to_no_word_of_the_phrase_is_none(opened, picture):
    assert Prompter(opened, text_threshold=1.0)(picture, "circle") == []


def test_a_caption_is_lower_case_with_a_stop_at_its_end():
    assert [caption(words) for words in ("A Dog ", "dog.", "dog .")] == ["a dog .", "dog.", "dog ."]


@pytest.mark.parametrize(
    "size, expected",
    [
        ((480, 640), (800, 1066)),  # 800 * 640 / 480 = 1066.7, cut as the reference cuts it
        ((640, 480), (1066, 800)),
        ((200, 1000), (267, 1335)),  # 1333 * 200 / 1000 = 266.6 -> 267 short; 267 * 5 = 1335
        ((800, 900), (800, 900)),
    ],
)
def test_a_picture_is_resized_as_the_reference_does(size, expected):
    assert resized(size, 800, 1333) == expected


def test_pixels_are_normalised_by_channel():
    pixels = np.full((4, 4, 3), (255, 0, 51), np.uint8)
    ours = prepare(pixels, (0.5, 0.5, 0.2), (0.25, 0.5, 1.0), 4, 8)
    np.testing.assert_allclose(ours[:, 0, 0], (2, -1, 0), atol=1e-6)


def test_boxes_come_back_inside_the_picture():
    # centre (.5, .5), all of it and more; then the left upper quarter
    assert to_pixels(np.array([[0.5, 0.5, 2, 2], [0.25, 0.25, 0.5, 0.5]]), (60, 80)) == [(0, 0, 80, 60), (0, 0, 40, 30)]


def test_the_thresholds_are_of_the_best_token_and_of_each():
    logits = torch.tensor([[[[-3.0, 0.0], [-3.0, -2.0], [-1.3, -3.0]]]])  # .05 .5, .05 .12, .21 .05
    boxes = torch.arange(12.0).view(1, 1, 3, 4)
    found = Found(logits, boxes, *[torch.zeros(0)] * 7)
    kept, scores, answered = over(found, 0, 0.2, 0.1)
    assert kept.tolist() == [[0, 1, 2, 3], [8, 9, 10, 11]]
    assert scores.tolist() == pytest.approx([0.5, 0.214], abs=1e-3)
    assert answered.tolist() == [[False, True], [True, False]]


def test_pictures_with_captions_of_their_own_may_share_a_batch(opened):
    """Where the reference mixes them."""
    torch.manual_seed(0)
    pixels = torch.randn(2, 3, 96, 96)
    texts = opened.tokenizer(["circle .", "red square . ring ."], padding=True, return_tensors="pt")
    inside = torch.ones(2, 96, 96, dtype=torch.bool)
    with torch.no_grad():
        words = read(opened.detector, texts["input_ids"], texts["attention_mask"])
        both = find(opened.detector, look(opened.detector, pixels), inside, words)
        alone = opened.tokenizer("circle .", return_tensors="pt")
        words = read(opened.detector, alone["input_ids"], alone["attention_mask"])
        one = find(opened.detector, look(opened.detector, pixels[:1]), inside[:1], words)
    torch.testing.assert_close(both.boxes[:, 0], one.boxes[:, 0], atol=1e-5, rtol=1e-4)
    width = one.logits.shape[-1]
    torch.testing.assert_close(both.logits[:, 0, :, :width], one.logits[:, 0], atol=1e-4, rtol=1e-4)


def test_an_eager_text_encoder_is_not_used(tmp_path):
    """It would add the mask of phrases to its scores as zeros and ones."""
    opened = open_detector(ZOO / "groundingdino")
    assert opened.detector.model.text_backbone.config._attn_implementation == "sdpa"
    assert replace(opened, source="elsewhere").source == "elsewhere"
