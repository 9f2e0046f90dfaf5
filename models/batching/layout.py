"""What a picture or film becomes in a row: the half of a backbone that needs no weights.

The processor asks it for tokens and pixels, the collator to put pixels side by side; so rows are measured and checked
without a network (`models/processor_from_config.py`).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ullava.configs.tokens import IMAGE, VIDEO
from ullava.datasets import images
from ullava.datasets.images import View
from ullava.datasets.structures import Picture, Video

Arrays = Mapping[str, np.ndarray]  # what the backbone sees of one medium, by names that are its own


@dataclass(frozen=True, slots=True)
class MediaTokens:
    """The tokens of one medium.

    Attributes:
        before, after: what is written around it.
        feature: the token in whose place a feature is put; it stands in the text once, between `before` and `after`.
        inside: what it becomes in the row: `feature` for each feature, and other tokens where there is none.
    """

    before: str
    feature: str
    after: str
    inside: tuple[str, ...]

    @property
    def written(self) -> str:
        """How the medium stands in a text."""
        return self.before + self.feature + self.after


class MediaLayout(ABC):
    """How a backbone takes pictures and films.

    Attributes:
        view: how a picture lies in the square that the backbone sees, for backbones that see one.
        feature_tokens: kind of a medium -> the token in whose place its features are put.
    """

    view: View
    feature_tokens: Mapping[str, str]

    @abstractmethod
    def tokens(self, medium: Picture | Video) -> MediaTokens:
        """The tokens of a medium, whose number may depend on its size."""

    @abstractmethod
    def frames_of(self, video: Video) -> np.ndarray:
        """(F, H, W, 3) uint8: the frames of a film that the backbone sees."""

    @abstractmethod
    def pixels(self, medium: Image.Image | np.ndarray) -> Arrays:
        """What the backbone sees of a picture, or of the frames of a film."""

    def open(self, medium: Picture | Video) -> tuple[Image.Image | np.ndarray, tuple[int, int]]:
        """A picture, or the frames of a film, and its (H, W).

        Raises:
            FileNotFoundError, ValueError: the file is missing or broken.
        """
        if isinstance(medium, Video):
            frames = self.frames_of(medium)
            return frames, (frames.shape[1], frames.shape[2])
        picture = images.load(medium)
        return picture, (picture.height, picture.width)

    def collate(self, media: Sequence[Arrays]) -> dict[str, Tensor]:
        """Media of one kind side by side; here arrays of one shape each are stacked."""
        return stacked(media)


def stacked(media: Sequence[Arrays]) -> dict[str, Tensor]:
    """Arrays of equal shapes, by name, as tensors with the media as their first axis."""
    return {name: torch.from_numpy(np.stack([arrays[name] for arrays in media])) for name in media[0]}


def kind_of(medium: Picture | Video) -> str:
    """The mark of a medium in a text, see `configs/tokens.py`."""
    return VIDEO if isinstance(medium, Video) else IMAGE
