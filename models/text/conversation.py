"""How a dialogue is written for a language model, and where in the text each answer stands.

Training and generation use one writer, so that they cannot differ (u-LLaVA's did: spec, defect D11). Names are ours;
those of u-LLaVA, LISA and LLaVA are accepted where they mean the same text.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerBase

from ullava.configs.registry import nearest
from ullava.datasets.structures import Turn
from ullava.models.text.chat_template import ChatTemplate
from ullava.models.text.script import Script

CURIOUS = (  # Vicuna v1.1's system prompt, as u-LLaVA's conv_sep2 and LISA's llava_v1 (Apache-2.0)
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions. "
)
HELPFUL = (  # LISA's llava_llama_2 (Apache-2.0), model/llava/conversation.py
    "You are a helpful language and vision assistant. "
    "You are able to understand the visual content that the user provides, "
    "and assist the user with a variety of tasks using natural language."
)
BEGIN, END = "<s>", "</s>"  # of a text, in LLaMA's spelling; another tokenizer's own stand in their place


@dataclass(frozen=True, slots=True)
class Conversation:
    """One way of writing. An answer is always `gap + answer + closing`.

    Attributes:
        opening: before everything.
        question: with the slot `{question}`, up to where the answer begins.
        closing: ends an answer; also where generation stops.
        between: before every question but the first.
        gap: between a question and its answer.
        words: questions are written; else nothing of them but the media they show.
        special: the tokenizer puts its own begin of a text in front.
    """

    opening: str
    question: str
    closing: str
    between: str = ""
    gap: str = " "
    words: bool = True
    special: bool = True

    def write(self, turns: Sequence[Turn], *, answered: bool = True) -> Script:
        """Writes all turns; with `answered` false the last turn stays open, for generation."""
        text, answers = self.opening, []
        for number, turn in enumerate(turns, 1):
            text += self.between if number > 1 else ""
            text += self.question.replace("{question}", turn.question)
            if answered or number < len(turns):
                start = len(text)
                text += f"{self.gap}{turn.answer}{self.closing}"
                answers.append((start, len(text)))
        return Script(text, tuple(answers))

    def of(self, tokenizer: PreTrainedTokenizerBase) -> "Conversation":
        """The same in the words of a tokenizer: one without a begin of a text gets none, an end is its own."""
        if tokenizer.eos_token is None and END in self.closing:
            raise ValueError(f"{tokenizer.name_or_path}: the tokenizer has no eos_token, which could end an answer")
        begin, end = str(tokenizer.bos_token or ""), str(tokenizer.eos_token or "")
        return replace(self, between=self.between.replace(BEGIN, begin), closing=self.closing.replace(END, end))


CONVERSATIONS = {
    "simple": Conversation("\n\n###", "Human: {question}\n###Assistant:", "\n###"),
    "vicuna_v1": Conversation(CURIOUS, "USER: {question} ASSISTANT:", END),
    "llama2": Conversation(
        f"[INST] <<SYS>>\n{HELPFUL}\n<</SYS>>\n\n", "{question} [/INST]", f" {END}", between=f"{BEGIN}[INST] "
    ),
    "plain": Conversation("", "{question}", "\n", gap="", words=False),  # LLaVA's first stage: a picture, its caption
}
CHAT_TEMPLATE = "chat_template"
OLD_NAMES = {
    "conv_simple": "simple", "conv_sep2": "vicuna_v1", "llava_v1": "vicuna_v1", "conv_llama2": "llama2",
    "llava_llama_2": "llama2", "conv_llava_llama_2": "llama2",
}  # fmt: skip


def known_name(name: str) -> str:
    """Our name of a conversation.

    Raises:
        LookupError: there is none; lists those there are.
    """
    name, known = OLD_NAMES.get(name, name), (*CONVERSATIONS, CHAT_TEMPLATE)
    if name not in known:
        raise LookupError(f"no conversation {name!r}; {nearest(name, known)}")
    return name


def conversation(name: str, tokenizer: PreTrainedTokenizerBase | None = None) -> Conversation | ChatTemplate:
    """Returns the conversation of that name, in the words of `tokenizer`, or else of LLaMA's.

    Raises:
        LookupError: there is none; lists those there are.
        ValueError: the tokenizer cannot write it.
    """
    name = known_name(name)
    if name == CHAT_TEMPLATE:
        if tokenizer is None:
            raise ValueError(f"conversation {name!r}: expected the tokenizer that has it, found none")
        return ChatTemplate(tokenizer)
    return CONVERSATIONS[name].of(tokenizer) if tokenizer else CONVERSATIONS[name]
