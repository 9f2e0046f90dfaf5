"""Frames: which ones, and what a broken file says. The films are written here: frame i is one grey, 8 * i."""

import av
import numpy as np
import pytest
from PIL import Image

from ullava.datasets.moments import middles
from ullava.datasets.structures import Video
from ullava.datasets.videos import read_frames

LENGTH, RATE = 20, 10


def grey(i: int) -> np.ndarray:
    return np.full((32, 48, 3), 8 * i, np.uint8)


@pytest.fixture(params=["film.mp4", "film.mkv", "film.avi", "film.gif"])
def film(request, tmp_path) -> Video:
    """Keyframes stand at every seventh frame, with frames between them that refer to both sides."""
    path = tmp_path / request.param
    if path.suffix == ".gif":
        first, *others = [Image.fromarray(grey(i)) for i in range(LENGTH)]
        first.save(path, save_all=True, append_images=others, duration=1000 // RATE)
        return Video(path)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE, options={"g": "7", "bf": "2"})
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        stream.bit_rate = 4_000_000
        for i in range(LENGTH):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey(i))))
        container.mux(stream.encode())
    return Video(path)


def seen(frames: np.ndarray) -> list[int]:
    """Which frames they are."""
    return [round(float(frame.mean()) / 8) for frame in frames]


def test_middles_of_equal_parts():
    assert middles(20, 4) == [2, 7, 12, 17]
    assert middles(8, 8) == list(range(8))
    assert middles(3, 8) == [0, 0, 0, 1, 1, 2, 2, 2]  # each frame in its turn
    assert middles(1, 3) == [0, 0, 0]


def test_frames_are_the_middles(film):
    frames = read_frames(film, 4)
    assert (frames.shape, frames.dtype) == ((4, 32, 48, 3), np.uint8)
    assert seen(frames) == [2, 7, 12, 17]


def test_all_frames_are_read_in_order(film):
    assert seen(read_frames(film, LENGTH)) == list(range(LENGTH))


def test_a_short_clip_repeats_its_frames_in_order(film):
    assert seen(read_frames(film, 30)) == middles(LENGTH, 30)


def test_a_part_of_a_film_is_cut_out_by_seconds(film):
    # 0.5 s to 1.5 s at 10 frames a second: frames 5 to 14.
    assert seen(read_frames(Video(film.path, (0.5, 1.5)), 5)) == [6, 8, 10, 12, 14]


def test_a_part_beyond_the_end_is_refused(film):
    with pytest.raises(ValueError, match=r"film.\w+: no frames between 7.0 and 9.0 s"):
        read_frames(Video(film.path, (7.0, 9.0)), 2)


def test_a_missing_film_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no.mp4: no such video"):
        read_frames(Video(tmp_path / "no.mp4"), 2)


@pytest.mark.parametrize("kept", [0.0, 0.05])
def test_a_broken_film_is_named(film, kept):
    content = film.path.read_bytes()
    film.path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ValueError, match=r"film.\w+: "):
        read_frames(film, 4)


def test_a_film_that_takes_too_long_is_named(film):
    with pytest.raises(TimeoutError, match=r"film.\w+: not read in"):
        read_frames(film, 4, timeout=1e-9)


def test_a_still_picture_is_a_film_of_one_frame(tmp_path):
    Image.fromarray(grey(5)).save(tmp_path / "still.gif")
    assert seen(read_frames(Video(tmp_path / "still.gif"), 3)) == [5, 5, 5]


def test_a_sound_has_no_pictures(tmp_path):
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(ValueError, match="sound.wav: the file has no pictures in it"):
        read_frames(Video(path), 2)


@pytest.mark.shared
def test_real_films_give_what_decoding_all_of_them_gives(realdata):
    paths = sorted(p for p in realdata.rglob("*") if p.suffix in (".mp4", ".avi", ".mkv"))[:4]
    for path in paths:
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        expected = np.stack([frames[i] for i in middles(len(frames), 8)])
        assert (read_frames(Video(path), 8) == expected).all(), path
