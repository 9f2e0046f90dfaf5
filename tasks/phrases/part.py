"""What is done with a part, and the questions that say so instead of naming it. Our own sentences.

"Which part of the mug would you hold?" leaves it to the reader to think of the handle.
"""

from ullava.tasks.phrases.phrasebook import SLOT, Questions

DEED = "<deed>"  # the slot of what is done with a part; that of the object is SLOT
DEEDS = {
    "arm": "rest your arms on", "blade": "cut with", "button": "press", "cap": "screw off", "cover": "open",
    "door": "open", "drawer": "pull out", "faucet": "turn on", "handle": "hold", "key": "press", "knob": "turn",
    "leg": "stand it on", "lever": "push", "lid": "lift", "pedal": "step on", "rope": "pull", "seat": "sit on",
    "spout": "pour from", "strap": "carry it by", "switch": "flip", "tail": "steer it by", "wheel": "roll it on",
    "zip": "open",
}  # fmt: skip
USUAL = "use to operate it"  # of parts that are not listed

OPERATE = Questions(
    (
        f"Which part of the {SLOT} would you {DEED}? Please output its mask.",
        f"Look at the {SLOT}: which part do you {DEED}? Segment it.",
        f"Segment the part of the {SLOT} that one would {DEED}.",
    ),
    eval_question=f"Which part of the {SLOT} would you {DEED}?",
)


def deed(part: str) -> str:
    """Returns the verb for the use of a part: "hold" for a handle."""
    return DEEDS.get(part, USUAL)
