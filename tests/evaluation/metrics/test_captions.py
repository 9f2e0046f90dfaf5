"""BLEU, ROUGE-L, CIDEr-D, and the words they count."""

import json
import math
import time

import numpy as np
import pytest

from ullava.evaluation.metrics.captions.caption_scores import Captions
from ullava.evaluation.metrics.captions.caption_tokens import tokenize


def scores(*captions):
    metric = Captions()
    return metric.score([metric.measure(candidate, references) for candidate, references in captions])


def test_captions_that_equal_a_reference_are_perfect():
    found = scores(("A red dog runs.", ("a red dog runs",)), ("two cats sleep here", ("two cats sleep here",)))
    assert [found[f"BLEU-{n}"] for n in range(1, 5)] == pytest.approx([1] * 4) and found["ROUGE-L"] == pytest.approx(1)
    assert found["CIDEr-D"] == pytest.approx(10)


def test_bleu_by_hand():
    # "the" is in no reference more than twice: 2 of 7 (clipped); no bigram; 7 words against 7
    found = scores(("the the the the the the the", ("the cat is on the mat now", "there is a cat on the mat")))
    assert found["BLEU-1"] == pytest.approx(2 / 7) and found["BLEU-2"] < 1e-6
    # 3 of 3 words, 2 of 2 bigrams, brevity exp(1 - 6/3)
    assert scores(("the cat is", ("the cat is on the mat",)))["BLEU-2"] == pytest.approx(math.exp(-1))


def test_rouge_by_hand():
    # longest common subsequence "a dog on grass": p = 4/4, r = 4/5, F = 2.44 * 0.8 / (0.8 + 1.44)
    assert scores(("a dog on grass", ("a dog sits on grass",)))["ROUGE-L"] == pytest.approx(2.44 * 0.8 / 2.24)


def test_cider_by_hand():
    # Two pictures, every word in one of them: all weights log 2. "red dog" against "red cat": one word of two, no
    # bigram, no longer: cosine 1/2, 0, 0, 0; equal lengths: 10 * (1/2) / 4. The other caption has nothing right.
    found = scores(("red dog", ("red cat",)), ("big car", ("blue sky",)))
    assert found["CIDEr-D"] == pytest.approx(10 * 0.5 / 4 / 2)


def test_a_single_picture_has_no_rare_words():
    assert scores(("a dog", ("a dog",)))["CIDEr-D"] == 0


def test_no_answer_scores_nothing():
    assert all(value < 1e-9 for value in scores((None, ("a dog",)), ("", ("a cat",))).values())


def test_nothing_seen_is_nan_and_records_are_json():
    assert all(math.isnan(value) for value in scores().values())
    record = Captions().measure("A dog.", ("Two dogs!",))
    assert json.loads(json.dumps(record)) == record == {"candidate": "a dog", "references": ["two dogs"]}


def test_a_thousand_captions_take_less_than_two_seconds():
    rng, words = np.random.default_rng(0), [f"w{i}" for i in range(500)]
    texts = [" ".join(rng.choice(words, 11)) for _ in range(6000)]
    began = time.process_time()
    scores(*((texts[i], texts[i + 1 : i + 6]) for i in range(0, 6000, 6)))
    assert time.process_time() - began < 4  # twice the aim, for a busy machine


# What Stanford's PTBTokenizer (CoreNLP 3.4.1, as pycocoevalcap 1.2 calls it) makes of these lines.
WORDS = """
A man's dog isn't sitting; it's (maybe) "running" -- fast, right?!|a man 's dog is n't sitting it 's -lrb- maybe -rrb- \
running fast right ?!
and/or red/white w/ his 24/7|and/or red/white w / his 24/7
o'clock O'Brien hors d'oeuvres rock 'n' roll 'em the dogs' toy 1990's '90s|o'clock o'brien hors d'oeuvres rock 'n' \
roll 'em the dogs toy 1990 's '90s
a man.and dog. the dog,cat dog;cat dog:cat a.b.c|a man.and dog the dog cat dog cat dog cat a.b.c
U.S. p.m. 5 p.m. Mr. Smith St. Louis No. 5 vs. etc. Dr. john.|u.s. p.m. 5 p.m. mr. smith st. louis no. 5 vs. etc. \
dr. john
no. it is no|no it is no
$5 5$ 50% #1 #tag @me a&b AT&T *star* x+y x=y|$ 5 5 $ 50 % # 1 #tag @me a & b at&t * star * x + y x = y
two-year-old two -year- old -dash a--b a - b --|two-year-old two year old dash a b a b
they've I'd we're shouldn't've y'all ain't cannot gonna gotta lemme 'tis|they 've i 'd we 're should n't 've y' all \
ai n't can not gon na got ta lem me 't is
“quoted” ‘single’ it’s … – — café naïve 🎉|quoted single it 's café naïve
[b] {c} a_b http://a.com www.foo.com a@b.com|-lsb- b -rsb- -lcb- c -rcb- a_b http://a.com www.foo.com a@b.com
!! ??? hi. ... 'hello' "hello" ''hello'' ``x''|!! ??? hi hello hello hello x
3,000 5:30 5:30pm 3D 2x4 6'2" 20th 555-1234 -5 +5 .5 5.|3,000 5:30 5:30 pm 3d 2x4 6 2 20th 555-1234 -5 +5 .5 5
二匹の猫がソファに座っている|二匹の猫がソファに座っている
"""


@pytest.mark.parametrize("line", WORDS.strip().splitlines(), ids=lambda line: line.split("|")[0][:24])
def test_words_are_cut_as_the_reference_cuts_them(line):
    text, expected = line.split("|")
    assert tokenize(text) == expected


@pytest.mark.parametrize("separator", ["\n", "\r", "\t", "\v", "\f", "\u2028", "\x85", "\u3000", "  "])
def test_white_space_of_any_kind_only_parts_words(separator):
    assert tokenize(f"a dog{separator}on a couch") == "a dog on a couch"
