"""The word or two that a text comes down to, found by a rule (KeySeg asked FLAN-T5, Sensors 2025, 25(20), 6353).

A noun group is what stands behind a determiner, or at the beginning of a phrase, up to the next word that leads on; its
last two words are its keyword. A phrase has one, its first. Of an explanation that group is taken whose last word it
says most often, of those that the question does not say: what is asked for has another name there. "The object" and the
like count for nothing. No English is known here but the short lists below, and what they do not list is taken for a
noun: look at what is found before you train on it.
"""

import re
from collections.abc import Iterator, Sequence

WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
DETERMINERS = """
a an another any each every her his its my our some that the their these this those your
"""
LEADING = """
above across after against allows along among and are around as at be because been before behind being below beneath
beside besides between beyond but by cannot closest could did do does down during eating facing for from gives had has
have he helps him holding how i if in inside into is it keeps lies looks me near nearest next not of off on onto or
out outside over playing protects provides riding serves she should shows sits sitting so standing stands than that
them then there they through to toward towards under underneath until up upon us used using walking was we wearing were
what when where which while who whom whose why will with within without would you
"""  # behind these a noun group is over
EMPTY = """
area image object objects one ones part photo photograph picture region scene thing things
"""  # say nothing of what is meant
SIDES = ("left", "right", "top", "bottom", "front")  # lead on before "of": "man left of the car", but "left man"
LENGTH = 2  # words of a keyword at most (KeySeg's are 1- and 2-grams)
UNKNOWN = "(not found)"  # what KeySeg's file says where there is none; what was proposed may follow
determiners, leading, empty = (frozenset(words.split()) for words in (DETERMINERS, LEADING, EMPTY))


def keyword_of_phrase(phrase: str) -> str | None:
    """The keyword of a referring expression: "the lady with the blue shirt" -> "lady"; None where it has no noun."""
    groups = noun_groups(f"the {phrase}")
    return next(groups, None)


def keyword_of_explanation(query: str, outputs: str) -> str | None:
    """The keyword of a question whose answer is explained; None where neither has a noun group."""
    asked, answer = set(spelt(query)), spelt(outputs)
    groups = [group for group in noun_groups(outputs) if group.split()[-1] not in empty]
    new = [group for group in groups if not asked.issuperset(group.split())]
    for candidates in filter(None, (new, groups)):
        return max(candidates, key=lambda group: answer.count(group.split()[-1]))  # the first of the most frequent
    return next(noun_groups(query), None)


def noun_groups(text: str) -> Iterator[str]:
    """Yields the last words of each noun group that follows a determiner, in lower case."""
    for sentence in re.split(r"[.,;:!?()]+", text):
        words = spelt(sentence)
        for start, word in enumerate(words):
            if word in determiners:
                group = words[start + 1 : end_of_group(words, start + 1)]
                if group:
                    yield " ".join(group[-LENGTH:])


def end_of_group(words: Sequence[str], start: int) -> int:
    """Place of the first word behind `start` that belongs to a noun group no more."""
    for place in range(start, len(words)):
        beside = words[place] in SIDES and words[place + 1 : place + 2] == ["of"]
        if words[place] in leading or words[place] in determiners or (beside and place > start):
            return place
    return len(words)


def spelt(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return WORD.findall(text.lower())


def is_said(keyword: str, *texts: str) -> bool:
    """Whether the keyword is one or two words that follow each other in a text: KeySeg's condition."""
    wanted = spelt(keyword)
    spelled = [spelt(text) for text in texts]
    return 1 <= len(wanted) <= LENGTH and any(
        words[place : place + len(wanted)] == wanted for words in spelled for place in range(len(words))
    )
