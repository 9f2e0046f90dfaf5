"""Every `tokenization.json` under ../shared/parity is reproduced: ids as the published code made them."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.shared import SHARED
from ullava.configs.tokens import IGNORE_INDEX
from ullava.datasets.images import View
from ullava.datasets.structures import OWNER_PATTERN, Dialogue, Picture, Promise, Region, Sample, Turn, Video
from ullava.models.backbones.tower_layout import TowerLayout
from ullava.models.batching.processor import Processor
from ullava.models.text.conversation import conversation
from ullava.models.text.tokenization import legacy, open_tokenizer

FOLDERS = sorted(path.parent for path in SHARED.glob("parity/*/tokenization.json"))
IMAGE_ID = -200  # LLaVA's mark for a picture among the ids
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not FOLDERS, reason="no parity/*/tokenization.json under $ULLAVA_SHARED"),
]


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda folder: folder.name)
def given(request):
    """(tokenizer under the old rule, what tokenization.json holds)."""
    folder = request.param
    return legacy(open_tokenizer(folder / "tokenizer")), json.loads((folder / "tokenization.json").read_text())


def test_parity_tokenization_of_texts(given):
    tokenizer, expected = given
    wrong = [line["text"] for line in expected["plain"] if tokenizer(line["text"])["input_ids"] != line["input_ids"]]
    assert wrong == []


def test_parity_tokenization_around_a_picture(given):
    """LLaVA cuts at <image> before it tokenizes, and keeps one beginning (mm_utils.py, tokenizer_image_token)."""
    tokenizer, expected = given
    for line in expected.get("with_image", ()):
        first, *others = (tokenizer(part)["input_ids"] for part in line["text"].split("<image>"))
        assert first + [i for ids in others for i in (IMAGE_ID, *ids[1:])] == line["input_ids"], line["text"]


def test_parity_tokenization_of_dialogues(given):
    """Written by our processor: ids, and the labels of vicuna_v1.

    Labels of conv_simple are the reference's trap: it counts tokens, takes two off, and labels parts of questions.
    """
    tokenizer, expected = given
    for line in expected.get("labelled", ()):
        ids, supervised = write(tokenizer, line)
        assert ids.tolist() == line["input_ids"], line["conversation"]
        if line["conv_type"] == "conv_sep2":
            assert np.where(supervised, ids, IGNORE_INDEX).tolist() == line["labels"], line["conversation"]


def write(tokenizer, line: dict) -> tuple[np.ndarray, np.ndarray]:
    """Ids of a line's conversation, and whether each is supervised."""
    asked = [words["value"].removeprefix("<image>\n") for words in line["conversation"][::2]]
    turns = tuple(Turn(q, a["value"]) for q, a in zip(asked, line["conversation"][1::2], strict=True))
    video = line["kind"] == "video"
    shown = video or "<image>" in line["conversation"][0]["value"]
    media = (Video(Path("a.mp4")) if video else Picture(Path("a.png")),) if shown else ()
    region = Region(("dog",), "dog", (0, 0, 1, 1))
    said = [(found.group(), n) for n, turn in enumerate(turns) for found in OWNER_PATTERN.finditer(turn.answer)]
    promises = tuple(Promise(token, region, turn) for token, turn in said)
    dialogue = Dialogue("parity", Sample("parity", media, (region,)), turns, promises)
    patches = line["visual_tokens"]
    layout = TowerLayout(View(1), patches - video, frames=1)
    processor = Processor(tokenizer, conversation(line["conv_type"], tokenizer), layout=layout)
    _, script, places, (ids, supervised, _) = processor.fit(dialogue, True)
    shift, _ = processor.unroll(dialogue, places, ids)
    full = np.zeros(len(ids) + int(shift[-1]), bool)
    full[np.arange(len(ids)) + shift] = supervised
    return np.repeat(ids, np.diff(shift, prepend=0) + 1), full
