"""One dialogue, ready to be collated: its tokens, its pictures, and where each promise stands."""

from dataclasses import dataclass

import numpy as np

from ullava.configs.tokens import IMAGE
from ullava.models.batching.layout import Arrays


@dataclass(frozen=True, slots=True)
class PlacedPromise:
    """A promise in a row: the column of its token, its picture among the row's media, its target where one is known."""

    token: str
    column: int
    picture: int
    mask: np.ndarray | None  # (H, W) uint8: 1 target, 0 background, `masks.IGNORED` counts nowhere
    box: np.ndarray | None  # (4,) float64 x0, y0, x1, y1 as fractions of the picture
    words: tuple[tuple[int, ...], ...] = ()  # ids of each of the promise's words
    turn: int = 0  # of the row's dialogue, whose answer says the token


@dataclass(frozen=True, slots=True)
class PlacedMedium:
    """A picture or video in a row.

    Attributes:
        column: of its first patch token.
        arrays: what the backbone sees, by names that are its own; for a tower `pixels`, (S, S, 3) or (F, S, S, 3)
            uint8.
        frame: (S, S, 3) uint8, as SAM sees it; None where nothing is promised of it.
        size: (H, W) of the original.
    """

    kind: str
    column: int
    arrays: Arrays
    frame: np.ndarray | None
    size: tuple[int, int]
    key: str

    @property
    def pixels(self) -> np.ndarray:
        """What a tower sees."""
        return self.arrays["pixels"]


@dataclass(frozen=True, slots=True)
class Example:
    """One dialogue, ready to be collated: ids (L,), supervised (L,) bool, media in the order of the text.

    `place` is its (epoch, position) in the mixture, for messages.
    """

    id: str
    input_ids: np.ndarray
    supervised: np.ndarray
    media: tuple[PlacedMedium, ...]
    promises: tuple[PlacedPromise, ...]
    place: tuple[int, int] | None = None

    @property
    def about(self) -> int | None:
        """Which of the media an answer speaks of that the model itself says: the last picture shown before it.

        A question brings its picture or means the one at hand, so this is right wherever questions are asked turn by
        turn. Of several pictures in front of one question it is the last; None where there is no picture.
        """
        return max((n for n, medium in enumerate(self.media) if medium.kind == IMAGE), default=None)
