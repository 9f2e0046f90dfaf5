"""The word or two that each question comes down to: KeySeg's supervision, for ReasonSeg and for REFER."""

import copy
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ullava.configs.arguments import COUNT
from ullava.datasets.keywords import UNKNOWN, is_said, keyword_of_explanation, keyword_of_phrase, spelt
from ullava.datasets.readers.regions.refer import unpickle
from ullava.datasets.tables import read_records
from ullava.preparing.base import PREPARATIONS, Kind, fresh, progress, write_records

Record = dict[str, Any]
Asked = tuple[str, str]  # a question, and its explanation or ""
Find = Callable[[Sequence[Asked]], Iterator[str | None]]  # for each of them the keyword that is proposed
KEYSEG = Path("explanatory_key", "keyword_outputs.json")  # below ReasonSeg/ (KeySeg, utils/reason_seg_key_dataset.py)


@PREPARATIONS.register("keywords")
class Keywords(Kind):
    """Finds the keyword of each question or phrase: by a rule, or by a language model such as FLAN-T5.

    By rule it is the end of a noun group (datasets/keywords.py). A model is asked for the most important object, and is
    believed where it says one or two words of the text, as KeySeg does. Where there is none, ReasonSeg's list says
    "(not found)", and the task `keyword` leaves [KEY] out.
    """

    reads = (
        "ReasonSeg/explanatory/train.json of LISA (query, outputs, image, json), or REFER's refs(*).p or .json "
        "(sentences)"
    )
    writes = (
        "of ReasonSeg explanatory_key/keyword_outputs.json beside that folder, KeySeg's layout, for the option "
        "`explanations` of the reader reason_seg; of REFER refs(*)_keywords.json beside it, for the reader refer with "
        "`keywords: true`"
    )

    def ask(self, parser: ArgumentParser) -> None:
        parser.add_argument("source", type=Path, help="file with explanations or references")
        text = "an encoder-decoder like FLAN-T5, a folder or hub id; default: the rule"
        parser.add_argument("--model", type=Path, help=text)
        parser.add_argument("--batch-size", type=COUNT, default=32, help="texts that the model reads at once")
        parser.add_argument("--output", type=Path, help="file to write")

    def prepare(self, options: Namespace) -> str:
        source = options.source
        if not source.is_file():
            raise FileNotFoundError(f"{source}: no such file; name LISA's explanatory/train.json, or REFER's refs(*).p")
        records = unpickle(source) if source.suffix == ".p" else list(read_records(source))
        find = asking(options.model, options.batch_size) if options.model else by_rule
        referring = bool(records) and "sentences" in records[0]
        output = options.output or (
            source.with_name(f"{source.stem}_keywords.json") if referring else source.parent.parent / KEYSEG
        )
        written = of_phrases(records, find) if referring else of_explanations(records, find, source)
        proposed = [keyword for record in written for keyword in keywords_of(record)]
        with fresh(output) as scratch:
            write_records(scratch, written)
        keywords = [keyword for keyword in proposed if keyword and not keyword.startswith(UNKNOWN)]
        pairs = sum(" " in keyword for keyword in keywords)
        counts = f"{len(keywords)} keywords ({len(keywords) - pairs} of one word, {pairs} of two)"
        return f"{output}: {len(proposed)} texts, {counts}"


def of_explanations(records: Sequence[Record], find: Find, source: Path) -> list[Record]:
    """ReasonSeg's explanations with their `keyword`, as KeySeg lays them out.

    Raises:
        ValueError: a record has no question or no explanation.
    """
    for number, record in enumerate(records):
        if not all(isinstance(record.get(key), str) for key in ("query", "outputs", "image")):
            raise ValueError(
                f"{source}: record {number}: expected `query`, `outputs` and `image`, or REFER's `sentences`; found "
                f"{', '.join(map(str, record))}"
            )
    asked = [(record["query"], record["outputs"]) for record in records]
    return [record | {"keyword": checked(keyword, *texts) or f"{UNKNOWN} {keyword or ''}".strip()}
            for record, texts, keyword in zip(records, asked, find(asked), strict=True)]  # fmt: skip


def of_phrases(records: Sequence[Record], find: Find) -> list[Record]:
    """REFER's references, each sentence with its `keyword`; None where there is none."""
    records = copy.deepcopy(list(records))
    sentences = [sentence for record in records for sentence in record["sentences"]]
    asked = [(sentence["sent"], "") for sentence in sentences]
    for sentence, texts, keyword in zip(sentences, asked, find(asked), strict=True):
        sentence["keyword"] = checked(keyword, *texts)
    return records


def keywords_of(record: Record) -> list[str | None]:
    """The keywords that a written record holds."""
    return [sentence["keyword"] for sentence in record["sentences"]] if "sentences" in record else [record["keyword"]]


def checked(keyword: str | None, *texts: str) -> str | None:
    """The keyword, if it is one or two words of a text."""
    return " ".join(spelt(keyword)) if keyword and is_said(keyword, *texts) else None


def by_rule(asked: Sequence[Asked]) -> Iterator[str | None]:
    """Yields the keyword that the rule finds in each text; None where it finds none."""
    for query, outputs in progress(asked, "finding keywords", unit="text", total=len(asked)):
        yield keyword_of_explanation(query, outputs) if outputs else keyword_of_phrase(query)


def asking(folder: Path, batch_size: int) -> Find:
    """A way to find keywords: the language model in a folder, asked in batches."""

    def find(asked: Sequence[Asked]) -> Iterator[str | None]:
        from ullava.models.folders.hub import local_folder
        from ullava.preparing.keyword_model import KeywordModel

        model = KeywordModel(Path(local_folder(str(folder), "--model")))
        for start in progress(range(0, len(asked), batch_size), "asking for keywords", unit="batch"):
            yield from model(asked[start : start + batch_size])

    return find
