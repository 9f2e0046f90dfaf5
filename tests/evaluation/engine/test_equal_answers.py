"""What an answer may depend on: its own batch, and neither what was asked before nor the company of its picture."""

from dataclasses import replace

import pytest
import torch

from ullava.configs.schema import GenerationConfig
from ullava.models.answering import Answerer
from ullava.models.assembly import assemble

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
