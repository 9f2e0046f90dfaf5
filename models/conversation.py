"""How a dialogue is written for a language model, and where in the text each answer stands.

Training and generation use one writer, so that they cannot differ (u-LLaVA's did: spec, defect D11). Names are ours;
u-LLaVA's old ones are accepted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ullava.configs.registry import nearest
from ullava.datasets.structures import Turn

CURIOUS = (  # Vicuna v1.1's system prompt, as u-LLaVA's conv_sep2 (Apache-2.0)
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions. "
)


@dataclass(frozen=True, slots=True)
class Script:
    """A written dialogue.

    Attributes:
        text: what the tokenizer reads.
        answers: (start, end) characters of each answer with its closing mark: what the language loss supervises.
    """

    text: str
    answers: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Conversation:
    """One way of writing. An answer is always `" " + answer + closing`.

    Attributes:
        opening: before everything.
        question: with the slot `{question}`, up to where the answer begins.
        closing: ends an answer; also where generation stops.
    """

    opening: str
    question: str
    closing: str

    def write(self, turns: Sequence[Turn], *, answered: bool = True) -> Script:
        """Writes all turns; with `answered` false the last turn stays open, for generation."""
        text, answers = self.opening, []
        for number, turn in enumerate(turns, 1):
            text += self.question.replace("{question}", turn.question)
            if answered or number < len(turns):
                start = len(text)
                text += f" {turn.answer}{self.closing}"
                answers.append((start, len(text)))
        return Script(text, tuple(answers))


CONVERSATIONS = {
    "simple": Conversation("\n\n###", "Human: {question}\n###Assistant:", "\n###"),
    "vicuna_v1": Conversation(CURIOUS, "USER: {question} ASSISTANT:", "</s>"),
}
OLD_NAMES = {"conv_simple": "simple", "conv_sep2": "vicuna_v1"}


def conversation(name: str) -> Conversation:
    """Returns the conversation of that name.

    Raises:
        LookupError: there is none; lists those there are.
    """
    name = OLD_NAMES.get(name, name)
    if name not in CONVERSATIONS:
        raise LookupError(f"no conversation {name!r}; {nearest(name, CONVERSATIONS)}")
    return CONVERSATIONS[name]
