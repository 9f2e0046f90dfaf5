"""A sample as in a mirror: left and right change places in its pictures, masks and boxes. Its words stay as they are.

For tasks whose words name no side: a few hundred pictures are twice as many to a network that learns from them.
"""

from dataclasses import dataclass, replace

import numpy as np

from ullava.datasets.boxes import Box
from ullava.datasets.images import size_of
from ullava.datasets.masks import Mask
from ullava.datasets.structures import Picture, Region, Sample


@dataclass(frozen=True, slots=True)
class Mirrored:
    """A mask, left and right exchanged."""

    mask: Mask

    @property
    def size(self) -> tuple[int, int]:
        return self.mask.size

    def draw(self) -> np.ndarray:
        return self.mask.draw()[:, ::-1]


def mirror(sample: Sample) -> Sample:
    """The sample in a mirror.

    Raises:
        ValueError: it shows a video.
    """
    pictures = [medium for medium in sample.media if isinstance(medium, Picture)]
    if len(pictures) < len(sample.media):
        raise ValueError(f"{sample.id}: mirror: expected pictures, found a video; leave `mirror` out of its row")
    return replace(
        sample,
        media=tuple(replace(picture, mirrored=not picture.mirrored) for picture in pictures),
        regions=tuple(turned(region, sample) for region in sample.regions),
        ignored=sample.ignored and Mirrored(sample.ignored),
    )


def turned(region: Region, sample: Sample) -> Region:
    """A region in the mirror."""
    box = None if region.box is None else across(region.box, region, sample)
    return replace(region, mask=region.mask and Mirrored(region.mask), box=box)


def across(box: Box, region: Region, sample: Sample) -> Box:
    """The region's box, measured from the other side of its picture."""
    picture = sample.media[region.picture]
    assert isinstance(picture, Picture), "`mirror` takes pictures only"
    _, width = region.mask.size if region.mask is not None else picture.size or size_of(picture.path)
    x0, y0, x1, y1 = box
    return width - x1, y0, width - x0, y1
