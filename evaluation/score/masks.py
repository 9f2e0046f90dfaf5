"""Mask files: a prediction for each truth, with pixels that count nowhere (ReasonSeg), or without."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from ullava.configs.arguments import COUNT
from ullava.datasets.formats.labelme import IGNORED, TARGET, Shapes, read_shapes
from ullava.datasets.formats.mask_pictures import label_map
from ullava.evaluation.engine.scoring import Pair
from ullava.evaluation.engine.sizes import resize
from ullava.evaluation.metrics.base import METRICS, Metric, Record
from ullava.evaluation.metrics.generalised_iou import GeneralisedIoU
from ullava.evaluation.score.kinds import FILE_KINDS, Case, Kind, Suite, files_of, match
from ullava.evaluation.score.lists import field_of, place, read_list

ARRAYS = (".png", ".npy")
CUT = 0.5  # of a probability


@FILE_KINDS.register("masks")
class Masks(Kind):
    """masks: folders of PNG or NPY (ReasonSeg JSON as truth), or --list: gIoU, cIoU, P@t"""

    @classmethod
    def add_arguments(cls, parser):
        parser.add_argument("--list", type=Path, help='JSON: [{"id", "suite", "masks": [{"gt", "pred"}]}]')
        parser.add_argument("--suites", nargs="+", help="of the list: score these, together")
        parser.add_argument("--generalised", action="store_true", help="gRefCOCO's rule, with N-acc and T-acc")
        parser.add_argument("--target", type=COUNT, default=TARGET, help="value of a target pixel in truths; default 1")
        parser.add_argument("--logits", action="store_true", help="float predictions are logits: inside is > 0")
        parser.add_argument("--resize", action="store_true", help="bring predictions to their truth's size")

    def __init__(self, options):
        super().__init__(options)
        self.targets = self.others = 0  # truths with a target, truths with pixels to be ignored

    def notes(self):
        if self.others and not self.targets:
            return [f"no truth holds a target ({self.options.target}), but {IGNORED}; --target 255 if they are 0/255"]
        return []

    def suites(self):
        metrics = [METRICS["generalised_iou" if self.options.generalised else "mask_iou"]()]
        return self.listed(metrics) if self.options.list else self.in_folders(metrics)

    def in_folders(self, metrics: Sequence[Metric]) -> list[Suite]:
        """Makes the suites of the folder of truths; ReasonSeg's also by the length of the question."""
        folder = self.options.gt
        truths: Mapping[str, Any] = files_of(folder, (".json",)) or files_of(folder, ARRAYS)
        pairs, extra = match(truths, files_of(self.options.pred, ARRAYS), self.options)
        cases = [
            Case(name, name, prediction, read_shapes(truth) if truth.suffix == ".json" else truth)
            for name, truth, prediction in pairs
        ]
        suites = [Suite(folder.name, cases, metrics, extra)]
        for name, long in (("short", False), ("long", True)):
            part = [case for case in cases if isinstance(case.truth, Shapes) and case.truth.is_sentence is long]
            suites += [Suite(f"{folder.name}/{name}", part, metrics)] if part else []
        return suites

    def listed(self, metrics: Sequence[Metric]) -> list[Suite]:
        """The list's suites and all of them, or those that are wanted in one."""
        path = self.options.list
        groups: dict[str, list[Case]] = {}
        for entry in read_list(path):
            groups.setdefault(str(entry.get("suite", path.parent.name)), []).extend(cases_of(entry, path))
        wanted = self.options.suites
        unknown = set(wanted or ()) - groups.keys()
        if unknown:
            raise LookupError(f"{path}: no suite {', '.join(sorted(unknown))}; there are: {', '.join(groups)}")
        together = [case for name, cases in groups.items() if not wanted or name in wanted for case in cases]
        if wanted or len(groups) == 1:
            return [Suite("+".join(wanted or groups), together, metrics)]
        return [*(Suite(name, cases, metrics) for name, cases in groups.items()), Suite("ALL", together, metrics)]

    def pairs(self, case):
        labels = case.truth.paint() if isinstance(case.truth, Shapes) else read_truth(case.truth, self.options.target)
        target = TARGET if isinstance(case.truth, Shapes) else self.options.target
        self.targets += bool((labels == target).any())
        self.others += bool(np.isin(labels, IGNORED).any())
        mask = None if case.prediction is None else read_mask(case.prediction, logits=self.options.logits)
        if mask is not None and mask.shape != labels.shape:
            if not self.options.resize:
                raise ValueError(
                    f"{case.prediction}: expected the truth's size {labels.shape} (H, W), found {mask.shape}; "
                    "--resize brings it there"
                )
            mask = resize(mask, labels.shape)
        pair = Pair(mask, labels == target, None, (labels == IGNORED) & (labels != target))
        return {"mask": [pair], "union": [pair]}

    def records(self, case: Case, metrics: Sequence[Metric]) -> dict[str, tuple[Record, ...]]:
        if case.says_no_target is None or not self.options.generalised:
            return super().records(case, metrics)
        (pair,) = self.pairs(case)["mask"]
        generalised = cast(Sequence[GeneralisedIoU], metrics)  # which `suites` chose, the only one that reads `said`
        return {
            metric.name: (
                metric.measure(pair.prediction, pair.truth, ignored=pair.ignored, says_no_target=case.says_no_target),
            )
            for metric in generalised
        }


def cases_of(entry: Mapping[str, Any], path: Path) -> list[Case]:
    """A case for each mask of an entry; a file that is not there is a missing prediction."""
    name = str(field_of(entry, "id", path))
    masks = field_of(entry, "masks", f"{path}: {name}")
    cases = []
    for number, mask in enumerate(masks):
        where = f"{path}: {name}"
        prediction = mask.get("pred") and place(path, mask["pred"])
        cases.append(
            Case(
                name if len(masks) == 1 else f"{name}/{number}",
                name,
                prediction if prediction and prediction.is_file() else None,
                place(path, field_of(mask, "gt", where)),
                mask.get("pred_no_target"),
            )
        )
    return cases


def read_mask(path: Path, *, logits: bool = False) -> np.ndarray:
    """Reads a predicted mask, (H, W) bool, from a PNG or NPY of two values, 0 and another, or of floats.

    Args:
        logits: floats are logits and not probabilities.

    Raises:
        ValueError: it holds something else.
    """
    mask = read_array(path)
    if mask.dtype == bool:
        return mask
    if np.issubdtype(mask.dtype, np.floating):
        if logits:
            return mask > 0
        if not (mask.size and 0 <= mask.min() <= mask.max() <= 1):
            raise ValueError(f"{path}: expected probabilities within 0..1; --logits says that these are logits")
        return mask > CUT
    values = np.unique(mask)
    if len(values[values != 0]) > 1:
        raise ValueError(f"{path}: expected 0 and one other value, found {len(values)} values; cut the mask first")
    return mask != 0


def read_truth(path: Path, target: int = TARGET) -> np.ndarray:
    """Reads a true label map, (H, W): 0 background, `target`, 255 ignored.

    Raises:
        ValueError: it holds another value.
    """
    labels = read_array(path).astype(np.int64)
    strange = np.setdiff1d(labels, (0, target, IGNORED))
    if strange.size:
        raise ValueError(
            f"{path}: expected 0 (background), {target} (target) or {IGNORED} (ignored), found {strange[:5].tolist()}; "
            "--target names the value of the target"
        )
    return labels


def read_array(path: Path) -> np.ndarray:
    """Reads the values of a PNG or NPY, (H, W).

    Raises:
        ValueError: it is broken, or has other axes.
    """
    if path.suffix.lower() != ".npy":
        return label_map(path)
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path}: expected an array that numpy.save wrote: {error}") from error
    array = array[0] if array.ndim == 3 and len(array) == 1 else array
    if array.ndim != 2:
        raise ValueError(f"{path}: expected (H, W), found {array.shape}; save one mask a file")
    return array
