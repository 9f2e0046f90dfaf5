"""One object as a folder of pictures and a folder of masks: DUTS, DUT-OMRON, ECSSD, MSRA-B, DAVIS 2016 as published."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ullava.datasets.formats.mask_pictures import Foreground
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
        image_ending, mask_ending: of the files' names, where one folder holds both: ".jpg" and ".png" in MSRA-10K.
    """

    name: str
    images: Path
    masks: Path
    threshold: int = 128
    listed: Path | None = None
    image_ending: str = ""
    mask_ending: str = ""

    @cached_property
    def pairs(self) -> list[tuple[str, Path, Path]]:
        """Stem, and paths of picture and mask, in the order of stems or of the list."""
        pictures, masks = by_stem(self.images, self.image_ending), by_stem(self.masks, self.mask_ending)
        stems = chosen(self.listed, masks) if self.listed else sorted(masks.keys() | pictures)
        file_pairs = paired([(self.images, pictures), (self.masks, masks)], stems)
        return [(stem, picture, mask) for stem, (picture, mask) in zip(stems, file_pairs, strict=True)]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        stem, picture, mask = self.pairs[index]
        region = Region(mask=Foreground(mask, self.threshold))
        return Sample(f"{self.name}/{stem}", (Picture(picture),), (region,))
