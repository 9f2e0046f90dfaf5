"""The sentences that ask. Answers are written by `grammar.py`.

Questions on which u-LLaVA's weights were trained keep their wording (OPPOMKLab/u-LLaVA, Apache-2.0: dataset/templates and
dataset/datasets/{res,salient_seg}_dataset.py); the others are our own. `<class>` is the slot of a phrase or a class name.
Pictures are never written here: the processor puts them.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from ullava.configs.registry import nearest
from ullava.configs.tokens import IMAGE

SLOT = "<class>"


@dataclass(frozen=True, slots=True)
class Phrasebook:
    """The questions about regions that one release asks.

    Attributes:
        segment, salient: drawn in training; `segment` has a slot.
        segment_exam, salient_exam: the one that evaluation asks.
        grammar: name of the answers' grammar.
    """

    segment: tuple[str, ...]
    salient: tuple[str, ...]
    segment_exam: str = f"Output the segmentation mask of the {SLOT} in the image."
    salient_exam: str = "Find the salient object in the image."
    grammar: str = "ullava"


PHRASEBOOKS = {
    "ullava": Phrasebook(  # the newer release: templates/SEG.json, SS.json
        segment=(
            f"Can you segment and locate the {SLOT} in this image?",
            f"Please segment and locate the {SLOT} in this image.",
            f"What is {SLOT} in this image? Please respond with segmentation mask and the bounding box.",
            f"What is {SLOT} in this image? Please output mask and bbox.",
            f"Find the {SLOT} in the picture.",
            f"Can you help me to find the {SLOT} in the image?",
            f"Output the mask and bounding box (bbox) of the {SLOT} in the image?",
            f"Look at the image, segment and locate the {SLOT} in the picture.",
            f"Where is {SLOT}?",
        ),
        salient=(
            "Can you segment the salient object in this image and explain why?",
            "Segment the main part in this image. Then give the reason",
            "What is salient one in this image? Please respond with segmentation mask and tell me why.",
            "What is salient part in this image? Please output segmentation mask and give me the reason.",
            "Find the salient object in the picture.",
            "What makes the image stand out? Please explain.",
            "Output the mask of the salient part in the image and the reason.",
            "Look at the image, segment the main object in the picture and explain.",
        ),
    ),
    "ullava_v1": Phrasebook(  # the first release asks for masks only
        segment=(
            f"Can you segment the {SLOT} in this image?",
            f"Please segment the {SLOT} in this image.",
            f"What is {SLOT} in this image? Please respond with segmentation mask.",
            f"What is {SLOT} in this image? Please output segmentation mask.",
            f"Find the {SLOT} in the picture.",
            f"Can you help me to find the {SLOT} in the image?",
            f"Output the mask of the {SLOT} in the image?",
            f"Look at the image, segment the {SLOT} in the picture.",
            f"Where is {SLOT}?",
        ),
        salient=(
            "Can you segment the salient object in this image and explain why?",
            "Segment the main part in this image. Then give the reason",
            "What is salient one in this image? Please respond with segmentation mask and tell me why.",
            "What is salient part in this image? Please output segmentation mask and give me the reason.",
            "Find the salient object in the picture.",
            "What makes the image stand out?",
            "Output the mask of the salient part in the image?",
            "Look at the image, segment the main object in the picture and explain.",
        ),
        grammar="ullava_v1",
    ),
}

LOCATE = (
    f"Locate the {SLOT} in this image.",
    f"Find the bounding box of the {SLOT}.",
    f"Give me the bounding box of the {SLOT} in this image.",
    f"Can you locate the {SLOT}?",
    f"Draw a box around the {SLOT}.",
    f"Show me with a box where the {SLOT} is.",
)
LOCATE_EXAM = f"Locate the {SLOT} in the image."

DESCRIBE_PICTURE = (
    "Describe the image.",
    "Describe this picture in one sentence.",
    "What does the image show?",
    "Write a short caption for this picture.",
    "Say briefly what you see in the image.",
    "Summarize the picture.",
)
DESCRIBE_PICTURE_EXAM = "Describe the image in one sentence."

DESCRIBE_VIDEO = (
    "Describe the video.",
    "Describe this clip in one sentence.",
    "What happens in the video?",
    "Write a short caption for this clip.",
    "Say briefly what goes on in the video.",
    "Summarize the clip.",
)
DESCRIBE_VIDEO_EXAM = "Describe the video in one sentence."


def fill(question: str, phrase: str) -> str:
    """Puts a phrase into the question's slot."""
    return question.replace(SLOT, phrase)


def phrasebook(name: str) -> Phrasebook:
    """The phrasebook of that name, or the one in a `.json` file.

    Raises:
        LookupError: no such name.
        FileNotFoundError, ValueError: see `read_questions`.
    """
    if name.endswith(".json"):
        questions = read_questions(Path(name))
        slotted = tuple(question for question in questions if SLOT in question)
        plain = tuple(question for question in questions if SLOT not in question)
        exams = {"segment_exam": slotted[0]} if slotted else {}
        exams |= {"salient_exam": plain[0]} if plain else {}
        return Phrasebook(slotted, plain, **exams)
    if name not in PHRASEBOOKS:
        raise LookupError(f"phrases: no phrasebook {name!r}; {nearest(name, PHRASEBOOKS)}, or a .json file")
    return PHRASEBOOKS[name]


def read_questions(path: Path) -> tuple[str, ...]:
    """The questions in a JSON list of strings, u-LLaVA's template format; its `<image>` prefix is dropped.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a list of sentences (names the file and the entry).
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; `phrases` names a phrasebook or a JSON list of questions")
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: invalid JSON: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path}: expected a list of questions, found {type(entries).__name__} {str(entries)[:40]}")
    questions = []
    for i, entry in enumerate(entries):
        text = entry.removeprefix(IMAGE).strip() if isinstance(entry, str) else ""
        if not text or IMAGE in text:
            raise ValueError(f"{path}: [{i}]: expected a question with {IMAGE} at most in front, found {entry!r}")
        questions.append(text)
    return tuple(questions)
