"""The keyword's loss: what it compares a state with, and that it teaches words."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ullava.models.heads.keyword_alignment import TEMPERATURE, KeywordAlignment, spread

WIDTH, CHANNELS, VOCABULARY = 12, 8, 20
RING, RED_RING, BALL = ((7,),), ((3, 7),), ((5,),)  # the ids of a promise's only word


def made(way: str) -> KeywordAlignment:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        alignment = KeywordAlignment(WIDTH, CHANNELS, way)
        alignment.table = (nn.Embedding(VOCABULARY, WIDTH),)
        return alignment


def keys(count: int) -> torch.Tensor:
    return torch.randn(count, CHANNELS, generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def test_published_a_state_is_classified_among_all_words():
    alignment, states = made("first_token"), keys(2)
    table = F.normalize(alignment.words(alignment.table[0].weight), dim=1)
    scores = F.normalize(states, dim=1) @ table.T / TEMPERATURE
    expected = F.cross_entropy(scores, torch.tensor([3, 5]), reduction="none")
    torch.testing.assert_close(alignment(states, (RED_RING, BALL)), expected)


@torch.no_grad()
def test_ours_compares_whole_keywords_with_each_other_and_with_rows_that_are_no_part_of_them():
    alignment, states = made("mean_infonce"), keys(3)
    rows = alignment.table[0].weight
    means = torch.stack([rows[[3, 7]].mean(0), rows[5]])
    candidates = alignment.words(F.layer_norm(torch.cat([means, rows]), (WIDTH,)))
    scores = F.normalize(states, dim=1) @ F.normalize(candidates, dim=1).T / TEMPERATURE
    expected = []
    for score, truth, own in zip(scores, (0, 1, 0), ((3, 7), (5,), (3, 7)), strict=True):
        kept = [n for n in range(len(score)) if n - 2 not in own]  # row k stands at 2 + k
        expected.append(torch.logsumexp(score[kept], 0) - score[truth])
    found = alignment(states, (RED_RING, BALL, RED_RING))
    torch.testing.assert_close(found, torch.stack(expected), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("way", ["first_token", "mean_infonce"])
def test_promises_without_words_give_no_number(way):
    alignment, states = made(way), keys(3)
    found = alignment(states, ((), BALL, ()))
    assert found.shape == (1,)
    if way == "first_token":
        torch.testing.assert_close(found, alignment(states[1:2], (BALL,)))


@pytest.mark.parametrize("way", ["first_token", "mean_infonce"])
@pytest.mark.parametrize("words", [(), ((), ())])
def test_where_no_word_is_promised_every_weight_still_has_a_gradient(way, words):
    alignment, states = made(way), keys(max(1, len(words))).requires_grad_()
    found = alignment(states, words)
    assert found.shape == (0,)
    found.sum().backward()
    assert not states.grad.any() and not alignment.words.weight.grad.any()


def test_the_words_stay_where_they_are_with_ours():
    for way, moves in (("first_token", True), ("mean_infonce", False)):
        alignment = made(way)
        alignment(keys(2), (RED_RING, BALL)).sum().backward()
        assert (alignment.table[0].weight.grad is not None) == moves


def test_the_table_is_the_language_models_own():
    names = {name for name, _ in made("mean_infonce").named_parameters()}
    assert names == {"words.weight", "words.bias"}


@pytest.mark.parametrize("way", ["first_token", "mean_infonce"])
def test_states_learn_which_word_is_theirs(way):
    alignment, states = made(way), keys(3).requires_grad_()
    optimizer = torch.optim.Adam([states, *alignment.words.parameters()], lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        loss = alignment(states, (RING, BALL, RED_RING)).mean()
        loss.backward()
        optimizer.step()
    assert loss < 0.1


def test_rows_are_spread_over_the_vocabulary_and_differ_between_batches():
    assert spread(20, 256, 3) == [*range(3, 20), 0, 1, 2]
    assert spread(1000, 4, 7) == [7, 257, 507, 757]
    assert spread(1000, 4, 8) != spread(1000, 4, 7)
