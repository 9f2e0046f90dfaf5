"""The baseline for lists of classes: everything is there, where such things usually are."""

from collections import Counter

import numpy as np

from ullava.configs.tokens import NEG, SEG
from ullava.datasets.structures import Answer
from ullava.evaluation.baselines.base import BASELINES, Baseline
from ullava.evaluation.baselines.masks import GRID, best_cut, mean_map, stretch
from ullava.evaluation.engine.box_sources import THRESHOLD
from ullava.evaluation.engine.questions import open_task
from ullava.evaluation.engine.scoring import promised
from ullava.evaluation.engine.sizes import size_of


@BASELINES.register("every_class")
class EveryClass(Baseline):
    """Calls each class there that it is asked for, and draws the mean of its training masks, scaled so that 0.5 cuts it
    where the IoU is best; each pixel then goes to the class that is there most often."""

    reads = "mask"
    tasks = ("multi_target",)

    def learn(self, lessons):
        sums: dict[str | None, np.ndarray] = {}
        counts: Counter[str | None] = Counter()
        for lesson in lessons:  # picture by picture: its classes share one decoding
            for region in promised(lesson.meant, SEG):
                sums[region.category] = sums.get(region.category, 0) + mean_map([region])
                counts[region.category] += 1
        means = {name: total / counts[name] for name, total in sums.items()}
        self.maps = {name: np.minimum(mean * (THRESHOLD / best_cut(mean)), 1) for name, mean in means.items()}

    def answer(self, dialogue):
        written = dialogue.turns[-1].answer
        reading = open_task(self.row).glean(written, dialogue.sample)
        assert reading is not None  # the task wrote the answer itself
        names = reading.names
        size, empty = size_of(dialogue.sample.media[0]), np.zeros(GRID)
        masks = tuple(stretch(self.maps.get(name, empty).astype(np.float32), size) for name in names)
        return Answer(written.replace(NEG, SEG), {"mask": masks})
