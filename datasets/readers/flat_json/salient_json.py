"""u-LLaVA's JSON for salient objects with an explanation (github.com/OPPOMKLab/u-LLaVA, dataset/).

    {"image_path": "images/a.jpg", "label_path": "masks/a.png",
     "gpt": {"tag": "dog", "reason": "It is the only thing that moves."}}
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ullava.datasets.formats.mask_pictures import Foreground
from ullava.datasets.readers.base import READERS, TableReader
from ullava.datasets.readers.files import inside
from ullava.datasets.readers.flat_json import ullava_json
from ullava.datasets.structures import Picture, Region, Sample
from ullava.datasets.tables import Table, open_table


@READERS.register("salient_json")
@dataclass(frozen=True)
class SalientJson(TableReader):
    """One sample per record: one region with the name and the reason that the record gives, if it does.

    Args:
        annotations: .json or .jsonl of {image_path, label_path, gpt: {reason, tag}}; the first release has `caption`
            in place of `gpt`, evaluation files have neither.
        images: folder from which `image_path` counts.
        labels: folder from which `label_path` counts; None: the same.
        threshold: least grey value, 0 to 255, of the foreground.
    """

    name: str
    annotations: Path
    images: Path
    labels: Path | None = None
    threshold: int = 128

    @cached_property
    def table(self) -> Table:
        return open_table(ullava_json.records, self.annotations)

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        sample_id = f"{self.name}/{row.id}"
        explanation = row.facts.get("gpt") or {}
        region = Region(
            category=explanation.get("tag") or row.facts.get("caption"),
            mask=Foreground(inside(self.labels or self.images, row.facts["label_path"], sample_id), self.threshold),
            reason=explanation.get("reason"),
        )
        return Sample(sample_id, (Picture(inside(self.images, row.picture, sample_id)),), (region,))
