"""BLEU, ROUGE-L and CIDEr-D of captions, without Java.

As pycocoevalcap 1.2, scores and guards alike, on the tokens of `caption_tokens`. METEOR needs a Java program: see
`meteor`. CIDEr-D is on its own scale 0..10.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ullava.evaluation.metrics.additive import Additive, add, share
from ullava.evaluation.metrics.base import METRICS, Record
from ullava.evaluation.metrics.captions.caption_tokens import tokenize

ORDERS = 4  # n-grams of 1..4 words
SMALL, TINY = 1e-9, 1e-15  # BLEU's guards
BETA = 1.2  # ROUGE-L's weight of the recall
SIGMA = 6.0  # CIDEr-D's tolerance of a difference in length
NGrams = list[Counter]


@METRICS.register("captions")
class Captions(Additive):
    """BLEU-n = min(1, exp(1 - r/c)) (product over k = 1..n of m_k / g_k)^(1/n) with sums over all captions: m_k clipped
    k-grams found in a reference, g_k k-grams said, c words said, r words of the references closest in length.

    ROUGE-L = mean of (1 + 1.2^2) p r / (r + 1.2^2 p), p and r the best precision and recall of the longest common
    subsequence, each over the references.
    CIDEr-D = 10 times the mean over captions, n and references of exp(-(l - l')^2 / 72) min(g, g') . g' / (|g| |g'|), g
    and g' the tf-idf vectors of n-grams, l and l' counts of bigrams. The idf comes from the references of all records
    that are scored together: scores of subsets are not comparable.
    """

    reads = "text"
    scales = {"CIDEr-D": 10.0}

    def measure(
        self, prediction: str | None, truth: Sequence[str], *, category: str | None = None, ignored: Any = None
    ) -> Record:
        if not truth:
            raise ValueError("captions: expected references, found none")
        return {"candidate": tokenize(prediction or ""), "references": [tokenize(text) for text in truth]}

    def sums(self, records: Sequence[Record], groups: np.ndarray, count: int) -> np.ndarray:
        grams = [(ngrams(record["candidate"]), [ngrams(text) for text in record["references"]]) for record in records]
        weight = rarity([references for _, references in grams])
        rows = [
            [
                1,
                rouge_l(record["candidate"], record["references"]),
                cider_d(candidate, references, weight),
                *bleu_counts(candidate, references),
            ]
            for record, (candidate, references) in zip(records, grams, strict=True)
        ]
        return add(np.array(rows, np.float64).reshape(-1, 5 + 2 * ORDERS), groups, count)

    def conclude(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        seen, rouge, cider = (sums[..., i] for i in range(3))
        scores = {f"BLEU-{n}": np.where(seen, value, np.nan) for n, value in enumerate(bleu(sums[..., 3:]), 1)}
        return scores | {"ROUGE-L": share(rouge, seen), "CIDEr-D": share(cider, seen)}


def ngrams(text: str) -> NGrams:
    """Counts the n-grams of a tokenised text, for n = 1..4."""
    words = text.split()
    return [Counter(zip(*(words[i:] for i in range(n)), strict=False)) for n in range(1, ORDERS + 1)]


def bleu_counts(candidate: NGrams, references: Sequence[NGrams]) -> list[int]:
    """Counts words of the candidate and of the reference closest in length, matched k-grams, k-grams (k = 1..4)."""
    totals = [counts.total() for counts in candidate]
    closest = min((abs(reference[0].total() - totals[0]), reference[0].total()) for reference in references)[1]
    matched = []
    for n, counts in enumerate(candidate):
        most = {gram: max(reference[n][gram] for reference in references) for gram in counts}
        matched.append(sum(min(times, most[gram]) for gram, times in counts.items()))
    return [totals[0], closest, *matched, *totals]


def bleu(sums: np.ndarray) -> list[np.ndarray]:
    """BLEU-1..4 from summed `bleu_counts` (..., 10)."""
    precision = (sums[..., 2 : 2 + ORDERS] + TINY) / (sums[..., 2 + ORDERS :] + SMALL)
    ratio = (sums[..., 0] + TINY) / (sums[..., 1] + SMALL)
    brevity = np.exp(np.minimum(0, 1 - 1 / ratio))
    return [brevity * value ** (1 / n) for n, value in enumerate(np.moveaxis(precision.cumprod(axis=-1), -1, 0), 1)]


def rouge_l(candidate: str, references: Sequence[str]) -> float:
    """ROUGE-L: F of the longest common subsequences; an empty text is one empty word, as in the published program."""
    words, others = candidate.split(" "), [reference.split(" ") for reference in references]
    common = [longest_common(words, other) for other in others]
    precision = max(common) / len(words)
    recall = max(length / len(other) for length, other in zip(common, others, strict=True))
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision) if precision and recall else 0.0


def longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence of two lists of words."""
    lengths = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for j, other in enumerate(second, 1):
            above = lengths[j]
            lengths[j] = diagonal + 1 if word == other else max(above, lengths[j - 1])
            diagonal = above
    return lengths[-1]


class Rarity(dict):
    """n-gram -> log(pictures / pictures with it in a reference); one that no reference has counts as in 1."""

    def __init__(self, documents: Mapping[tuple[str, ...], int], pictures: int):
        self.most = math.log(pictures) if pictures else 0.0
        super().__init__({gram: self.most - math.log(count) for gram, count in documents.items()})

    def __missing__(self, gram: tuple[str, ...]) -> float:
        return self.most


def rarity(pictures: Sequence[Sequence[NGrams]]) -> Rarity:
    """Computes the idf weights of n-grams from the references of all pictures."""
    documents: Counter = Counter()
    for references in pictures:
        documents.update({gram for reference in references for counts in reference for gram in counts})
    return Rarity(documents, len(pictures))


def cider_d(candidate: NGrams, references: Sequence[NGrams], weight: Rarity) -> float:
    """CIDEr-D of one caption, 0..10."""
    candidate_vectors, norms = vectors(candidate, weight)
    total = 0.0
    for reference in references:
        reference_vectors, other_norms = vectors(reference, weight)
        distance = candidate[1].total() - reference[1].total()
        likeness = sum(
            clipped(a, b) / (norm * other) if norm and other else 0.0
            for a, b, norm, other in zip(candidate_vectors, reference_vectors, norms, other_norms, strict=True)
        )
        total += likeness * math.exp(-(distance**2) / (2 * SIGMA**2))
    return 10 * total / ORDERS / len(references)


def vectors(grams: NGrams, weight: Rarity) -> tuple[list[dict[tuple[str, ...], float]], list[float]]:
    """The tf-idf vector of each order, and its norm."""
    weighted = [{gram: count * weight[gram] for gram, count in counts.items()} for counts in grams]
    return weighted, [norm(values.values()) for values in weighted]


def norm(values: Iterable[float]) -> float:
    """Euclidean norm."""
    return math.sqrt(sum(value * value for value in values))


def clipped(candidate: Mapping[tuple[str, ...], float], reference: Mapping[tuple[str, ...], float]) -> float:
    """Dot product min(candidate, reference) . reference, clipped so that repeating a word gains nothing."""
    return sum(min(candidate[gram], reference[gram]) * reference[gram] for gram in candidate.keys() & reference.keys())
