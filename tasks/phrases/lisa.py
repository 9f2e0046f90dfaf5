"""LISA's questions and answers, on which its weights were trained.

Source: dvlab-research/LISA, Apache-2.0, utils/utils.py; the evaluation question is that of its validation
(utils/dataset.py). What it never asks, for boxes and salient objects, is asked in our words.
"""

from dataclasses import replace

from ullava.configs.tokens import SEG
from ullava.tasks.phrases.phrasebook import LOCATE, PHRASEBOOKS, SALIENT, SLOT, WHY, Phrasebook, Questions

SEGMENT = Questions(
    (
        f"Can you segment the {SLOT} in this image?",
        f"Please segment the {SLOT} in this image.",
        f"What is {SLOT} in this image? Please respond with segmentation mask.",
        f"What is {SLOT} in this image? Please output segmentation mask.",
    ),
    eval_question=f"What is {SLOT} in this image? Please output segmentation mask.",
)
ANSWERS = (
    f"It is {SEG}.",
    f"Sure, {SEG}.",
    f"Sure, it is {SEG}.",
    f"Sure, the segmentation result is {SEG}.",
    f"{SEG}.",
)

PHRASEBOOKS.add(
    "lisa",
    Phrasebook(
        segment=SEGMENT,
        locate=LOCATE,
        salient=SALIENT,
        explain=replace(
            SALIENT, templates=tuple(f"{template} {why}" for template in SALIENT.templates for why in WHY.templates)
        ),
        grammar="lisa",
    ),
)
