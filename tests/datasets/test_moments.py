"""Which frames stand for a film: by hand on drawn numbers, and on real films."""


import numpy as np
import pytest

from tests.shared import SHARED
from ullava.configs.schema import VisionConfig
from ullava.datasets.moments import Sampling, at_rate, head_tail, middles
from ullava.datasets.structures import Video
from ullava.datasets.videos import read_frames

REALDATA = SHARED / "realdata"
FILMS = sorted((REALDATA / "video_reader_samples").glob("**/*.*"))


def test_half_of_the_frames_come_from_each_half():
    for seed in range(20):
        found = head_tail(21, 7, np.random.default_rng(seed))
        assert found == sorted(set(found)) and sum(place < 10 for place in found) == 4
    assert head_tail(3, 8, np.random.default_rng(0)) == [0, 0, 0, 0, 1, 1, 2, 2]  # one frame, then two
    assert head_tail(2, 5, np.random.default_rng(0)) == [0, 0, 0, 1, 1]


def test_a_film_shows_the_same_frames_each_time_and_another_one_others():
    seconds, way = np.arange(100) / 25, Sampling("head_tail")
    first = way.choose(seconds, 8, "a.mp4")
    assert first == way.choose(seconds, 8, "a.mp4") != way.choose(seconds, 8, "b.mp4")


def test_frames_of_a_rate_are_the_middles_of_its_ticks():
    seconds = np.arange(40) / 10  # four seconds
    assert at_rate(seconds, 1) == [5, 15, 25, 35]
    assert at_rate(seconds, 2.5) == [2, 6, 10, 14, 18, 22, 26, 30, 34, 38]
    assert at_rate(seconds, 0.1) == [20]  # shorter than a tick
    assert at_rate(np.array([0, 0.1, 0.2, 3.0]), 1)[0] == 2  # shown until the next one is


def test_a_rate_gives_the_count_that_is_asked_for():
    seconds = np.arange(40) / 10
    assert Sampling("fps", 1).choose(seconds, 4, "") == [5, 15, 25, 35]
    assert Sampling("fps", 1).choose(seconds, 2, "") == [15, 35]  # too many: spread
    assert Sampling("fps", 0.5).choose(seconds, 4, "") == [10, 10, 30, 30]  # too few: in turn
    assert Sampling("fps").choose([0.0], 3, "") == [0, 0, 0]


@pytest.mark.parametrize("way", ["uniform", "head_tail", "fps"])
def test_a_short_film_repeats_its_frames_in_order(way):
    for total in range(1, 9):
        found = Sampling(way, 50).choose(np.arange(total) / 25, 8, "x")
        assert len(found) == 8 and found == sorted(found) and found[-1] < total


def test_a_way_that_there_is_not():
    with pytest.raises(ValueError, match="expected uniform, head_tail, fps"):
        Sampling("middle")
    with pytest.raises(ValueError, match="fps"):
        VisionConfig(tower="x", sampling="fps", fps=0)


@pytest.mark.shared
@pytest.mark.skipif(not FILMS, reason="$ULLAVA_SHARED has no films")
@pytest.mark.parametrize("path", FILMS, ids=lambda path: path.name)
def test_real_films_give_the_chosen_frames(path):
    """Decoded whole, the same frames are where each way says."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        shown = sorted((frame.pts, frame.to_ndarray(format="rgb24")) for frame in container.decode(stream))[: 10**6]
        seconds = [float(moment * stream.time_base) for moment, _ in shown]
    for sampling in (Sampling("uniform"), Sampling("head_tail"), Sampling("fps", 2)):
        frames = read_frames(Video(path), 4, sampling=sampling)
        chosen = sampling.choose(seconds, 4, path.name)
        assert [(frame == shown[k][1]).all() for frame, k in zip(frames, chosen, strict=True)] == [True] * 4
    assert middles(len(seconds), 4) == Sampling().choose(seconds, 4, path.name)
