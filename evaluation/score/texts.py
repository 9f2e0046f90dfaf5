"""Captions and short answers, in the files of COCO's and VQA's own servers."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ullava.evaluation.engine.scoring import Pair
from ullava.evaluation.metrics.base import METRICS
from ullava.evaluation.metrics.captions import meteor
from ullava.evaluation.metrics.vqa_accuracy import Match, VqaAccuracy
from ullava.evaluation.score.kinds import FILE_KINDS, Case, Kind, Suite, match
from ullava.evaluation.score.lists import field_of, read_json


class Texts(Kind):
    """One text for each picture or question, compared with what people wrote."""

    def pairs(self, case):
        return {"text": [Pair(case.prediction, case.truth)]}


@FILE_KINDS.register("captions")
class CaptionFiles(Texts):
    """captions: COCO's annotations and results (JSON): BLEU, METEOR, ROUGE-L, CIDEr-D"""

    def suites(self):
        references, gt = defaultdict(list), self.options.gt
        for annotation in entries(gt, "annotations"):
            references[str(field_of(annotation, "image_id", gt))].append(field_of(annotation, "caption", gt))
        captions = texts_by(entries(self.options.pred), "image_id", "caption", self.options.pred)
        pairs, extra = match(references, captions, self.options)
        cases = [Case(name, name, caption, tuple(truth)) for name, truth, caption in pairs]
        names = ["captions", *(["meteor"] if meteor.is_there() else [])]
        return [Suite(gt.stem, cases, [METRICS[name]() for name in names], extra)]


@FILE_KINDS.register("vqa")
class AnswerFiles(Texts):
    """vqa: VQAv2's annotations and results (JSON): the official accuracy"""

    @classmethod
    def add_arguments(cls, parser):
        parser.add_argument("--match", choices=Match.__args__, default="auto", help="default: official from 4 on")

    def suites(self):
        gt = self.options.gt
        annotations = list(entries(gt, "annotations"))
        truths = {str(field_of(annotation, "question_id", gt)): annotation for annotation in annotations}
        answers = texts_by(entries(self.options.pred), "question_id", "answer", self.options.pred)
        pairs, extra = match(truths, answers, self.options)
        cases = [
            Case(
                name,
                str(annotation.get("image_id", name)),
                answer,
                tuple(a["answer"] for a in field_of(annotation, "answers", gt)),
            )
            for name, annotation, answer in pairs
        ]
        metrics = [VqaAccuracy(match=self.options.match)]
        suites = [Suite(gt.stem, cases, metrics, extra)]
        for key in ("answer_type", "question_type"):
            for kind in dict.fromkeys(annotation[key] for annotation in annotations if key in annotation):
                part = [case for case in cases if truths[case.id].get(key) == kind]
                suites.append(Suite(f"{gt.stem}/{kind}", part, metrics))
        return suites


def entries(path: Path, key: str | None = None) -> Iterable[Mapping[str, Any]]:
    """Reads the list in a JSON file, or under `key` of the object there.

    Raises:
        ValueError: it is no list of objects.
    """
    content = read_json(path)
    objects = field_of(content, key, path) if key and isinstance(content, dict) else content
    if not (isinstance(objects, list) and all(isinstance(entry, dict) for entry in objects)):
        raise ValueError(f"{path}: expected a list of objects" + (f" under {key!r}" if key else ""))
    return objects


def texts_by(objects: Iterable[Mapping[str, Any]], key: str, text: str, path: Path) -> dict[str, str]:
    """Indexes the texts of a results file: id -> text.

    Raises:
        ValueError: an id stands twice, or its value is no text.
    """
    texts: dict[str, str] = {}
    for entry in objects:
        name, words = str(field_of(entry, key, path)), field_of(entry, text, path)
        if name in texts:
            raise ValueError(f"{path}: {key} {name} stands twice; hand in one {text} for each")
        if not isinstance(words, str):
            raise ValueError(f"{path}: {key} {name}: expected a text, found {str(words)[:60]}")
        texts[name] = words
    return texts
