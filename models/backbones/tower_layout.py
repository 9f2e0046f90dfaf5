"""What a picture or film becomes in a row for a vision tower and a projector; known without any weight."""

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from ullava.configs.schema import VisionConfig
from ullava.configs.tokens import BEGIN, END, PATCH
from ullava.datasets import videos
from ullava.datasets.images import View
from ullava.datasets.moments import UNIFORM, Sampling
from ullava.datasets.structures import Picture, Video
from ullava.models.backbones.vision_tower import TOWERS, read_settings
from ullava.models.batching.layout import Arrays, MediaLayout, MediaTokens, kind_of
from ullava.models.folders.trust import NEVER


@dataclass(frozen=True)
class TowerLayout(MediaLayout):
    """A feature for each patch of a picture; of a film, one for each frame, then one for each patch.

    Attributes:
        view: how a picture lies in the tower's square.
        patches: how many tokens a picture becomes.
        frames: of a film, chosen by `sampling`; it becomes frames + patches tokens.
    """

    view: View
    patches: int
    frames: int = 8
    sampling: Sampling = UNIFORM
    feature_tokens: dict[str, str] = field(default_factory=lambda: dict(PATCH))

    def tokens(self, medium: Picture | Video) -> MediaTokens:
        """As many as features, between their begin and their end."""
        kind = kind_of(medium)
        count = self.patches + (self.frames if isinstance(medium, Video) else 0)
        return MediaTokens(BEGIN[kind], PATCH[kind], END[kind], (PATCH[kind],) * count)

    def frames_of(self, video: Video) -> np.ndarray:
        """(F, H, W, 3) uint8."""
        return videos.read_frames(video, self.frames, sampling=self.sampling)

    def pixels(self, medium: Image.Image | np.ndarray) -> Arrays:
        """`pixels`: (S, S, 3) uint8 of a picture, (F, S, S, 3) of a film."""
        if isinstance(medium, np.ndarray):
            return {"pixels": np.stack([self.view.apply(frame) for frame in medium])}
        return {"pixels": self.view.apply(medium)}


def read_layout(config: VisionConfig) -> TowerLayout:
    """The layout of the tower that a YAML names, from its config.json.

    Raises:
        FileNotFoundError: the folder has none.
        ValueError: it is that of another architecture, or of a tower whose pictures or patches are no squares.
    """
    folder, key = config.tower, "model.vision.tower"
    kind = read_settings(folder, "config.json", key).get("model_type")
    if kind not in TOWERS:
        raise ValueError(f"{key}: {folder} holds a {kind!r}, expected one of {', '.join(sorted(TOWERS))}")
    shape = TOWERS[kind][1].from_pretrained(folder, **NEVER)
    side, patch = shape.image_size, shape.patch_size
    if not (isinstance(side, int) and isinstance(patch, int)):
        raise ValueError(
            f"{key}: {folder}: expected one number as image_size and one as patch_size, found {side} and {patch}; take "
            "a tower that sees squares"
        )
    view, patches = View(side, config.aspect), (side // patch) ** 2
    return TowerLayout(view, patches, config.frames, Sampling(config.sampling, config.fps))
