"""Which of the known names an answer means, where a model may spell one a little differently."""

import difflib
from collections.abc import Collection


def meant(name: str, known: Collection[str], least: float) -> str | None:
    """The known name that `name` is, or is spelt most like; None where none is like enough.

    Args:
        least: likeness to be taken, 0..1 (`difflib`'s ratio): 1 takes the name itself alone, 0 the nearest always.
    """
    if name in known or not known:
        return name if name in known else None
    if least >= 1:
        return None
    likeness = {other: difflib.SequenceMatcher(None, other, name).ratio() for other in sorted(known)}
    best = max(likeness, key=likeness.__getitem__)
    return best if likeness[best] >= least else None
