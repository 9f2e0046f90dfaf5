"""Whether the words that a user types are a sentence, or name a thing."""

ENDS = (".", "?", "!", ":", "。", "？", "！", "؟", "।")  # of a sentence, in several scripts


def asks_itself(text: str) -> bool:
    """Whether a text is a sentence, to be asked as it stands; otherwise it names a thing to be found."""
    return text.rstrip().endswith(ENDS)
