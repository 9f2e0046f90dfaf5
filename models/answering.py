"""Answers questions in batches: generates with a KV cache, then re-reads what was said by the training code.

One path for given and generated answers: the states that emitted the owner tokens come from one pass over the answer,
on top of the prompt's cache.
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ullava.configs.schema import GenerationConfig
from ullava.configs.tokens import SPACED
from ullava.datasets.structures import Answer, Dialogue
from ullava.models.assembly import PRECISIONS, Assembled, reopen
from ullava.models.backbones.base import Generated, Prompt
from ullava.models.batching.batch import Batch, Promised
from ullava.models.batching.collator import Collator, stand
from ullava.models.batching.example import Example
from ullava.models.quantisation import QUANTISED, open_bitsandbytes, quantise

SPACES = re.compile(rf"\s*(?={'|'.join(map(re.escape, SPACED))})")  # decoding loses what the tokens own


class Answerer:
    """Answers dialogues of which the last answer is open, or reads the answer they hold.

    Args:
        assembled: the network and its processor.
        generation: how.
    """

    def __init__(self, assembled: Assembled, generation: GenerationConfig):
        self.model, self.processor, self.generation = assembled.model.eval(), assembled.processor, generation
        self.config = assembled.config
        tokenizer: Any = self.processor.tokenizer  # transformers does not type its special tokens
        self.tokens = self.model.tokens
        self.ids = {token: tokenizer.convert_tokens_to_ids(self.processor.spell(token)) for token in self.tokens}
        layout = self.model.backbone.layout
        self.collate = Collator(tokenizer.pad_token_id, self.tokens, layout=layout)
        self.collate_open = Collator(tokenizer.pad_token_id, self.tokens, layout=layout, left=True)
        closing = self.processor.conversation.closing
        self.mark = closing.strip() or closing
        stop = last_id(tokenizer, closing)
        self.stop_ids = sorted({i for i in (stop, tokenizer.eos_token_id) if i is not None})
        self.stop_strings = [self.mark] if stop is None else None

    @torch.no_grad()
    def __call__(self, dialogues: Sequence[Dialogue], *, given: bool = False) -> list[Answer]:
        """One answer per dialogue, in order.

        Args:
            dialogues: one batch.
            given: read the answers that stand in the dialogues instead of generating.
        """
        rows = [self.processor(dialogue, answered=given) for dialogue in dialogues]
        if given:
            return self.read(dialogues, rows)
        device = self.model.llm.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):  # draws are a batch's own
            names = "|".join(dialogue.id for dialogue in dialogues)
            torch.manual_seed(zlib.crc32(names.encode(), self.generation.seed))
            return self.generate_and_read(rows)

    def read(self, dialogues: Sequence[Dialogue], rows: Sequence[Example]) -> list[Answer]:
        """What the heads make of the given answers."""
        batch = self.collate(rows).to(self.model.llm.device)
        states = self.model.backbone.states(self.model.backbone.encode(batch))
        texts = [" ".join(turn.answer for turn in dialogue.turns) for dialogue in dialogues]
        return self.predict(texts, states, batch)

    def generate_and_read(self, rows: Sequence[Example]) -> list[Answer]:
        """Generates, then reads."""
        batch = self.collate_open(rows).to(self.model.llm.device)
        prompt = self.model.backbone.encode(batch)
        generated = self.generate(prompt)
        texts = [self.text(ids) for ids in generated.ids.tolist()]
        batch, states = self.reread(prompt, batch, generated, rows)
        return self.predict(texts, states, batch)

    def generate(self, prompt: Prompt) -> Generated:
        """Greedy, sampled or beamed ids after prompts padded at the left."""
        how = self.generation
        stopping = {
            "eos_token_id": self.stop_ids, "pad_token_id": self.processor.tokenizer.pad_token_id,
            "stop_strings": self.stop_strings, "tokenizer": self.processor.tokenizer if self.stop_strings else None,
        }  # fmt: skip
        return self.model.backbone.generate(prompt, generation_keywords(how) | stopping)

    def reread(
        self, prompt: Prompt, batch: Batch, generated: Generated, rows: Sequence[Example]
    ) -> tuple[Batch, Tensor]:
        """The batch with the promises that were said, and the states from the prompt's last one on, (B, T + 1, D)."""
        states = self.model.backbone.reread(prompt, generated)
        ids = generated.ids.tolist()
        promised = {token: self.promises_of(token, ids, rows, batch).to(states.device) for token in self.tokens}
        return replace(batch, promised=promised), states

    def promises_of(self, token: str, answers: list[list[int]], rows: Sequence[Example], batch: Batch) -> Promised:
        """Where the generated answers hold `token`; each is about the picture that its row is about, or is left out."""
        frames = {row: number for number, row in enumerate(batch.frame_rows)}  # an open row has no other frame
        sizes = {n: row.media[row.about].size for n, row in enumerate(rows) if row.about is not None}
        spots = [(n, column) for n, ids in enumerate(answers) if n in sizes for column in self.find_tokens(ids, token)]
        return stand(spots, [frames.get(n, -1) for n, _ in spots], [sizes[n] for n, _ in spots])

    def find_tokens(self, ids: list[int], token: str) -> list[int]:
        """Where in an answer's ids the token stands, before its end."""
        ends = [ids.index(stop) for stop in self.stop_ids if stop in ids]
        return [i for i, other in enumerate(ids[: min(ends, default=len(ids))]) if other == self.ids[token]]

    def text(self, ids: list[int]) -> str:
        """An answer in our spelling, without its end and padding; owner tokens stay in it."""
        ends = [ids.index(stop) for stop in self.stop_ids if stop in ids]
        tokenizer: Any = self.processor.tokenizer  # nor what it decodes
        text = tokenizer.decode(ids[: min(ends, default=len(ids))], skip_special_tokens=False)
        text = text.replace(tokenizer.pad_token, "")
        text = self.processor.unspell(text.partition(self.mark)[0])
        return SPACES.sub(" ", text).strip()

    def predict(self, texts: Sequence[str], states: Tensor, batch: Batch) -> list[Answer]:
        """The answers, a row each, with what the heads make of the states under their tokens."""
        predictions, scores = ([{name: [] for name in self.model.heads} for _ in texts] for _ in range(2))
        for head, predicted in self.model.run_heads(states, batch):
            owners = batch.promised[head.token].rows.tolist()
            for row, result in zip(owners, head.results(predicted, batch), strict=True):
                predictions[row][head.name].append(result)
            for row, score in zip(owners, head.scores(predicted), strict=False):  # a head may have no opinion
                scores[row][head.name].append(score)
        kept = ([{name: tuple(v) for name, v in row.items()} for row in rows] for rows in (predictions, scores))
        return [Answer(*parts) for parts in zip(texts, *kept, strict=True)]


def generation_keywords(how: GenerationConfig) -> dict[str, Any]:
    """What `generate` is told by a YAML."""
    sampling = {"temperature": how.temperature, "top_p": how.top_p, "top_k": 0} if how.temperature else {}
    told = {"max_new_tokens": how.max_new_tokens, "num_beams": how.num_beams, "do_sample": bool(sampling)}
    return told | sampling | how.options


def last_id(tokenizer: PreTrainedTokenizerBase, closing: str) -> int | None:
    """The token by which an answer with this closing ends, whatever its last word; None where there is no such one."""
    ends = {tokenizer(word + closing, add_special_tokens=False)["input_ids"][-1] for word in ("it", "it.", "it)")}
    mark = closing.strip() or closing
    last: Any = tokenizer.decode(list(ends))  # a text, though declared as one or a list of them
    known = len(ends) == 1 and last.strip() in (mark, mark.strip())
    return ends.pop() if known else None


def open_answerer(
    folder: str, generation: GenerationConfig, *, allow_mismatch: bool = False, device: str | torch.device | None = None
) -> Answerer:
    """Opens a run, a checkpoint or a merged folder to be asked.

    Args:
        allow_mismatch: stand on other foundations than it was trained on.
        device: where the network lives; None: the GPU where there is one.

    Raises:
        FileNotFoundError, ValueError: there is no such folder, or it does not hold what it says.
        ImportError: the precision needs a library that is not installed.
    """
    if generation.precision in QUANTISED:
        open_bitsandbytes(generation.precision)
    assembled = reopen(folder, precision=generation.precision, allow_mismatch=allow_mismatch)
    cast(assembled, generation.precision, device)
    return Answerer(assembled, generation)


def cast(assembled: Assembled, precision: str, device: str | torch.device | None = None) -> None:
    """Brings every weight to the precision, and to the device; precise heads, whose coordinates need it, stay float32.

    Args:
        device: None: the GPU where there is one.
    """
    device = str(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    precise = tuple(f"heads.{name}." for name, head in assembled.model.heads.items() if head.precise)
    for name, parameter in assembled.model.named_parameters():
        kept = torch.float32 if name.startswith(precise) else PRECISIONS[precision]
        parameter.data = parameter.data.to(kept)
    if precision in QUANTISED:
        quantise(assembled.model.llm, precision, device)
    assembled.model.to(device)
