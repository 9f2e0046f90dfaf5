"""Saliency maps: grey pictures against masks, as that field's programs read them."""

from pathlib import Path

import numpy as np
from PIL import Image

from ullava.datasets.formats.mask_pictures import decoded
from ullava.datasets.opening import check_file
from ullava.evaluation.engine.scoring import Pair
from ullava.evaluation.metrics.base import METRICS
from ullava.evaluation.score.grey_resize import resize_grey
from ullava.evaluation.score.kinds import FILE_KINDS, Case, Kind, Suite, files_of, match
from ullava.evaluation.score.lists import field_of, place, read_list

PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
HALF = 128  # a true pixel is brighter (PySODMetrics)


@FILE_KINDS.register("salient")
class Salient(Kind):
    """salient: folders of grey pictures (PNG, JPEG), or --list: MAE, F, E, S, weighted F"""

    @classmethod
    def add_arguments(cls, parser):
        parser.add_argument("--list", type=Path, help='JSON: [{"id", "gt", "pred"}]')
        parser.add_argument("--only", nargs="+", metavar="ID", help="of the list: score these")
        parser.add_argument("--resize", action="store_true", help="bring predictions to their truth's size")

    def suites(self):
        metrics = [METRICS["saliency"]()]
        if self.options.list:
            return [Suite(self.options.list.parent.name, self.listed(self.options.list), metrics)]
        folder = self.options.gt
        pairs, extra = match(files_of(folder, PICTURES), files_of(self.options.pred, PICTURES), self.options)
        cases = [Case(name, name, prediction, truth) for name, truth, prediction in pairs]
        return [Suite(folder.name, cases, metrics, extra)]

    def listed(self, path: Path) -> list[Case]:
        """The cases of a list."""
        cases = []
        for entry in read_list(path):
            name = str(field_of(entry, "id", path))
            prediction, truth = (place(path, field_of(entry, key, f"{path}: {name}")) for key in ("pred", "gt"))
            cases.append(Case(name, name, prediction if prediction.is_file() else None, truth))
        wanted = set(self.options.only or (case.id for case in cases))
        if wanted - {case.id for case in cases}:
            raise LookupError(f"{path}: no case {', '.join(sorted(wanted - {case.id for case in cases}))}")
        return [case for case in cases if case.id in wanted]

    def pairs(self, case):
        truth = read_grey(case.truth) > HALF
        grey = None if case.prediction is None else read_grey(case.prediction)
        if grey is not None and grey.shape != truth.shape:
            if not self.options.resize:
                raise ValueError(
                    f"{case.prediction}: expected the truth's size {truth.shape} (H, W), found {grey.shape}; "
                    "--resize brings it there"
                )
            grey = resize_grey(grey, truth.shape)
        return {"mask": [Pair(grey, truth)]}


def read_grey(path: Path) -> np.ndarray:
    """A picture's grey levels, (H, W) uint8."""
    check_file(path, "mask")
    image: Image.Image = decoded(path)
    if image.mode.startswith("I"):  # 16 bits
        return (np.asarray(image) >> 8).astype(np.uint8)
    return np.asarray(image.convert("L"))
