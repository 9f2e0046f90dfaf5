"""Label maps: one class for each pixel."""

from pathlib import Path

import numpy as np

from ullava.configs.arguments import COUNT, ID
from ullava.evaluation.engine.scoring import Pair
from ullava.evaluation.engine.sizes import resize
from ullava.evaluation.metrics.label_maps import LabelMaps
from ullava.evaluation.metrics.mean_iou import IGNORED
from ullava.evaluation.score.kinds import FILE_KINDS, Case, Kind, Suite, files_of, match
from ullava.evaluation.score.lists import field_of, place, read_list
from ullava.evaluation.score.masks import ARRAYS, read_array


@FILE_KINDS.register("semantic")
class Semantic(Kind):
    """semantic: folders of label maps, PNG or NPY, or --list: mIoU, pixel_acc, and every class"""

    @classmethod
    def add_arguments(cls, parser):
        parser.add_argument("--classes", type=COUNT, help="how many; ids are 0..classes-1")
        parser.add_argument("--ignore", type=ID, default=IGNORED, help="id of pixels that count nowhere; default 255")
        parser.add_argument("--names", type=Path, help="text file: the name of a class a line, in the order of ids")
        parser.add_argument(
            "--list", type=Path, help='JSON: [{"suite", "num_classes", "ignore_index", "pairs": [{"gt", "pred"}]}]'
        )
        parser.add_argument("--resize", action="store_true", help="bring predictions to their truth's size")

    def suites(self):
        if self.options.list:
            return [self.listed(entry, self.options.list) for entry in read_list(self.options.list)]
        names = self.options.names.read_text(encoding="utf-8").splitlines() if self.options.names else []
        classes = len(names) if self.options.classes is None else self.options.classes
        if classes < 1:
            raise ValueError("score semantic: expected --classes K above 0, or --names FILE with a name a line")
        pairs, extra = match(files_of(self.options.gt, ARRAYS), files_of(self.options.pred, ARRAYS), self.options)
        cases = [Case(name, name, prediction, truth) for name, truth, prediction in pairs]
        metric = LabelMaps(classes, self.options.ignore, tuple(names))
        return [Suite(self.options.gt.name, cases, [metric], extra)]

    def listed(self, entry, path: Path) -> Suite:
        """A suite of the list, with its own number of classes."""
        name = str(entry.get("suite", path.parent.name))
        cases = []
        for pair in field_of(entry, "pairs", f"{path}: {name}"):
            prediction, truth = (place(path, field_of(pair, key, f"{path}: {name}")) for key in ("pred", "gt"))
            cases.append(Case(str(pair["gt"]), str(pair["gt"]), prediction if prediction.is_file() else None, truth))
        classes = entry.get("num_classes") or self.options.classes
        if not classes:
            raise ValueError(f"{path}: {name}: expected 'num_classes', found none; --classes says it for all")
        return Suite(name, cases, [LabelMaps(classes, entry.get("ignore_index", self.options.ignore))])

    def pairs(self, case):
        truth = read_array(case.truth).astype(np.int64)
        prediction = None if case.prediction is None else read_array(case.prediction)
        if prediction is not None and prediction.shape != truth.shape:
            if not self.options.resize:
                raise ValueError(
                    f"{case.prediction}: expected the truth's size {truth.shape} (H, W), found {prediction.shape}; "
                    "--resize brings it there"
                )
            prediction = resize(prediction, truth.shape)
        return {"labels": [Pair(prediction if prediction is None else prediction.astype(np.int64), truth)]}
