"""Frames of a video or a GIF, by PyAV, in a limited time.

Frames are counted from the packets' times, without decoding them; only what lies between a keyframe and a wanted
frame is decoded. decord 0.6.0 (2021), which u-LLaVA uses, gave the same frames of MP4 and MKV in the same time, but
others of MSVD's AVI files than decoding the whole film gives; so it is not used.

Only containers are opened, and only files: a playlist may name any other file or address, whatever it is called.
"""

import os
import time
from bisect import bisect_right
from operator import itemgetter
from pathlib import Path

import numpy as np
from PIL import Image

from ullava.datasets.moments import UNIFORM, Sampling
from ullava.datasets.opening import check_file
from ullava.datasets.structures import Video
from ullava.datasets.watchdog import within

PATIENCE = 60.0  # seconds for one film where $ULLAVA_VIDEO_TIMEOUT does not say how many
CONTAINERS = "mov,matroska,avi,gif,asf,flv,h264,hevc,mpeg,mpegts,mpegvideo,m4v,ogg,rm,wav,apng"
GUARD = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
COMPLETE = 0.9  # of the frames that the header announces; containers differ by a few


def read_frames(video: Video, count: int, timeout: float | None = None, sampling: Sampling = UNIFORM) -> np.ndarray:
    """Returns (count, H, W, 3) uint8 RGB: frames chosen by `sampling`, in order.

    A clip of fewer frames than `count` repeats them in order.

    Args:
        count: 1 or more.
        timeout: seconds, after which a stuck file is given up; None: $ULLAVA_VIDEO_TIMEOUT, or 60.

    Raises:
        FileNotFoundError: no such file.
        TimeoutError: it took longer than `timeout`.
        ValueError: not a video, broken, truncated, too large, or without frames in its `clip`.
    """
    timeout = patience() if timeout is None else timeout
    return within(timeout, lambda: _read(video, count, timeout, sampling), late(video.path, timeout))


def patience() -> float:
    """Seconds that one film may take.

    Raises:
        ValueError: $ULLAVA_VIDEO_TIMEOUT is not a number above 0.
    """
    value = os.environ.get("ULLAVA_VIDEO_TIMEOUT", "").strip()
    try:
        seconds = float(value or PATIENCE)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise ValueError(f"ULLAVA_VIDEO_TIMEOUT: expected seconds above 0, found {value!r}")
    return seconds


def _read(video: Video, count: int, timeout: float, sampling: Sampling) -> np.ndarray:
    import av  # not decord: findings/decord_seek.sh
    from av.error import ExitError, FFmpegError

    path = video.path
    check_file(path, "video")
    if path.suffix.lower() == ".gif":
        check_trailer(path)
    try:
        with av.open(str(path), timeout=timeout, options=GUARD) as container:
            if not container.streams.video:
                raise ValueError(f"{path}: the file has no pictures in it")
            return _Film(video, container, timeout).read(count, sampling)
    except ExitError as error:  # FFmpeg's own time-out, while it waits for bytes
        raise TimeoutError(late(path, timeout)) from error
    except FFmpegError as error:
        raise ValueError(f"{path}: the video is truncated or broken ({error}); fetch the file again") from error


def late(path: Path, timeout: float) -> str:
    """The message of a time-out."""
    return (
        f"{path}: not read in {timeout:g} s; the disk or the file is stuck: take it out of the annotation file, or "
        "raise $ULLAVA_VIDEO_TIMEOUT (seconds)"
    )


def check_trailer(path: Path) -> None:
    """Looks for the byte that ends a GIF (GIF89a, section 27); FFmpeg draws half a picture where it is missing.

    Raises:
        ValueError: it is missing.
    """
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 64, 0))
        if not file.read().rstrip(b"\0").endswith(b";"):
            raise ValueError(f"{path}: the GIF is truncated; fetch the file again")


class _Film:
    """One open file, read forwards."""

    def __init__(self, video: Video, container, timeout: float):
        self.video, self.container, self.timeout = video, container, timeout
        self.deadline = time.monotonic() + timeout
        self.stream = container.streams.video[0]
        self.stream.codec_context.thread_count = 1  # workers are the parallel ones
        self.stream.codec_context.options = {"max_pixels": str(Image.MAX_IMAGE_PIXELS)}
        if self.stream.width * self.stream.height > Image.MAX_IMAGE_PIXELS:
            raise ValueError(
                f"{video.path}: frames of {self.stream.height} x {self.stream.width} (H x W) are too large to be any; "
                "take it out, or shrink it"
            )

    def read(self, count: int, sampling: Sampling) -> np.ndarray:
        times, keys = self.packet_times()
        seconds = [float(moment * self.stream.time_base) for moment in times]
        wanted = [times[i] for i in sampling.choose(seconds, count, self.video.path.name)]
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
