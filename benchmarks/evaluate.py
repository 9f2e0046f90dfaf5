"""How fast generated answers are scored (RES), against the way of the published programs, measured in the same run.

    python benchmarks/evaluate.py --model runs/demo/merged --limit 12
    python benchmarks/evaluate.py --size 7b --device cuda --limit 8

Both ways ask one network the same questions and mark the answers by the same code. The published way (LISA's
model/LISA.py, u-LLaVA's models/ullava.py: `evaluate`) asks one question at a time and keeps nothing: for every token of
an answer the vision tower sees the picture again and the language model reads everything again, and for every question
SAM sees the picture again. Without `--model` weights are random, and every answer holds one [SEG] and one [LOC].
On a CPU, seconds are those that the processor worked for this process: what else it does takes no part.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np
import torch

if not __package__:  # run as a file: `ullava` lies beside this folder, not in it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.generate import WORDS, endless, open_network, watch
from benchmarks.ledger import Ledger, clock, machine, peak_memory, show, table, this_device
from benchmarks.sizes import SIZES, Size, recipe, samples
from ullava.configs.messages import run_command
from ullava.configs.schema import EvaluationRow, GenerationConfig
from ullava.datasets.structures import Answer, Dialogue
from ullava.evaluation.engine.opening import open_row
from ullava.evaluation.engine.rows import evaluate_row
from ullava.models.answering import Answerer, cast
from ullava.models.assembly import Assembled, reopen
from ullava.models.backbones.base import Generated
from ullava.models.batching.batch import Batch
from ullava.models.batching.example import Example
from ullava.models.ullava import Ullava

PUBLISHED = "published way"


class Published(Answerer):
    """Answers as the published programs do: one question at a time, nothing kept from token to token."""

    def generate_and_read(self, rows: Sequence[Example]) -> list[Answer]:
        """As `Answerer.say`, of one row; the states come from the last pass, which has read all but the last token."""
        batch = self.collate_open(rows).to(self.model.llm.device)
        said = self.generate(batch)
        promised = {token: self.promises_of(token, said.ids.tolist(), rows, batch) for token in self.tokens}
        batch = replace(batch, promised={token: one.to(said.ids.device) for token, one in promised.items()})
        return self.predict([self.text(said.ids[0].tolist())], said.cache, batch)

    def generate(self, batch: Batch) -> Generated:
        """Greedy ids, and in the cache's place the states that emitted them, (1, T, D)."""
        ids: list[int] = []
        for _ in range(self.generation.max_new_tokens):
            known = self.model.backbone.encode(batch).embeds  # the tower and all, once more
            words = self.model.llm.get_input_embeddings()(torch.tensor([ids], dtype=torch.long, device=known.device))
            embeds = torch.cat([known, words.to(known.dtype)], dim=1)
            states = self.model.backbone.decoder(inputs_embeds=embeds, use_cache=False).last_hidden_state
            ids.append(int(self.model.llm.lm_head(states)[0, -1].argmax()))  # a logit for every token, as there
            if ids[-1] in self.stop_ids:
                break
        return Generated(torch.tensor([ids], device=states.device), states[:, known.shape[1] - 1 :])


@dataclass
class Noting:
    """An answerer that notes what it said, question by question."""

    answerer: Answerer
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def generation(self) -> GenerationConfig:
        return self.answerer.generation

    def __call__(self, dialogues: Sequence[Dialogue], *, given: bool) -> list[Answer]:
        answers = self.answerer(dialogues, given=given)
        self.texts |= {dialogue.id: answer.text for dialogue, answer in zip(dialogues, answers, strict=True)}
        return answers


@dataclass(slots=True)
class Figures:
    """One way: seconds of each round; what it said and scored; GiB; seconds of each part in one more round."""

    rounds: list[float] = field(default_factory=list)
    texts: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    memory: float = 0.0
    spent: Mapping[str, float] = field(default_factory=dict)


@contextmanager
def remembering(model: Ullava, kept: bool) -> Iterator[None]:
    """Begins with towers that have seen nothing; without `kept` they forget every picture at once."""
    before = {tower: tower.cache.capacity for tower in model.towers.values()}
    for tower, capacity in before.items():
        tower.remember(capacity if kept else 0)
    try:
        yield
    finally:
        for tower, capacity in before.items():
            tower.remember(capacity)


def ways(assembled: Assembled, how: GenerationConfig, sizes: Sequence[int], *, random: bool) -> dict[str, Answerer]:
    """The published way, and ours at several batch sizes, of one network."""
    for tower in assembled.model.towers.values():
        tower.at_once = 1  # as every evaluation has it (models/answering.py, open_answerer)
    found: dict[str, Answerer] = {}
    for name, kind, size in [(PUBLISHED, Published, 1), *((f"ours, batch {size}", Answerer, size) for size in sizes)]:
        answerer = kind(assembled, how.model_copy(update={"batch_size": size}))
        found[name] = endless(answerer) if random else answerer
    return found


def stopwatch(device: torch.device) -> Callable[[], float]:
    """Seconds of a GPU as they pass, of a CPU as this process uses them."""
    return clock(device) if device.type == "cuda" else process_time


def score(name: str, answerer: Answerer, row: EvaluationRow, own: Mapping[str, Any], figures: Figures) -> None:
    """One evaluation from the annotation file to scores and intervals."""
    noting, device = Noting(answerer), answerer.model.llm.device
    now = stopwatch(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with remembering(answerer.model, name != PUBLISHED):
        began = now()
        scored, _ = evaluate_row(open_row(row, own, seed=noting.generation.seed), noting, progress=False)
        figures.rounds.append(now() - began)
    figures.texts, figures.scores, figures.memory = noting.texts, scored["metrics"], peak_memory(device)


def measure(
    asked: Mapping[str, Answerer], row: EvaluationRow, own: Mapping[str, Any], rounds: int
) -> dict[str, Figures]:
    """Rounds of all ways in turns, so that what else the machine does slows all alike; then the parts of each."""
    found = {name: Figures() for name in asked}
    one = row.model_copy(update={"limit": 1})
    for name, answerer in asked.items():
        score(name, answerer, one, own, Figures())
    for _ in range(rounds):
        for name, answerer in asked.items():
            score(name, answerer, row, own, found[name])
    for name, answerer in asked.items():
        ledger = Ledger(stopwatch(answerer.model.llm.device), outside="data, marking, scores")
        watch(answerer, ledger)
        score(name, answerer, row, own, Figures())
        ledger.leave()
        found[name].spent = dict(ledger.spent)
    return found


def report(found: Mapping[str, Figures]) -> str:
    """Speed, whether the answers and scores are the same, and the parts' shares, as Markdown."""
    base, first = found[PUBLISHED], next(each for name, each in found.items() if name != PUBLISHED)
    rows = []
    for name, each in found.items():
        times = median(slow / fast for slow, fast in zip(base.rounds, each.rounds, strict=True))
        same = np.mean([text == first.texts[question] for question, text in each.texts.items()])
        apart = max(abs(value - first.scores[score]) for score, value in each.scores.items())
        cells = (len(each.texts) / median(each.rounds), times, f"{same:.1%}", apart, each.scores["gIoU"], each.memory)
        rows.append((name, *cells, ", ".join(map(show, each.rounds))))
    head = ("", "samples/s", "times", "answers equal", "scores apart", "gIoU", "peak GiB", "rounds, s")
    parts = sorted({part for each in found.values() for part in each.spent}, key=lambda part: -base.spent.get(part, 0))
    shares = [(part, *(show(each.spent.get(part, 0.0)) for each in found.values())) for part in parts]
    return f"{table(head, rows)}\n\nSeconds of each part:\n\n{table(('part', *found), shares)}"


def drawn(size: Size, folder: Path) -> dict[str, Any]:
    """A catalogue entry of the drawn pictures, three phrases each, in u-LLaVA's JSON."""
    records = []
    for sample in samples(size, folder):
        for region in sample.regions:
            height, width = region.mask.size
            rows, columns = np.nonzero(region.mask.draw())
            x0, y0, x1, y1 = (int(side) for side in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
            records.append(
                {"image_path": sample.media[0].path.name, "height": height, "width": width, "category": "thing",
                 "bbox": [x0, y0, x1 - x0, y1 - y0], "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
                 "sentences": list(region.phrases)}
            )  # fmt: skip
    (folder / "refs.json").write_text(json.dumps(records), encoding="utf-8")
    return {"drawn": {"reader": "ullava_referring", "annotations": str(folder / "refs.json"), "images": str(folder)}}


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints one page of figures."""
    options = parse(arguments)
    device = this_device()
    if options.device and options.device != device.type:
        raise ValueError(f"--device {options.device}: this process sees {device.type}; CUDA_VISIBLE_DEVICES= hides it")
    precision = options.dtype or ("bf16" if device.type == "cuda" else "fp32")
    with tempfile.TemporaryDirectory() as name:
        folder, own, dataset = Path(name), {}, "tiny_test"
        if options.model:
            assembled, how = reopen(options.model, precision=precision), GenerationConfig(precision=precision)
            cast(assembled, precision)
        else:
            dataset, size = "drawn", SIZES[options.size]
            settings = [f"generation.precision={precision}", f"generation.max_new_tokens={WORDS}"]
            config = recipe(size, 2, folder, settings)
            own, assembled, how = drawn(size, folder), open_network(config, device), config.generation
        row = EvaluationRow(dataset=dataset, task="res", limit=options.limit)
        asked = ways(assembled, how, options.batches, random=not options.model)
        found = measure(asked, row, own, options.rounds)
    print(f"evaluate {options.model or '--size ' + options.size}: {machine(device)}, {precision}, "
          f"{len(found[PUBLISHED].texts)} questions of {options.limit} pictures\n\n{report(found)}")  # fmt: skip


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a trained folder, asked about tiny_test; default: random weights")
    parser.add_argument("--size", choices=SIZES, default="tiny", help="of random weights; default: %(default)s")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="which is expected; default: whatever is there")
    parser.add_argument("--dtype", choices=("fp32", "bf16", "fp16"), help="default: fp32 on a CPU, bf16 on a GPU")
    parser.add_argument("--limit", type=int, default=8, help="pictures; default: %(default)s")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16], help="default: 1 4 16")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    options = parser.parse_args(arguments)
    if min(*options.batches, options.limit, options.rounds) < 1:
        parser.error("--batches, --limit, --rounds: expected 1 or more")
    return options


if __name__ == "__main__":
    run_command(main)
