"""Films by ffmpeg (H.264, plays everywhere) and animated GIFs by Pillow, from frames made one at a time."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from bozzetto.errors import OutputError
from bozzetto.export.files import writing
from bozzetto.export.images import to_uint8
from bozzetto.export.paths import MAX_YAW_DEG, relight_path, turn_path
from bozzetto.export.scene import Scene
from bozzetto.export.turn import relit, turned

SECONDS = 3.0
FPS = 24
VIDEO_PX = 256


def even(size: int) -> int:
    """The next even size, which yuv420p needs."""
    return size + size % 2


def each_once(
    path: Float[Tensor, "n d"], draw: Callable[[Float[Tensor, "m d"]], Iterator[Tensor]]
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Frames along a path, every distinct point of it drawn once: a swing passes each pose there and back.

    Holds the distinct frames, 8 bit: 7 MB for the default film.
    """
    distinct, index = torch.unique((path * 1e5).round(), dim=0, return_inverse=True)
    first = torch.full((len(distinct),), len(path)).scatter_reduce_(0, index, torch.arange(len(path)), "amin")
    order = first.argsort()  # distinct points in order of first appearance
    pending, drawn = draw(path[first[order]]), {}
    for point in index.tolist():
        if point not in drawn:
            drawn[point] = to_uint8(next(pending))
        yield drawn[point]


def turn_frames(
    scene: Scene, count: int = int(SECONDS * FPS), size: int = VIDEO_PX, max_yaw_deg: float = MAX_YAW_DEG
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Frames of one swing of the object, to one side, to the other and back; loops without a jump."""
    return each_once(turn_path(count, max_yaw_deg), lambda views: turned(scene, views, even(size)))


def relight_frames(
    scene: Scene, count: int = int(SECONDS * FPS), size: int = VIDEO_PX
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Frames of one round of the light about the object in the photo's pose; loops without a jump."""
    return each_once(relight_path(count, scene.light), lambda lights: relit(scene, lights, even(size)))


def _ffmpeg_command(path: Path, width: int, height: int, fps: int) -> list[str]:
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps), "-i", "-"]
    coded = ["-an", "-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p", "-threads", "1"]
    # "file:" keeps a colon or a leading dash in the name from being read as anything but a name.
    return [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-y",
        "-v",
        "error",
        *source,
        *coded,
        "-movflags",
        "+faststart",
        f"file:{path}",
    ]


def write_mp4(frames: Iterator[UInt8[np.ndarray, "h w 3"]], path: Path, fps: int = FPS) -> Path:
    """Write frames of one even size as H.264 in yuv420p, whole or not at all; returns `path`.

    ffmpeg is started here and not through imageio's writer, which does not look at its exit status: a disk that fills
    up with the last frame would leave a film that ends early and no word about it.

    Raises:
        OutputError: there is no frame, or ffmpeg could not write the file (no space, no permission).
    """
    first = next(frames, None)
    if first is None:
        raise OutputError(f"Cannot write {path}: the film has no frames; ask for more than 0 seconds.")
    height, width = first.shape[:2]
    with writing(path) as temporary:
        command = _ffmpeg_command(temporary, width, height, fps)
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


def write_gif(frames: Iterator[UInt8[np.ndarray, "h w 3"]], path: Path, fps: int = FPS) -> Path:
    """Write frames as an endless GIF, whole or not at all; returns `path`. Raises OutputError."""
    pictures = [Image.fromarray(frame).quantize(128, method=Image.Quantize.MEDIANCUT) for frame in frames]
    if not pictures:
        raise OutputError(f"Cannot write {path}: the film has no frames; ask for more than 0 seconds.")
    with writing(path) as temporary:
        pictures[0].save(
            temporary, format="GIF", save_all=True, append_images=pictures[1:], duration=round(1000 / fps), loop=0
        )
    return path
