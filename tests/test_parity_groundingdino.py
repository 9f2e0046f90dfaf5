"""A published GroundingDINO gives its own numbers through our loading code and our cut of its way."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from tests.shared import SHARED
from ullava.models.detectors import grounding_dino_weights as groundingdino
from ullava.models.detectors.grounding_dino import find, look, read, spread
from ullava.models.detectors.opening import open_detector
from ullava.models.detectors.prompter import over, phrase, prepare, resized
from ullava.models.weights.files import open_weights

FOLDER = SHARED / "parity" / "groundingdino"

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not (FOLDER / "weights.pth").is_file(), reason=f"{FOLDER} is not here ($ULLAVA_SHARED)"),
]
FEATURES, LOGITS, BOXES = {"atol": 5e-5, "rtol": 1e-4}, {"atol": 1e-4, "rtol": 1e-4}, {"atol": 1e-5, "rtol": 0}


@pytest.fixture(scope="module")
def told() -> SimpleNamespace:
    """What the reference said, its inputs, and its settings."""
    config = json.loads((FOLDER / "config.json").read_text())
    inputs, outputs = (load_file(FOLDER / f"{name}.safetensors") for name in ("inputs", "outputs"))
    return SimpleNamespace(config=config, inputs=inputs, outputs=outputs)


@pytest.fixture(scope="module")
def opened():
    text = next(path.parent for path in FOLDER.glob("*/vocab.txt"))
    heads = json.loads((FOLDER / "config.json").read_text())["args"]["nheads"]
    return open_detector(FOLDER / "weights.pth", text, attention_heads=heads)


CALLS = {"single": ([0], [0]), "single1": ([1], [1]), "batch": ([0, 1], [0, 0])}  # name -> its pictures and captions


@pytest.fixture(scope="module")
def calls(told, opened) -> dict[str, SimpleNamespace]:
    """The calls of the reference, made by us."""
    return {name: made(name, told, opened) for name in CALLS}


@pytest.fixture(params=CALLS)
def call(request, calls) -> SimpleNamespace:
    return calls[request.param]


@pytest.fixture
def single(calls) -> SimpleNamespace:
    """The call of which the reference kept the most."""
    return calls["single"]


def made(name: str, told, opened) -> SimpleNamespace:
    """One call: what we found, and what the reference did."""
    pictures, captions = CALLS[name]
    images = [told.inputs[f"image.{n}"] for n in pictures]
    height, width = (max(image.shape[axis] for image in images) for axis in (1, 2))
    pixels = torch.stack([F.pad(i, (0, width - i.shape[2], 0, height - i.shape[1])) for i in images])
    inside = torch.zeros(len(images), height, width)
    for n, image in enumerate(images):
        inside[n, : image.shape[1], : image.shape[2]] = 1
    texts = [told.config["captions"][n] for n in captions]
    encoded = opened.tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        words = read(opened.detector, encoded["input_ids"], encoded["attention_mask"])
        maps = look(opened.detector, pixels)
        found = find(opened.detector, maps, inside.bool(), words)
        levels = spread(opened.detector.model, maps, inside.bool())
    expected = {
        key.removeprefix(f"{name}."): tensor for key, tensor in told.outputs.items() if key.startswith(f"{name}.")
    }
    return SimpleNamespace(expected=expected, encoded=encoded, words=words, maps=maps, found=found, levels=levels)


def same(ours, theirs, **tolerance):
    torch.testing.assert_close(ours, theirs, **tolerance)


def test_parity_groundingdino_text(call, opened):
    expected, words = call.expected, call.words
    assert torch.equal(call.encoded["input_ids"], expected["text.input_ids"])
    assert torch.equal(words.valid, expected["text.attention_mask"].bool())
    assert torch.equal(words.places, expected["text.position_ids"])
    assert torch.equal(words.together, expected["text.self_attention_mask"])
    with torch.no_grad():
        ids = call.encoded["input_ids"]
        last = opened.detector.model.text_backbone(
            ids, attention_mask=words.together[:, None], position_ids=words.places,
        ).last_hidden_state  # fmt: skip
    same(last, expected["text.bert_last_hidden"], **FEATURES)
    same(words.states, expected["text.encoded"], **FEATURES)


def test_parity_groundingdino_phrases_are_blocks_of_their_own(call, opened):
    stops = opened.detector.model.special_tokens
    for row, (ids, places) in enumerate(zip(call.encoded["input_ids"], call.words.places, strict=True)):
        blocks, begun = [], None
        for column, token in enumerate(ids.tolist()):
            if token in stops.tolist():
                if begun is not None:
                    blocks.append(torch.isin(torch.arange(len(ids)), torch.arange(begun, column)))
                begun = None
            elif begun is None:
                begun = column
                assert places[column] == 0
        assert torch.equal(torch.stack(blocks), call.expected[f"text.category_token_mask.{row}"])


def test_parity_groundingdino_levels(single, opened):
    call, expected = single, single.expected
    levels = call.levels
    marks = opened.detector.model.level_embed[..., None, None]
    for n, ours in enumerate(call.maps):
        same(ours, expected[f"backbone.{n}"], **FEATURES)
        assert torch.equal(~levels[n].inside, expected[f"backbone.{n}.mask"])
        same(levels[n].codes - marks[n], expected[f"backbone.{n}.pos"], **FEATURES)
    for n, level in enumerate(levels):
        same(level.features, expected[f"input_proj.{n}"], **FEATURES)
    same(call.found.memory, expected["encoder.memory"], **FEATURES)
    same(call.found.memory_text, expected["encoder.memory_text"], **FEATURES)


def test_parity_groundingdino_queries_and_decoder(call, opened):
    expected, found = call.expected, call.found
    assert torch.equal(found.queries, expected["two_stage.topk_index"])
    best = found.proposal_logits.amax(-1).gather(1, found.queries)
    same(best, expected["two_stage.topk_logit"], **LOGITS)
    for n in range(len(found.hidden)):
        same(found.hidden[n], expected[f"decoder.hidden.{n}"], **FEATURES)
    for n in range(len(found.references)):
        same(found.references[n], expected[f"decoder.reference.{n}"], **BOXES)
    visible = torch.cat([level.inside.flatten(1) for level in call.levels], 1)
    shapes = [tuple(level.features.shape[-2:]) for level in call.levels]
    _, anchors = opened.detector.model.generate_encoder_output_proposals(found.memory, ~visible, shapes)
    chosen = anchors.gather(1, found.queries[..., None].expand(-1, -1, 4)).sigmoid()
    same(chosen, expected["two_stage.init_box_proposal"], **BOXES)


def test_parity_groundingdino_predictions(call):
    found, logits = call.found, call.expected["pred_logits"]
    width = found.logits.shape[-1]
    assert torch.equal(F.pad(found.logits[-1], (0, logits.shape[-1] - width), value=-torch.inf).isinf(), logits.isinf())
    seen = ~logits[..., :width].isinf()
    same(found.logits[-1][seen], logits[..., :width][seen], **LOGITS)
    same(found.boxes[-1], call.expected["pred_boxes"], **BOXES)


def test_parity_groundingdino_says_which_boxes_answer_to_which_words(told, opened, single):
    asked = told.config["predict"]
    boxes, scores, words = over(single.found, 0, asked["box_threshold"], asked["text_threshold"])
    same(boxes, told.outputs["predict.boxes_cxcywh"], **BOXES)
    same(scores, told.outputs["predict.scores"], **LOGITS)
    ids = single.encoded["input_ids"][0]
    assert [phrase(opened.tokenizer, ids, some) for some in words] == asked["phrases"]


def test_parity_groundingdino_spans_become_tokens(told, opened):
    caption, spans = told.config["captions"][0], told.config["predict"]["char_spans"]
    encoded = opened.tokenizer(caption, return_offsets_mapping=True)
    expected = told.outputs["predict.positive_map"]
    for row, ((begin, end),) in enumerate(spans):
        inside = [begin <= a < b <= end for a, b in encoded["offset_mapping"]]
        assert np.flatnonzero(expected[row] > 0).tolist() == np.flatnonzero(inside).tolist()


def test_parity_groundingdino_pictures(told, opened):
    shortest, longest = told.config["resize"]
    for name in [name for name in told.inputs if name.startswith("raw_image.")]:
        raw = told.inputs[name].numpy()
        expected = told.inputs[name.removeprefix("raw_")]
        assert resized(raw.shape[:2], shortest, longest) == tuple(expected.shape[1:])
        ours = prepare(raw, opened.mean, opened.std, shortest, longest)
        same(ours, expected, atol=1e-5, rtol=1e-5)


def test_parity_groundingdino_round_trip_is_bit_identical(opened):
    theirs = open_weights(FOLDER / "weights.pth")
    ours = groundingdino.published(opened.detector)
    ignored = {name for name in theirs if not groundingdino.TABLE.reads(name)}
    assert set(ours) == set(theirs) - ignored
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    again, _ = groundingdino.TABLE.read(ours)
    state = opened.detector.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in again.items())


def test_parity_groundingdino_both_files_hold_the_same():
    pickled, safe = (open_weights(FOLDER / f"weights.{ending}") for ending in ("pth", "safetensors"))
    assert set(pickled) == set(safe) and all(torch.equal(pickled[name], safe[name]) for name in safe)
