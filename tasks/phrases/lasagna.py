"""The sentences that ask for all classes of a list at once.

The instructions, and how the list stands behind them, are LaSagnA's (congvvc/LaSagnA, Apache-2.0, utils/utils.py):
published weights were trained on them. Its marks around the list are words of its own tokenizer; a model of ours reads
the list just as well without them, and needs no new words for it.
"""

from pathlib import Path

from ullava.configs.registry import nearest
from ullava.tasks.phrases.phrasebook import SLOT, Questions, read_questions

WHAT = "What are in this image? Please"
INSTRUCTIONS = (
    "Segment this image.",
    "Please segment this image.",
    "Can you segment this image?",
    f"{WHAT} respond with segmentation mask.",
    f"{WHAT} output segmentation mask.",
    f"{WHAT} give segmentation result.",
    f"{WHAT} visualize segmentation mask.",
    f"{WHAT} respond with segmentation result.",
    f"{WHAT} output segmentation result.",
    "Segment all the objects in this image.",
    "Please segment all the objects in this image.",
    "Can you segment all the objects in this image?",
    f"{WHAT} respond with segmentation mask of all the objects.",
    f"{WHAT} output segmentation mask of all the objects.",
    f"{WHAT} give segmentation result of all the objects.",
    f"{WHAT} visualize segmentation mask of all the objects.",
    f"{WHAT} respond with segmentation result of all the objects.",
    f"{WHAT} output segmentation result of all the objects.",
)
FORMS = {  # name of a phrasebook -> how instruction and list stand together
    "lasagna": f"{{}} {SLOT}.",
    "lasagna_marked": f"<semantic>{{}}<cat_start> {SLOT} <cat_end>",  # for LaSagnA's weights
}


def list_questions(name: str) -> Questions:
    """The ways to ask for a list: of a phrasebook, or of a `.json` file of questions with a slot.

    The evaluation question is LaSagnA's (test_sem.py): the first instruction.

    Raises:
        LookupError: no such name.
        FileNotFoundError, ValueError: see `phrases.read_questions`.
    """
    if name.endswith(".json"):
        drawn = read_questions(Path(name), slotted=True)
        return Questions(drawn, drawn[0])
    if name not in FORMS:
        raise LookupError(f"phrases: no phrasebook {name!r} of lists and not a .json file; {nearest(name, FORMS)}")
    questions = tuple(FORMS[name].format(instruction) for instruction in INSTRUCTIONS)
    return Questions(questions, questions[0])
