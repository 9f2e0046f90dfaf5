"""What a picture or film becomes in a row for a vision tower and a projector; known without any weight."""

from dataclasses import dataclass

from ullava.configs.schema import VisionConfig
from ullava.datasets.images import View
from ullava.datasets.moments import Sampling
from ullava.models.backbones.vision_tower import TOWERS, read_settings
from ullava.models.folders.trust import NEVER


@dataclass(frozen=True, slots=True)
class TowerLayout:
    """The layout of today's backbone.

    Attributes:
        view: how a picture lies in the tower's square.
        patches: how many tokens a picture becomes.
        frames: of a film, chosen by `sampling`; it becomes frames + patches tokens.
    """

    view: View
    patches: int
    frames: int
    sampling: Sampling


def read_layout(config: VisionConfig) -> TowerLayout:
    """The layout of the tower that a YAML names, from its config.json.

    Raises:
        FileNotFoundError: the folder has none.
        ValueError: it is that of another architecture.
    """
    folder, key = config.tower, "model.vision.tower"
    kind = read_settings(folder, "config.json", key).get("model_type")
    if kind not in TOWERS:
        raise ValueError(f"{key}: {folder} holds a {kind!r}, expected one of {', '.join(sorted(TOWERS))}")
    shape = TOWERS[kind][1].from_pretrained(folder, **NEVER)
    view, patches = View(shape.image_size, config.aspect), (shape.image_size // shape.patch_size) ** 2
    return TowerLayout(view, patches, config.frames, Sampling(config.sampling, config.fps))
