"""The tokens that the network's vocabulary gains: which a stage may say, how a checkpoint spells them, their rows."""

from collections.abc import Collection, Sequence
from typing import cast

import torch
from torch import nn
from transformers import AddedToken, PreTrainedModel, PreTrainedTokenizerBase

from ullava.configs.schema import ModelConfig
from ullava.configs.tokens import BEGIN, END, IMAGE, KEY, LOC, NEG, PAD, PATCH, SEG, SPACED, STAGE_ONE, STAGE_TWO

SPELT = {  # keys of `model.tokens`
    "SEG": SEG, "LOC": LOC, "KEY": KEY, "NEG": NEG,
    "IMAGE_PATCH": PATCH[IMAGE], "IMAGE_BEGIN": BEGIN[IMAGE], "IMAGE_END": END[IMAGE],
}  # fmt: skip


def spelling_of(config: ModelConfig) -> dict[str, str]:
    """Our spelling of a token -> the checkpoint's; "" is a token that it lacks."""
    return {SPELT[name]: spelt for name, spelt in config.tokens.items()}


def new_words(config: ModelConfig) -> tuple[list[str], set[str]]:
    """The tokens that a stage may say, as the checkpoint spells them, and those that take the space before them."""
    spelling = spelling_of(config)
    tokens = [spelling.get(token, token) for token in (*STAGE_ONE, *(STAGE_TWO if config.heads else ()))]
    return [token for token in tokens if token], {spelling.get(token, token) for token in SPACED}  # it may lack some


def own_rows(config: ModelConfig, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Ids of a stage's own tokens: those around pictures, or, with heads, those that own something."""
    spelling, known = spelling_of(config), tokenizer.get_vocab()
    own = [spelling.get(token, token) for token in (STAGE_TWO if config.heads else (*BEGIN.values(), *END.values()))]
    return tuple(known[token] for token in own if token in known)


def add_words(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[str], spaced: Collection[str] = ()) -> list[str]:
    """Adds the tokens that are missing, and returns them.

    Tokens in `spaced` take the space before them, as where the published weights were trained (transformers 4.31): the
    state that emits them is then that of a word, and not of a lone space that no text ever had.
    """
    known = tokenizer.get_vocab()
    missing = [token for token in tokens if token not in known]
    tokenizer.add_tokens([AddedToken(token, lstrip=token in spaced, special=True) for token in missing])
    if tokenizer.pad_token is None:
        tokenizer.pad_token = PAD
    return missing


def input_embeddings(llm: PreTrainedModel) -> nn.Embedding:
    """The table by which a language model reads its tokens; transformers types it as any module."""
    return cast(nn.Embedding, llm.get_input_embeddings())


def output_embeddings(llm: PreTrainedModel) -> nn.Linear:
    """The last layer of a causal language model, a row a token; transformers does not type it."""
    return cast(nn.Linear, llm.get_output_embeddings())


def add_tokens(
    tokenizer: PreTrainedTokenizerBase, llm: PreTrainedModel, tokens: Sequence[str], spaced: Collection[str] = ()
) -> None:
    """Adds the tokens that are missing; their rows begin near the mean of the old ones, a little apart."""
    known = tokenizer.get_vocab()
    missing = add_words(tokenizer, tokens, spaced)
    before = input_embeddings(llm).weight.shape[0]
    if len(tokenizer) > before:
        llm.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    ids = tokenizer.convert_tokens_to_ids(missing)
    assert isinstance(ids, list)  # for a list of tokens
    new = sorted({*range(before, len(tokenizer)), *ids})  # Qwen has spare rows
    if not new:
        return
    for table in dict.fromkeys((input_embeddings(llm).weight, output_embeddings(llm).weight)):
        with torch.no_grad():
            old = table[: min(before, len(known))].float()
            noise = torch.randn(len(new), table.shape[1]) * old.std() * 0.1
            table[new] = (old.mean(0) + noise).to(table.dtype)


def add_rows(llm: PreTrainedModel, count: int) -> None:
    """Adds rows for `count` tokens to a language model without a tokenizer and without numbers."""
    llm.resize_token_embeddings(input_embeddings(llm).weight.shape[0] + count, mean_resizing=False)
