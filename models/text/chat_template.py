"""Dialogues in a tokenizer's own chat template, such as Qwen's ChatML.

The template is rendered once per number of turns, around placeholders that questions and answers then replace. So each
answer's place is known even where a template rewrites earlier turns (Qwen3 takes their thoughts out), and no question
can be taken for a part of the template. What generation begins with is compared with what training has seen.
"""

import re
from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from ullava.datasets.structures import Turn
from ullava.models.text.script import Script

PLACEHOLDER = re.compile(r"@@(\d+)@@")


class ChatTemplate:
    """Writes as the tokenizer's template says; thinking, where a template knows it, is off.

    Attributes:
        gap: whitespace that stands before an answer, but not in what asks for one: the model has to say it.
        closing: ends an answer, up to the first token that is no word; also where generation stops.

    Raises:
        ValueError: there is no template, or one that does not end its answers, or begins them otherwise than it asks.
    """

    words, special = True, False  # questions are written; the begin of a text is the template's to write

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self.tokenizer = tokenizer
        self.known: dict[int, list[str]] = {}
        if tokenizer.chat_template is None:
            raise ValueError(f"{self.where} is missing; take another conversation, e.g. vicuna_v1")
        _, asked = self.render(1)
        _, before, tail = self.render(2)
        self.gap = before[len(asked) :]
        if not before.startswith(asked) or self.gap.strip():
            raise ValueError(
                f"{self.where} asks for an answer by {asked!r}, and writes {before!r} before a given one; they have to "
                "be the same: take another conversation"
            )
        either: Any = tokenizer  # slow and fast ones have added tokens, their common class declares none
        added: dict[str, int] = either.get_added_vocab()
        marks = [tail.index(mark) + len(mark) for mark in added if mark in tail]
        self.closing = tail[: min(marks)] if marks else tail
        if not self.closing.strip():
            raise ValueError(f"{self.where} ends an answer with {tail!r}, where generation cannot stop; take another")

    @property
    def where(self) -> str:
        """How messages begin."""
        name = self.tokenizer.name_or_path or type(self.tokenizer).__name__
        return f"model.conversation: the chat template of the tokenizer {name}"

    def write(self, turns: Sequence[Turn], *, answered: bool = True) -> Script:
        """Writes all turns; with `answered` false the last turn stays open, for generation."""
        pieces = self.pieces(2 * len(turns) - (not answered))
        said = [words for turn in turns for words in (turn.question, turn.answer)]
        text, answers = pieces[0], []
        for number, (words, behind) in enumerate(zip(said, pieces[1:], strict=False)):
            start, text = len(text), text + words + behind
            if number % 2:
                answers.append((start - len(self.gap), start + len(words) + len(self.closing)))
        return Script(text, tuple(answers))

    def pieces(self, count: int) -> list[str]:
        """What stands before, between and behind `count` questions and answers: count + 1 texts.

        Raises:
            ValueError: earlier answers do not begin and end as the last one.
        """
        if count not in self.known:
            pieces = self.render(count)
            for before, behind in zip(pieces[1:-1:2], pieces[2::2], strict=False):
                if not before.endswith(self.gap) or not behind.startswith(self.closing):
                    raise ValueError(
                        f"{self.where} writes {before!r} and {behind!r} around an earlier answer, expected "
                        f"{self.gap!r} and {self.closing!r} next to it; take another conversation"
                    )
            asked = [*pieces[:-2], pieces[-2].removesuffix(self.gap)]
            if count % 2 == 0 and asked != self.pieces(count - 1):
                raise ValueError(
                    f"{self.where} writes {count // 2} turns otherwise when it asks for the last answer than when it "
                    "has it; take another conversation"
                )
            self.known[count] = pieces
        return self.known[count]

    def render(self, count: int) -> list[str]:
        """The template around `count` placeholders, cut at them; an odd count asks for an answer."""
        messages = [{"role": ("user", "assistant")[n % 2], "content": f"@@{n}@@"} for n in range(count)]
        try:
            text = self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=count % 2 == 1, enable_thinking=False
            )
        except TemplateError as error:
            raise ValueError(f"{self.where} fails: {error}") from error
        assert isinstance(text, str)  # of one dialogue, without `tokenize`
        cut = PLACEHOLDER.split(text)
        if cut[1::2] != [str(n) for n in range(count)]:
            raise ValueError(
                f"{self.where} writes the messages {', '.join(cut[1::2]) or 'none'} when given 0 to {count - 1}; take "
                "another conversation"
            )
        return cut[::2]
