"""One object as a folder of pictures and a folder of masks: DUTS, DUT-OMRON, ECSSD, MSRA-B, DAVIS 2016 as published."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ullava.datasets.masks import Foreground
from ullava.datasets.readers.base import READERS, Reader
from ullava.datasets.readers.files import by_stem, chosen, paired
from ullava.datasets.structures import Picture, Region, Sample


@READERS.register("salient_pairs")
@dataclass(frozen=True)
class SalientPairs(Reader):
    """One sample per mask: the picture of the same stem, one region without a name.

    Args:
        images, masks: the two folders; both may hold the same folders, as DAVIS (CVPR 2016) one for each sequence.
        threshold: least grey value, 0 to 255, of the foreground.
        listed: text file; the first path on each line names a record. None: all masks.
    """

    name: str
    images: Path
    masks: Path
    threshold: int = 128
    listed: Path | None = None

    @cached_property
    def pairs(self) -> list[tuple[Path, Path]]:
        """Paths of picture and mask, in the order of stems or of the list."""
        pictures, masks = by_stem(self.images), by_stem(self.masks)
        stems = chosen(self.listed, masks) if self.listed else sorted(masks.keys() | pictures)
        return paired({self.images: pictures, self.masks: masks}, stems)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        picture, mask = self.pairs[index]
        region = Region(mask=Foreground(mask, self.threshold))
        return Sample(f"{self.name}/{mask.relative_to(self.masks).with_suffix('')}", (Picture(picture),), (region,))
