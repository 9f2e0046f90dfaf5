"""The sentences that ask; `grammar.py` writes the answers.

Questions on which u-LLaVA's weights were trained keep their wording (OPPOMKLab/u-LLaVA, Apache-2.0: dataset/templates
and dataset/datasets of the newer release, datasets/templates of the first); the others are our own. `<class>` is the
slot of a phrase or a class name. Pictures are never written here: the processor puts them.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from ullava.configs.registry import Registry
from ullava.configs.tokens import IMAGE

SLOT = "<class>"


@dataclass(frozen=True, slots=True)
class Questions:
    """Ways to ask one thing: `templates`, and `eval_question`, the fixed one of evaluations.

    Training draws from both: u-LLaVA's own evaluation questions stand in none of its templates, so that it is asked in
    evaluation what it was never asked before.
    """

    templates: tuple[str, ...]
    eval_question: str

    @property
    def drawn(self) -> tuple[str, ...]:
        """The questions that training draws from, each once."""
        return tuple(dict.fromkeys((*self.templates, self.eval_question)))


SENTENCE = Questions(  # LISA's, as WHY: dvlab-research/LISA, Apache-2.0, utils/utils.py and utils/dataset.py
    (f"{SLOT} Please respond with segmentation mask.", f"{SLOT} Please output segmentation mask."),
    eval_question=f"{SLOT} Please output segmentation mask.",
)
WHY = Questions(
    (
        "Please output segmentation mask and explain why.",
        "Please output segmentation mask and explain the reason.",
        "Please output segmentation mask and give some explanation.",
    ),
    eval_question="Please output segmentation mask and explain why.",
)


@dataclass(frozen=True, slots=True)
class Phrasebook:
    """What is asked about regions.

    Attributes:
        segment: for the mask (and box) of a phrase or class; with a slot.
        locate: for the box alone; with a slot.
        salient: for the mask of the salient object.
        explain: for the salient object's mask and the reason.
        grammar: name of the grammar in which a release answers.
        sentence: what follows a sentence that asks by itself; with a slot for that.
        why: what follows it where the answer should explain itself.
    """

    segment: Questions
    locate: Questions
    salient: Questions
    explain: Questions
    grammar: str = "ullava"
    sentence: Questions = SENTENCE
    why: Questions = WHY


LOCATE = Questions(
    (
        f"Locate the {SLOT} in this image.",
        f"Find the bounding box of the {SLOT}.",
        f"Give me the bounding box of the {SLOT} in this image.",
        f"Can you locate the {SLOT}?",
        f"Draw a box around the {SLOT}.",
        f"Show me with a box where the {SLOT} is.",
    ),
    eval_question=f"Locate the {SLOT} in the image.",
)
SALIENT = Questions(
    (
        "Find the salient object in the picture.",
        "Segment the salient object in this image.",
        "Which object catches the eye? Give me its mask.",
        "Output the mask of the object that stands out.",
    ),
    eval_question="Find the salient object in the image.",
)
DESCRIBE_PICTURE = Questions(
    (
        "Describe the image.",
        "Describe this picture in one sentence.",
        "What does the image show?",
        "Write a short caption for this picture.",
        "Say briefly what you see in the image.",
        "Summarize the picture.",
    ),
    eval_question="Describe the image in one sentence.",
)
DESCRIBE_VIDEO = Questions(
    (
        "Describe the video.",
        "Describe this clip in one sentence.",
        "What happens in the video?",
        "Write a short caption for this clip.",
        "Say briefly what goes on in the video.",
        "Summarize the clip.",
    ),
    eval_question="Describe the video in one sentence.",
)

EVAL_SEGMENT = f"Output the segmentation mask of the {SLOT} in the image."
PHRASEBOOKS: Registry[Phrasebook] = Registry("phrasebook")
PHRASEBOOKS.add(
    "ullava",
    Phrasebook(  # the newer release
        segment=Questions(
            (
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
            eval_question=EVAL_SEGMENT,
        ),
        locate=LOCATE,
        salient=SALIENT,
        explain=Questions(
            (
                "Can you segment the salient object in this image and explain why?",
                "Segment the main part in this image. Then give the reason",
                "What is salient one in this image? Please respond with segmentation mask and tell me why.",
                "What is salient part in this image? Please output segmentation mask and give me the reason.",
                "Find the salient object in the picture.",
                "What makes the image stand out? Please explain.",
                "Output the mask of the salient part in the image and the reason.",
                "Look at the image, segment the main object in the picture and explain.",
            ),
            eval_question=SALIENT.eval_question,
        ),
    ),
)
PHRASEBOOKS.add(
    "ullava_v1",
    Phrasebook(  # the first release, which asks for masks only
        segment=Questions(
            (
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
            eval_question=EVAL_SEGMENT,
        ),
        locate=LOCATE,
        salient=SALIENT,
        explain=Questions(
            (
                "Can you segment the salient object in this image and explain why?",
                "Segment the main part in this image. Then give the reason",
                "What is salient one in this image? Please respond with segmentation mask and tell me why.",
                "What is salient part in this image? Please output segmentation mask and give me the reason.",
                "Find the salient object in the picture.",
                "What makes the image stand out?",
                "Output the mask of the salient part in the image?",
                "Look at the image, segment the main object in the picture and explain.",
            ),
            eval_question=SALIENT.eval_question,
        ),
        grammar="ullava_v1",
    ),
)
PHRASEBOOKS.add("named", replace(PHRASEBOOKS["ullava"], grammar="named"))  # see tasks/answers/grammar.py


def fill(question: str, phrase: str) -> str:
    """Puts a phrase into the question's slot."""
    return question.replace(SLOT, phrase)


def phrasebook(name: str, *, slotted: bool) -> Phrasebook:
    """The phrasebook of that name; or of a `.json` file, whose first question is also that of evaluations.

    Args:
        name: a key of PHRASEBOOKS or a path.
        slotted: whether each question of a file has to have the slot, or must not.

    Raises:
        LookupError: no such name.
        FileNotFoundError, ValueError: see `read_questions`.
    """
    if name.endswith(".json"):
        drawn = read_questions(Path(name), slotted=slotted)
        asked = Questions(drawn, drawn[0])
        return Phrasebook(segment=asked, locate=asked, salient=asked, explain=asked)
    if name not in PHRASEBOOKS:
        raise LookupError(f"phrases: {PHRASEBOOKS.unknown(name)}; or name a .json file of questions")
    return PHRASEBOOKS[name]


def read_questions(path: Path, *, slotted: bool) -> tuple[str, ...]:
    """The questions in a JSON list of strings, u-LLaVA's template format, without their `<image>` prefix.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a list of questions, with or without the slot (names the file and the entry).
    """
    if not path.is_file():
        raise FileNotFoundError(f"phrases: {path}: no such file; expected a JSON list of questions")
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # JSON or UTF-8
        raise ValueError(f"phrases: {path}: invalid JSON: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"phrases: {path}: expected a list of questions, found {json.dumps(entries)[:60]}")
    questions = [entry.removeprefix(IMAGE).strip() if isinstance(entry, str) else "" for entry in entries]
    for i, question in enumerate(questions):
        if not question or IMAGE in question or (SLOT in question) != slotted:
            slot = f"{'with' if slotted else 'without'} the slot {SLOT}, {IMAGE} in front only"
            raise ValueError(f"phrases: {path}: [{i}]: expected a question {slot}; found {entries[i]!r}")
    return tuple(questions)
