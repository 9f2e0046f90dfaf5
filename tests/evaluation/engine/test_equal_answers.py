"""What an answer may depend on: its own batch, and neither what was asked before nor the company of its picture."""

from dataclasses import replace

import pytest
import torch

from ullava.configs.schema import GenerationConfig
from ullava.models.answering import Answerer, open_answerer
from ullava.models.assembly import assemble
from ullava.models.folders import checkpoints

SAMPLED = GenerationConfig(temperature=5.0, max_new_tokens=8, seed=3)


@pytest.fixture(scope="module")
def assembled(recipe):
    return assemble(recipe())


def test_what_a_batch_draws_is_its_own(assembled, world):
    """The draws depend on the seed and on who is asked, not on what was drawn or asked before."""
    first, second = world.chat(), world.segment(1)
    answerer = Answerer(assembled, SAMPLED)
    alone = [answerer([dialogue])[0].text for dialogue in (first, second)]
    before = torch.get_rng_state()
    torch.manual_seed(99)
    again = [answerer([dialogue])[0].text for dialogue in (second, first)]
    torch.set_rng_state(before)
    assert alone == again[::-1]


def test_batches_draw_differently(assembled, world):
    """The same question under another id, and under another seed, is answered by other draws."""
    asked = world.chat()
    said = Answerer(assembled, SAMPLED)([asked])[0].text
    renamed = replace(asked, id="another", sample=replace(asked.sample, id="toy/another"))
    assert Answerer(assembled, SAMPLED)([renamed])[0].text != said
    assert Answerer(assembled, SAMPLED.model_copy(update={"seed": 4}))([asked])[0].text != said


def test_an_evaluation_encodes_pictures_one_by_one(assembled, tmp_path):
    """So that the features of a picture are the same bits whichever pictures are first asked about beside it."""
    checkpoints.save(tmp_path / "run", assembled.model, assembled.config, assembled.processor.tokenizer)
    assert all(tower.at_once > 1 for tower in assembled.model.towers.values())
    opened = open_answerer(str(tmp_path / "run"), GenerationConfig())
    assert opened.model.towers and all(tower.at_once == 1 for tower in opened.model.towers.values())
