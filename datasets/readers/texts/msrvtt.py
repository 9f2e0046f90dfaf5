"""Video captions in MSR-VTT's JSON (doi:10.1109/CVPR.2016.571).

    {"videos": [{"video_id": "video0", "split": "train"}],
     "sentences": [{"video_id": "video0", "caption": "a man pours tea"}]}
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ullava.datasets.readers.base import READERS, TableReader
from ullava.datasets.readers.files import inside
from ullava.datasets.structures import Sample, Turn, Video
from ullava.datasets.tables import Table, TableRow, open_table, read_object


@READERS.register("msrvtt")
@dataclass(frozen=True)
class MsrVtt(TableReader):
    """One sample per clip, all its captions (20 as published) in one turn without a question.

    Args:
        annotations: *_videodatainfo.json.
        videos: folder of the clips.
        split: as the file's `split` field says: train, validate, test; None takes all.
        suffix: of the clips' files.
    """

    name: str
    annotations: Path
    videos: Path
    split: str | None = None
    suffix: str = ".mp4"

    @cached_property
    def table(self) -> Table:
        return open_table(rows, self.annotations, split=self.split)

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        sample_id, captions = f"{self.name}/{row.id}", tuple(row.facts["captions"])
        video = Video(inside(self.videos, row.id + self.suffix, sample_id))
        return Sample(sample_id, (video,), turns=(Turn("", captions[0], captions),))


def rows(path: Path, *, split: str | None) -> Iterator[TableRow]:
    """One row per clip of `split` that has captions, in the file's order."""
    tree = read_object(path, "videos", "sentences")
    captions = defaultdict(list)
    for sentence in tree["sentences"]:
        captions[sentence["video_id"]].append(sentence["caption"].strip())
    for video in tree["videos"]:
        if split in (None, video["split"]) and video["video_id"] in captions:
            yield TableRow(video["video_id"], video["video_id"], {"captions": captions[video["video_id"]]})
