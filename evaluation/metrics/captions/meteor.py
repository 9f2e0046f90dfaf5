"""METEOR 1.5, where Java is: a program of its authors finds which words match, the formula is here.

It comes with the Python package pycocoevalcap, or `$ULLAVA_METEOR` names its jar; the paraphrases that it needs lie in
`data/` beside it. Its statistics can be added up, so that the score of a set, and a thousand resamples of it, follow
from one alignment of each caption.
"""

import os
import shutil
import subprocess
import weakref
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ullava.evaluation.metrics.additive import Additive, add, share
from ullava.evaluation.metrics.base import METRICS, Record
from ullava.evaluation.metrics.captions.caption_tokens import tokenize

ALPHA, BETA, GAMMA, DELTA = 0.85, 0.20, 0.60, 0.75  # of English (Denkowski and Lavie, WMT 2014, table 1)
WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])  # of exact words, stems, synonyms, paraphrases
NUMBERS = 7 + 4 * len(WEIGHTS)  # of a caption's statistics
CHUNKS = -3  # their place
JAR = "meteor-1.5.jar"


@METRICS.register("meteor")
class Meteor(Additive):
    """METEOR = (1 - 0.6 (c / m)^0.2) P R / (0.85 P + 0.15 R), all from sums over captions, each against its best
    reference: P and R weighted matches over weighted words (content 0.75, function words 0.25), c chunks of the m words
    that match, none of a caption that matches as a whole.

    Raises:
        FileNotFoundError: there is no Java, or no program.
    """

    reads = "text"

    def __init__(self):
        if not is_there():
            raise FileNotFoundError(
                "meteor: needs Java and the METEOR program; install a Java runtime and `pip install pycocoevalcap`, "
                f"or let $ULLAVA_METEOR name {JAR}"
            )

    def measure(
        self, prediction: str | None, truth: Sequence[str], *, category: str | None = None, ignored: Any = None
    ) -> Record:
        if not truth:
            raise ValueError("meteor: expected references, found none")
        return self.match(tokenize(prediction or ""), [tokenize(text) for text in truth])

    def match(self, candidate: str, references: Sequence[str]) -> Record:
        """The record of a caption that is cut into words already."""
        stats = self.aligner.align(candidate, references)
        if stats[CHUNKS] == 1 and stats[-2:] == stats[:2]:
            stats[CHUNKS] = 0.0  # a caption that matches as a whole is not scattered at all
        return {"stats": stats}

    @cached_property
    def aligner(self) -> "Aligner":
        """The program, started when the first caption comes."""
        return Aligner()

    def sums(self, records: Sequence[Record], groups: np.ndarray, count: int) -> np.ndarray:
        rows = np.array([[1, *record["stats"]] for record in records], np.float64)
        return add(rows.reshape(-1, 1 + NUMBERS), groups, count)

    def conclude(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        return {"METEOR": np.where(sums[..., 0] > 0, meteor(sums[..., 1:]), np.nan)}


def meteor(stats: np.ndarray) -> np.ndarray:
    """The score (...) of summed statistics (..., 23).

    Said words, true words, function words of both; for each kind of match its content words on both sides and its
    function words on both sides; chunks; matched words on both sides.
    """
    lengths, functions, chunks, matched = stats[..., 0:2], stats[..., 2:4], stats[..., CHUNKS], stats[..., -2:]
    kinds = stats[..., 4:CHUNKS].reshape(*stats.shape[:-1], len(WEIGHTS), 2, 2)  # kind, content or function, side
    hits = np.einsum("...kfs,k,f->...s", kinds, WEIGHTS, [DELTA, 1 - DELTA])
    weighted = DELTA * (lengths - functions) + (1 - DELTA) * functions
    precision, recall = np.moveaxis(np.where(weighted > 0, hits / np.where(weighted > 0, weighted, 1), 0), -1, 0)
    mean = np.nan_to_num(share(precision * recall, ALPHA * precision + (1 - ALPHA) * recall))
    scattered = np.nan_to_num(share(chunks, matched.mean(axis=-1)))
    return mean * (1 - GAMMA * scattered**BETA)


class Aligner:
    """METEOR's program, asked a caption at a time."""

    def __init__(self):
        jar = program()
        assert jar is not None  # else `Meteor` had refused to be made
        command = ["java", "-Xmx2G", "-jar", jar.name, "-", "-", "-stdio", "-l", "en", "-norm"]
        self.process = subprocess.Popen(
            command, cwd=jar.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )  # fmt: skip
        weakref.finalize(self, self.process.kill)

    def align(self, candidate: str, references: Sequence[str]) -> list[float]:
        """Statistics of the match with the best reference.

        Raises:
            OSError: the program has stopped.
        """
        texts = (" ".join(text.replace("|||", "").split()) for text in (*references, candidate))
        assert self.process.stdin and self.process.stdout  # both are pipes
        self.process.stdin.write(" ||| ".join(("SCORE", *texts)) + "\n")
        self.process.stdin.flush()
        statistics = [float(number) for number in self.process.stdout.readline().split()]
        if len(statistics) != NUMBERS:
            raise OSError(f"meteor: {program()} stopped (exit status {self.process.poll()}); has Java 2 GB?")
        return statistics


def is_there() -> bool:
    """Whether METEOR's program and Java are installed."""
    return shutil.which("java") is not None and program() is not None


def program() -> Path | None:
    """Path of METEOR's jar file."""
    named = os.environ.get("ULLAVA_METEOR")
    package = find_spec("pycocoevalcap")
    folders = [Path(place, "meteor", JAR) for place in (package.submodule_search_locations or ())] if package else []
    return next((path for path in ([Path(named).absolute()] if named else folders) if path.is_file()), None)
