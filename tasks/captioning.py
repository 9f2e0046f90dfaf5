"""Image captioning: a sentence about a picture (stage I of u-LLaVA, arXiv:2311.05348, section 3)."""

from dataclasses import dataclass
from typing import ClassVar

from ullava.datasets.structures import Dialogue, Picture, Turn, Video
from ullava.tasks.answers.grammar import words
from ullava.tasks.base import TASKS, Task, pick
from ullava.tasks.phrases import phrasebook as phrases


@TASKS.register("captioning")
@dataclass(frozen=True)
class Captioning(Task):
    """Asks for one of the captions that people wrote; one written question is kept as it stands.

    Attributes:
        about: what it captions.
        questions: how it asks where the sample does not.
    """

    metrics = ("captions",)
    main_score = "CIDEr-D"
    about: ClassVar[type] = Picture
    questions: ClassVar[phrases.Questions] = phrases.DESCRIBE_PICTURE

    def dialogue(self, sample, rng):
        asked, captions = self.captions(sample)
        question = asked.question or pick(self.questions.drawn, rng)
        return Dialogue(sample.id, sample, (Turn(question, pick(captions, rng), media=asked.media),))

    def eval_dialogues(self, sample):
        asked, captions = self.captions(sample)
        turn = Turn(asked.question or self.questions.eval_question, captions[0], captions, asked.media)
        yield Dialogue(f"{sample.id}#0", sample, (turn,))

    def read(self, answer):
        return words(answer)

    def captions(self, sample) -> tuple[Turn, tuple[str, ...]]:
        """A turn with the written question, "" where there is none, and all captions that answer it."""
        if not any(isinstance(medium, self.about) for medium in sample.media):
            media = ", ".join(type(medium).__name__.lower() for medium in sample.media) or "text only"
            raise ValueError(f"{sample.id}: task {self.name} expects a {self.about.__name__.lower()}, found {media}")
        questions = {(turn.question, turn.media) for turn in sample.turns}
        if len(questions) != 1:
            raise ValueError(
                f"{sample.id}: task {self.name} expects captions of one question, found {len(questions)} questions"
                "; a dialogue is for task vqa"
            )
        captions = tuple(text for turn in sample.turns for text in (turn.references or (turn.answer,)) if text.strip())
        if not captions:
            raise ValueError(f"{sample.id}: task {self.name} expects a caption, found an empty one")
        return sample.turns[0], captions


@TASKS.register("video_captioning")
@dataclass(frozen=True)
class VideoCaptioning(Captioning):
    """Captions videos."""

    about = Video
    questions = phrases.DESCRIBE_VIDEO
