"""A conversation about a picture: every question is answered knowing what was said before.

ullava chat picture.jpg
/picture other.jpg    another picture, and a new conversation
/new                  a new conversation about the same picture
/end                  or an empty line, or the end of the input
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ullava.datasets.structures import OWNER_PATTERN, Answer, Dialogue, Picture, Promise, Region, Sample, Turn, Video
from ullava.evaluation.ask.infer import Ask, medium
from ullava.evaluation.engine.rows import Answerer

REMEMBERED = 8  # turns that a question is asked with; older ones are forgotten


@dataclass
class Conversation:
    """The turns so far about a picture, a video, or nothing in particular.

    Attributes:
        about: None for words alone.
        turns: questions and answers, the first one first.
    """

    about: Picture | Video | None = None
    turns: list[Turn] = field(default_factory=list)

    def dialogue(self, question: str) -> Dialogue:
        """The question behind the last turns before it, its answer open."""
        turns = (*self.turns[-REMEMBERED:], Turn(question, ""))
        owners = [(token, n) for n, turn in enumerate(turns) for token in OWNER_PATTERN.findall(turn.answer)]
        media = (self.about,) if self.about else ()
        promises = tuple(Promise(token, Region(), n) for token, n in owners)
        return Dialogue("chat", Sample("chat", media), turns, promises)

    def ask(self, question: str, answerer: Answerer) -> Answer:
        """Asks the model, and adds the turn to the conversation."""
        (answer,) = answerer([self.dialogue(question)], given=False)
        self.turns.append(Turn(question, answer.text))
        return answer


def converse(
    answerer: Answerer, about: Picture | Video | None, listen: Callable[[], str]
) -> Iterator[tuple[int, Ask, Answer]]:
    """Yields (number, question, answer) as they come.

    Args:
        about: the picture of the first conversation.
        listen: returns what the user types next, "" at the end.
    """
    conversation, number = Conversation(about), 0
    while (words := listen()) and words != "/end":
        command, _, rest = words.partition(" ")
        if command in ("/picture", "/new"):
            try:
                conversation = Conversation(medium(rest.strip()) if command == "/picture" else conversation.about)
            except (FileNotFoundError, ValueError) as error:
                print(f"  {error}")
            continue
        yield number, Ask(words, conversation.about), conversation.ask(words, answerer)
        number += 1


def read_line(prompt: str = "> ") -> str:
    """One typed line without the spaces around it; "" at the end of the input."""
    try:
        return input(prompt).strip()
    except EOFError:
        return ""
