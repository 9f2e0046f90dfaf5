"""Pretrains the language model: it learns to read pictures that are written in words, and to answer.

Besides the next word it learns three things at each state that is about to name the cells of a region: the region's
box, the attributes asked for, and the cells of all objects that match. The heads for these are thrown away afterwards.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset
from transformers import PreTrainedTokenizerFast

from ullava.configs.tokens import IGNORE_INDEX
from ullava.models.tiny import tiny_llm, tiny_tokenizer
from ullava.pretraining.cells import ATTRIBUTES, CELL_WORDS, GRID, PLACES
from ullava.pretraining.lessons import TokenizedLesson, lexicon, sample_row

SCALE = 0.5  # of the sum of a cell's words
GROUNDED = 3  # after this layer a question's attribute words know what they mean


class Reader(nn.Module):
    """A language model that reads cells, with the throwaway heads beside it."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast):
        super().__init__()
        self.llm = tiny_llm(len(tokenizer))
        width = self.llm.config.hidden_size
        self.box, self.about, self.heat = (
            nn.Linear(width, 4),
            nn.Linear(width, len(ATTRIBUTES)),
            nn.Linear(width, GRID**2),
        )
        self.named_box, self.named_heat = nn.Linear(width, 4), nn.Linear(width, GRID**2)
        self.register_buffer("words", torch.tensor(word_ids(tokenizer)))

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Hidden states of the last layer and of the `GROUNDED` one, (B, T, width) each."""
        table = self.llm.get_input_embeddings()
        embeds = table(batch["input_ids"])
        pictures = SCALE * batch["pictures"] @ table(self.words)
        rows = torch.arange(len(embeds)).unsqueeze(1)
        columns = batch["columns"]  # (B, P), short ones repeat their last
        embeds = embeds.index_put((rows, columns), pictures.to(embeds.dtype))
        outputs = self.llm.model(
            inputs_embeds=embeds, attention_mask=batch["attention_mask"], use_cache=False, output_hidden_states=True
        )
        middle = outputs.hidden_states[GROUNDED]
        return outputs.last_hidden_state, F.rms_norm(middle, middle.shape[-1:])


def word_ids(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Ids of the words that cells are written in.

    Raises:
        ValueError: one of them is not one token.
    """
    encoded = tokenizer([f" {word}" for word in CELL_WORDS], add_special_tokens=False)["input_ids"]
    for word, ids in zip(CELL_WORDS, encoded, strict=True):
        if len(ids) != 1:
            raise ValueError(f"{word!r}: expected one token, found {tokenizer.convert_ids_to_tokens(ids)}")
    return [ids[0] for ids in encoded]


def loss(model: Reader, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Cross-entropy of the answers' next words, and losses of what noted states predict: the total, and its parts."""
    with torch.autocast("cpu", torch.bfloat16):
        hidden, middle = model(batch)
    hidden, middle = hidden.float(), middle.float()
    answer_mask = batch["labels"][:, 1:] != IGNORE_INDEX
    logits = model.llm.lm_head(hidden[:, :-1][answer_mask])
    weights = batch["weights"][:, 1:][answer_mask]
    entropies = F.cross_entropy(logits, batch["labels"][:, 1:][answer_mask], reduction="none")
    words = (entropies * weights).sum() / weights.sum()
    states = hidden[batch["state_rows"], batch["state_columns"]]
    single = ~batch["boxes"].isnan().any(1)
    box = distance(model.box(states[single]), batch["boxes"][single])
    about = F.binary_cross_entropy_with_logits(model.about(states), batch["about"])
    heat = spread(model.heat(states), batch["heat"])
    named = middle[batch["named_rows"], batch["named_columns"]]
    unique = ~batch["named_boxes"].isnan().any(1)
    named_box = distance(model.named_box(named[unique]), batch["named_boxes"][unique])
    named_heat = spread(model.named_heat(named), batch["named_heat"])
    parts = {"words": words, "box": box, "about": about, "heat": heat, "nbox": named_box, "nheat": named_heat}
    return words + 3 * box + about + 0.3 * heat + 2 * named_box + 0.3 * named_heat, parts


def spread(logits: Tensor, cells: Tensor) -> Tensor:
    """Cross-entropy of the cells with even shares of the true ones; rows without a true one are left out."""
    rows = cells.sum(1) > 0
    return F.cross_entropy(logits[rows], cells[rows] / cells[rows].sum(1, keepdim=True))


def distance(predicted: Tensor, true: Tensor) -> Tensor:
    """Mean L1 distance; 0 where there is nothing to compare."""
    return (predicted - true).abs().sum() / max(predicted.numel(), 1)


def collate(rows: list[TokenizedLesson]) -> dict[str, Tensor]:
    """Pads rows on the right."""
    width, cells = max(len(row.input_ids) for row in rows), max(len(row.picture) for row in rows)

    def padded(values: list[np.ndarray], fill: float) -> Tensor:
        return torch.from_numpy(np.stack([np.pad(v, (0, width - len(v)), constant_values=fill) for v in values]))

    ids = padded([row.input_ids for row in rows], 0)
    order = [np.minimum(np.arange(cells), len(row.picture) - 1) for row in rows]
    return {
        "input_ids": ids,
        "attention_mask": padded([np.ones(len(row.input_ids), np.int64) for row in rows], 0),
        "labels": padded([row.labels for row in rows], IGNORE_INDEX),
        "weights": padded([row.weights for row in rows], 0),
        "lessons": padded([row.lessons for row in rows], -1),
        "pictures": torch.from_numpy(np.stack([row.picture[o] for row, o in zip(rows, order, strict=True)])),
        "columns": torch.from_numpy(np.stack([row.first + o for row, o in zip(rows, order, strict=True)])),
        "state_rows": torch.tensor([i for i, row in enumerate(rows) for _ in row.states], dtype=torch.long),
        "state_columns": torch.from_numpy(np.concatenate([row.states for row in rows]).astype(np.int64)),
        "boxes": torch.from_numpy(np.concatenate([row.boxes for row in rows])),
        "about": torch.from_numpy(np.concatenate([row.about for row in rows])),
        "heat": torch.from_numpy(np.concatenate([row.heat for row in rows])),
        "named_rows": torch.tensor([i for i, row in enumerate(rows) for _ in row.named], dtype=torch.long),
        "named_columns": torch.from_numpy(np.concatenate([row.named for row in rows])),
        "named_boxes": torch.from_numpy(np.concatenate([row.named_boxes for row in rows])),
        "named_heat": torch.from_numpy(np.concatenate([row.named_heat for row in rows])),
    }


class Lessons(IterableDataset):
    """An endless stream of batches, drawn in another process."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, seed: tuple[int, ...], batch_size: int):
        self.tokenizer, self.seed, self.batch_size = tokenizer, seed, batch_size

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        rng = np.random.default_rng(self.seed)
        while True:
            rows = [sample_row(rng, self.tokenizer) for _ in range(4 * self.batch_size)]
            rows.sort(key=lambda row: len(row.input_ids))  # rows of like length together: a fifth less padding
            for part in rng.permutation(4):
                yield collate(rows[part * self.batch_size : (part + 1) * self.batch_size])


def batches(tokenizer: PreTrainedTokenizerFast, seed: tuple[int, ...], batch_size: int) -> Iterator[dict[str, Tensor]]:
    """An endless stream of batches of lessons."""
    return iter(DataLoader(Lessons(tokenizer, seed, batch_size), batch_size=None, num_workers=1, prefetch_factor=6))


@torch.no_grad()
def measure(model: Reader, rows: list[TokenizedLesson]) -> dict[str, float]:
    """Share of answers predicted word for word, by kind of question, each word after the true ones before it."""
    right, seen = defaultdict(int), defaultdict(int)
    errors, places = [], []
    for begin in range(0, len(rows), 16):
        part = rows[begin : begin + 16]
        batch = collate(part)
        hidden, _ = model(batch)
        best = model.llm.lm_head(hidden[:, :-1]).argmax(-1).numpy()
        labels, lessons = batch["labels"][:, 1:].numpy(), batch["lessons"][:, 1:].numpy()
        for i, row in enumerate(part):
            for number, kind in enumerate(row.kinds):
                at = lessons[i] == number
                seen[kind] += 1
                right[kind] += bool((best[i][at] == labels[i][at]).all())
        states = hidden[batch["state_rows"], batch["state_columns"]]
        single = ~batch["boxes"].isnan().any(1)
        errors.append((model.box(states[single]) - batch["boxes"][single]).abs().mean(1).numpy())
        hits = (model.heat(states[single]).argmax(1) == batch["heat"][single].argmax(1)).numpy()
        places.append(hits)
    scores = {kind: right[kind] / seen[kind] for kind in sorted(seen)}
    return scores | {"box_L1": float(np.concatenate(errors).mean()), "heat_top1": float(np.concatenate(places).mean())}


def held_out(tokenizer: PreTrainedTokenizerFast, seed: tuple[int, ...], count: int = 256) -> list[TokenizedLesson]:
    """Rows for measuring, drawn from a seed that training does not use; nothing is dropped from their pictures."""
    rng = np.random.default_rng(seed)
    return [sample_row(rng, tokenizer, drop=0.0) for _ in range(count)]


def tokenizer(folder: Path, seed: tuple[int, ...]) -> PreTrainedTokenizerFast:
    """The tokenizer in `folder`, built there if there is none."""
    if not (folder / "tokenizer.json").is_file():
        texts = lexicon(np.random.default_rng(seed)) + [f" {word}" for word in (*CELL_WORDS, *PLACES)]
        tiny_tokenizer(texts).save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)
