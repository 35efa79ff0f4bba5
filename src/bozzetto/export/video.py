"""Films by ffmpeg from frames made one at a time: H.264 in MP4, which plays everywhere, animated WebP and GIF.

WebP plays wherever a page may show a GIF, in all its colours and at a sixth of the size.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from jaxtyping import UInt8

from bozzetto.errors import OutputError
from bozzetto.export.files import writing
from bozzetto.export.options import FPS

# Faster GIFs are slowed down by browsers to 10 frames a second; their clock has steps of 1/100 s.
MAX_GIF_FPS = 50

_MP4 = [
    *("-an", "-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p", "-threads", "1"),
    *("-movflags", "+faststart"),
]
# Seen beside the original no difference shows; slower compression saves three percent and takes twenty times as long.
_WEBP = ["-c:v", "libwebp_anim", "-quality", "82", "-compression_level", "4", "-threads", "1", "-loop", "0"]
# One palette for all frames, made of all their colours; ordered dither keeps still places still.
_GIF_FILTER = (
    "fps={fps},split[a][b];[a]palettegen=max_colors=255:stats_mode=full[palette];"
    "[b][palette]paletteuse=dither=bayer:bayer_scale=5:diff_mode=rectangle"
)


def _ffmpeg_command(path: Path, width: int, height: int, fps: int, coded: list[str]) -> list[str]:
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps), "-i", "-"]
    # "file:" keeps a colon or a leading dash in the name from being read as anything but a name.
    return [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *source, *coded, f"file:{path}"]


def write_mp4(frames: Iterator[UInt8[np.ndarray, "h w 3"]], path: Path, fps: int = FPS) -> Path:
    """Write frames of one even size as H.264 in yuv420p, whole or not at all; returns `path`.

    Raises:
        OutputError: there is no frame, or ffmpeg could not write the file (no space, no permission).
    """
    return _write(frames, path, fps, _MP4)


def write_gif(frames: Iterator[UInt8[np.ndarray, "h w 3"]], path: Path, fps: int = FPS) -> Path:
    """Write frames as an endless GIF of one palette, whole or not at all; returns `path`.

    Raises:
        OutputError: there is no frame, or ffmpeg could not write the file (no space, no permission).
    """
    return _write(frames, path, fps, ["-filter_complex", _GIF_FILTER.format(fps=min(fps, MAX_GIF_FPS)), "-loop", "0"])


def write_webp(frames: Iterator[UInt8[np.ndarray, "h w 3"]], path: Path, fps: int = FPS) -> Path:
    """Write frames as an endless animated WebP, whole or not at all; returns `path`.

    Raises:
        OutputError: there is no frame, or ffmpeg could not write the file (no space, no permission).
    """
    return _write(frames, path, fps, _WEBP)


# Suffix of a film -> what writes it.
WRITERS = {".mp4": write_mp4, ".webp": write_webp, ".gif": write_gif}


def _write(frames: Iterator[UInt8[np.ndarray, "h w 3"]], path: Path, fps: int, coded: list[str]) -> Path:
    """Hand the frames to ffmpeg.

    It is started here and not through imageio's writer, which does not look at its exit status: a disk that fills
    up with the last frame would leave a film that ends early and no word about it.
    """
    first = next(frames, None)
    if first is None:
        raise OutputError(f"Cannot write {path}: the film has no frames; ask for more than 0 seconds.")
    height, width = first.shape[:2]
    with writing(path) as temporary:
        command = _ffmpeg_command(temporary, width, height, fps, coded)
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as ffmpeg:
            try:
                _feed(ffmpeg, chain((first,), frames))
                answer = ffmpeg.communicate()[1].decode(errors="replace").strip().splitlines()
            except BaseException:
                ffmpeg.kill()
                raise
        if ffmpeg.returncode != 0:
            reason = answer[-1].rstrip(".") if answer else f"it stopped with status {ffmpeg.returncode}"
            raise OutputError(
                f"Cannot write {path}: ffmpeg says '{reason}'; check space and permissions of the folder."
            )
    return path


def _feed(ffmpeg: subprocess.Popen[bytes], frames: Iterable[UInt8[np.ndarray, "h w 3"]]) -> None:
    assert ffmpeg.stdin is not None
    try:
        for frame in frames:
            ffmpeg.stdin.write(frame.tobytes())
    except BrokenPipeError:
        pass  # ffmpeg has given up; its exit status and last words say why
