"""Rows of added tokens, where the old rows have a mean that is far from nothing."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ullava.models.assembly import add_tokens

TOKENS = ["[A]", "[B]", "[C]", "[D]"]


@pytest.fixture
def grow(zoo):
    """Adds four tokens to the tiny language model whose rows were moved by 3 (inputs) and -2 (outputs), by a seed."""

    def add(seed: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        llm = AutoModelForCausalLM.from_pretrained(zoo / "llm")
        tokenizer = AutoTokenizer.from_pretrained(zoo / "llm")
        with torch.no_grad():
            llm.get_input_embeddings().weight += 3
            llm.get_output_embeddings().weight -= 2
        before = len(llm.get_input_embeddings().weight)
        assert before == len(tokenizer)
        torch.manual_seed(seed)
        add_tokens(tokenizer, llm, TOKENS)
        assert tokenizer.convert_tokens_to_ids(TOKENS) == list(range(before, before + 4))
        tables = (llm.get_input_embeddings().weight, llm.get_output_embeddings().weight)
        return [(table[:before].detach(), table[before:].detach()) for table in tables]

    return add


def test_new_rows_lie_around_the_mean_of_the_old_ones(grow):
    for (old, new), shift in zip(grow(0), (3, -2), strict=True):
        assert new.shape == (4, 32)
        mean, deviation = old.mean(0), float(old.std())
        assert abs(float(mean.mean()) - shift) < 0.1
        apart = (new - mean).abs().max()  # of 4 x 32 draws with a deviation of 0.1 that of the old rows
        assert 0 < apart < 0.1 * deviation * 5
        assert len({tuple(row) for row in new.tolist()}) == 4


def test_new_rows_follow_from_the_seed(grow):
    (first, _), (same, _), (other, _) = grow(1), grow(1), grow(2)
    assert torch.equal(first[1], same[1]) and not torch.equal(first[1], other[1])
