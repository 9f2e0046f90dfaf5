"""The words that tasks and model have in common.

An owner token in an answer is a promise of one region's mask, box or word; the head that reads the token keeps it.
Spellings are ours (NAMES); a checkpoint's own spelling is mapped by `model.tokens` and written by the processor only.
"""

SEG = "[SEG]"  # owns a mask     LISA, arXiv:2308.00692
LOC = "[LOC]"  # owns a box      u-LLaVA, arXiv:2311.05348
KEY = "[KEY]"  # owns a keyword  KeySeg
NEG = "[NEG]"  # asked for and not here, owns nothing; LaSagnA's <no_ins>, arXiv:2404.08506
TAG, END_TAG = "[tag]", "[/tag]"  # around a name      u-LLaVA

IMAGE, VIDEO = "<image>", "<video>"  # where a medium stands in a question that has marks (datasets/structures.py: Turn)
PATCH = {IMAGE: "<image_patch>", VIDEO: "<video_patch>"}  # one per feature of the vision tower
BEGIN = {IMAGE: "<img_beg>", VIDEO: "<vid_beg>"}
END = {IMAGE: "</img_end>", VIDEO: "</vid_end>"}
PAD = "[PAD]"

OWNERS = (SEG, LOC, KEY)
STAGE_ONE = (PAD, PATCH[IMAGE], PATCH[VIDEO], BEGIN[IMAGE], END[IMAGE], BEGIN[VIDEO], END[VIDEO])  # u-LLaVA's order
STAGE_TWO = (SEG, LOC, TAG, END_TAG, KEY, NEG)
SPACED = (SEG, LOC, TAG, KEY, NEG)  # these own the space before them

IGNORE_INDEX = -100  # label of a position that the language loss skips, as in PyTorch's cross-entropy
