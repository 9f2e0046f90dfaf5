"""LISA's answers, on which its weights were trained; the sentences stand beside its questions."""

from ullava.tasks.answers.grammar import GRAMMARS, Sentences
from ullava.tasks.phrases.lisa import ANSWERS

GRAMMARS.add("lisa", Sentences(ANSWERS))
