"""Frames of a video or a GIF, evenly spread, by PyAV.

Frames are counted from the packets' times, without decoding them; only what lies between a keyframe and a wanted
frame is decoded. decord 0.6.0 (2021), which u-LLaVA uses, gave the same frames of MP4 and MKV in the same time, but
others of MSVD's AVI files than decoding the whole film gives; so it is not used.
"""

import time
from bisect import bisect_right
from operator import itemgetter
from pathlib import Path

import numpy as np

from ullava.datasets.structures import Video

COMPLETE = 0.9  # of the frames that the header announces; containers differ by a few


def read_frames(video: Video, count: int, timeout: float = 60.0) -> np.ndarray:
    """Returns (count, H, W, 3) uint8 RGB: the middle frames of `count` equal parts, in order.

    A clip of fewer frames than `count` repeats them in order.

    Args:
        count: 1 or more.
        timeout: seconds, after which a stuck file is given up.

    Raises:
        FileNotFoundError: no such file.
        TimeoutError: it took longer than `timeout`.
        ValueError: not a video, broken, truncated, or without frames in its `clip`.
    """
    import av

    path = video.path
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such video; the annotation file names it, its folder lacks it")
    if path.suffix.lower() == ".gif":
        check_trailer(path)
    try:
        with av.open(str(path), timeout=timeout) as container:
            if not container.streams.video:
                raise ValueError(f"{path}: the file has no pictures in it")
            return _Film(video, container, timeout).read(count)
    except av.error.ExitError as error:  # FFmpeg's own time-out, while it waits for bytes
        raise TimeoutError(late(path, timeout)) from error
    except av.error.FFmpegError as error:
        raise ValueError(f"{path}: the video is truncated or broken ({error}); fetch the file again") from error


def late(path: Path, timeout: float) -> str:
    """The message of a time-out."""
    return f"{path}: not read in {timeout:g} s; is the disk or the file stuck?"


def check_trailer(path: Path) -> None:
    """Looks for the byte that ends a GIF (GIF89a, section 27); FFmpeg draws half a picture where it is missing.

    Raises:
        ValueError: it is missing.
    """
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 64, 0))
        if not file.read().rstrip(b"\0").endswith(b";"):
            raise ValueError(f"{path}: the GIF is truncated; fetch the file again")


def middles(total: int, count: int) -> list[int]:
    """Indices of the middle frames of `count` equal parts of `total` frames."""
    return [(2 * part + 1) * total // (2 * count) for part in range(count)]


class _Film:
    """One open file, read forwards."""

    def __init__(self, video: Video, container, timeout: float):
        self.video, self.container, self.timeout = video, container, timeout
        self.deadline = time.monotonic() + timeout
        self.stream = container.streams.video[0]
        self.stream.codec_context.thread_count = 1  # workers are the parallel ones

    def read(self, count: int) -> np.ndarray:
        times, keys = self.packet_times()
        wanted = [times[i] for i in middles(len(times), count)]
        frames: dict[int, np.ndarray] = {}
        position, decoding = -1, iter(())  # index in `keys` of the part that is being decoded
        for moment in sorted(set(wanted)):
            part = max(bisect_right(keys, moment, key=itemgetter(0)) - 1, 0)
            if part > position:
                self.container.seek(keys[part][1], stream=self.stream)
                position, decoding = part, self.container.decode(self.stream)
            frames[moment] = self.frame_at(moment, decoding)
        return np.stack([frames[moment] for moment in wanted])

    def packet_times(self) -> tuple[list[int], list[tuple[int, int]]]:
        """Times of the frames in the clip, and (time, place to seek) of all keyframes, in the stream's unit, sorted."""
        times, keys = [], []
        for packet in self.container.demux(self.stream):
            self.check_time()
            shown, decoded = packet.pts, packet.dts
            if shown is None and decoded is None:
                continue  # the empty packet that ends a file
            shown = decoded if shown is None else shown
            times.append(shown)
            if packet.is_keyframe:
                keys.append((shown, shown if decoded is None else decoded))  # AVI and MP4 seek by decoding time
        path, announced = self.video.path, self.stream.frames
        if len(times) < COMPLETE * announced:
            raise ValueError(f"{path}: truncated: {len(times)} of {announced} frames are there; fetch the file again")
        times.sort()
        if self.video.clip:
            start, end = (second / self.stream.time_base + times[0] for second in self.video.clip)
            times = [moment for moment in times if start <= moment < end]
        if not times:
            within = f" between {self.video.clip[0]} and {self.video.clip[1]} s" if self.video.clip else ""
            raise ValueError(f"{path}: no frames{within}")
        return times, sorted(keys) or [(times[0], times[0])]

    def frame_at(self, moment: int, decoding) -> np.ndarray:
        """The first frame from `moment` on; the last one there is, where the stream ends before."""
        frame = None
        for frame in decoding:
            self.check_time()
            if frame.pts is None or frame.pts >= moment:
                break
        if frame is None:
            raise ValueError(f"{self.video.path}: frames end early; the file is truncated, fetch it again")
        pixels = frame.to_ndarray(format="rgb24")
        return np.ascontiguousarray(np.rot90(pixels, frame.rotation // 90)) if frame.rotation else pixels

    def check_time(self) -> None:
        if time.monotonic() > self.deadline:
            raise TimeoutError(late(self.video.path, self.timeout))
