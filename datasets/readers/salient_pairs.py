"""Salient objects as a folder of pictures and a folder of masks: DUTS, DUT-OMRON, ECSSD, MSRA-B as published."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ullava.datasets.masks import Foreground
from ullava.datasets.readers.base import READERS, Reader, by_stem
from ullava.datasets.structures import Picture, Region, Sample


@READERS.register("salient_pairs")
@dataclass(frozen=True)
class SalientPairs(Reader):
    """One sample per mask: the picture of the same stem, one region without a name.

    Args:
        images, masks: the two folders.
        threshold: least grey value, 0 to 255, of the foreground.
    """

    name: str
    images: Path
    masks: Path
    threshold: int = 128

    @cached_property
    def pairs(self) -> list[tuple[Path, Path]]:
        """Paths of picture and mask, in the order of stems."""
        pictures, masks = by_stem(self.images), by_stem(self.masks)
        for folder, lacking in ((self.images, masks.keys() - pictures), (self.masks, pictures.keys() - masks)):
            if lacking:
                raise FileNotFoundError(f"{folder}: {len(lacking)} files are missing, e.g. {min(lacking)}")
        if not masks:
            raise ValueError(f"{self.masks}: no records; expected one at least")
        return [(pictures[stem], mask) for stem, mask in masks.items()]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        picture, mask = self.pairs[index]
        region = Region(mask=Foreground(mask, self.threshold))
        return Sample(f"{self.name}/{mask.stem}", (Picture(picture),), (region,))
