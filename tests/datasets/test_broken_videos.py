"""Films that hang, lie or never end: each is cut in time, with a message that says which one and what to do."""

import os
import threading
import time

import numpy as np
import pytest

from ullava.datasets import images, videos
from ullava.datasets.formats import mask_pictures
from ullava.datasets.structures import Picture, Video
from ullava.datasets.watchdog import within


@pytest.fixture
def pipe(tmp_path):
    """A pipe that never says anything: whoever reads it waits inside of a system call, until the test ends."""
    path = tmp_path / "film.mp4"
    os.mkfifo(path)
    held = os.open(path, os.O_RDWR)
    yield path
    os.close(held)


def test_a_decode_that_hangs_in_c_is_cut(pipe, monkeypatch):
    monkeypatch.setattr(videos, "check_file", lambda path, kind: None)  # which would not let a pipe through
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"film.mp4: not read in 0.3 s; .* or raise \$ULLAVA_VIDEO_TIMEOUT"):
        videos.read_frames(Video(pipe), 4, timeout=0.3)
    assert time.monotonic() - began < 5
    assert [thread.name for thread in threading.enumerate()].count("within") == 1, "it did hang, and is left behind"


@pytest.mark.parametrize("read", [
    lambda path: videos.read_frames(Video(path), 4),
    lambda path: images.read(Picture(path)),
    lambda path: images.size_of(path),
    lambda path: mask_pictures.label_map(path),
])  # fmt: skip
def test_a_pipe_is_not_waited_for(pipe, read):
    with pytest.raises(ValueError, match="film.mp4: expected a .*, found no regular file"):
        read(pipe)


def test_the_time_comes_from_the_environment(monkeypatch):
    assert videos.patience() == 60
    monkeypatch.setenv("ULLAVA_VIDEO_TIMEOUT", "2.5")
    assert videos.patience() == 2.5
    for wrong in ("soon", "0", "-1", "nan"):
        monkeypatch.setenv("ULLAVA_VIDEO_TIMEOUT", wrong)
        with pytest.raises(ValueError, match=f"ULLAVA_VIDEO_TIMEOUT: expected seconds above 0, found '{wrong}'"):
            videos.patience()


def test_what_work_returns_and_raises_comes_through():
    def fail():
        raise TimeoutError("its own")

    assert within(5, lambda: 3, "late") == 3
    with pytest.raises(TimeoutError, match="its own"):
        within(5, fail, "late")
    with pytest.raises(SystemExit):
        within(5, lambda: exit(1), "late")


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{film}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile {film}\n",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_is_no_film(kind, tmp_path, film):
    path = tmp_path / "list.mp4"
    path.write_text(PLAYLISTS[kind].format(film=film.name))
    with pytest.raises(ValueError, match="list.mp4: the video is truncated or broken"):
        videos.read_frames(Video(path), 2)


@pytest.fixture
def film(tmp_path):
    """Two grey frames of 32 x 48."""
    import av

    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=2)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 48, 3), np.uint8))))
        container.mux(stream.encode())
    return path


def test_frames_that_are_too_large_are_not_drawn(film, monkeypatch):
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 32 * 48 - 1)
    with pytest.raises(ValueError, match=r"two.mkv: frames of 32 x 48 \(H x W\) are too large to be any"):
        videos.read_frames(Video(film), 2)
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 100_000)
    assert videos.read_frames(Video(film), 2).shape == (2, 32, 48, 3)
