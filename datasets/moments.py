"""Chooses the frames that represent a film, in three ways, each a pure function of the film.

A film that has fewer frames than are asked for repeats them in order, whatever the way: a model takes a fixed number.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

WAYS = ("uniform", "head_tail", "fps")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How frames are chosen.

    Attributes:
        way:
            "uniform": the middle frames of equal parts;
            "head_tail": half of them at random from each half of the film, as u-LLaVA trains on GIFs and films
            (gif_train, video_train); drawn from the film's name, so that a film shows the same frames each time;
            "fps": `fps` frames a second, as Qwen2-VL (arXiv:2409.12191) reads films; of a film that has more of them
            than are asked for, equally spread ones.
        fps: frames a second, above 0.
    """

    way: Literal["uniform", "head_tail", "fps"] = "uniform"
    fps: float = 1.0

    def __post_init__(self):
        if self.way not in WAYS or not self.fps > 0:
            raise ValueError(f"sampling: expected {', '.join(WAYS)}, at more than 0 fps, found {self.way}, {self.fps}")

    def choose(self, seconds: Sequence[float], count: int, name: str) -> list[int]:
        """Returns the numbers of `count` frames, in order.

        Args:
            seconds: when each frame of the film is shown, sorted; one or more.
            name: of the film.
        """
        total = len(seconds)
        if self.way == "uniform" or total == 1:
            return middles(total, count)
        if self.way == "head_tail":
            return head_tail(total, count, np.random.default_rng(zlib.crc32(name.encode())))
        rated = at_rate(np.asarray(seconds, float), self.fps)
        return [rated[k] for k in middles(len(rated), count)]


UNIFORM = Sampling()


def middles(total: int, count: int) -> list[int]:
    """Indices of the middle frames of `count` equal parts of `total` frames."""
    return [(2 * part + 1) * total // (2 * count) for part in range(count)]


def head_tail(total: int, count: int, rng: np.random.Generator) -> list[int]:
    """Half of the frames from each half, at random; the first half gives one more of an odd count."""
    half = total // 2
    head, tail = (drawn(size, wanted, rng) for size, wanted in ((half, count - count // 2), (total - half, count // 2)))
    return [*head, *(half + place for place in tail)]


def drawn(total: int, count: int, rng: np.random.Generator) -> list[int]:
    """`count` of `total` frames at random, sorted; of too few, each in its turn."""
    if total < count:
        return middles(total, count)
    return sorted(rng.choice(total, count, replace=False).tolist())


def at_rate(seconds: np.ndarray, fps: float) -> list[int]:
    """The frames shown in the middle of each 1 / fps seconds; the middle one of a film that is shorter."""
    length = seconds[-1] - seconds[0] + (seconds[-1] - seconds[0]) / (len(seconds) - 1)  # the last one is shown, too
    wanted = seconds[0] + (np.arange(max(int(length * fps + 0.5), 1)) + 0.5) / fps
    if len(wanted) == 1:
        wanted = seconds[:1] + length / 2
    return (np.searchsorted(seconds, wanted, side="right") - 1).clip(0, len(seconds) - 1).tolist()
