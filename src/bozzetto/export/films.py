"""What films show: the object or the light on a path, frame by frame, or kept pictures there and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from bozzetto.errors import InputError
from bozzetto.export.images import to_uint8
from bozzetto.export.options import FPS, SECONDS, VIDEO_PX
from bozzetto.export.paths import MAX_YAW_DEG, circle_path, nod_path, relight_path, there_and_back, turn_path
from bozzetto.export.scene import Scene
from bozzetto.export.turn import relit, turned

Frames = Iterator[UInt8[np.ndarray, "h w 3"]]
COUNT = int(SECONDS * FPS)

# What a film is called by -> its file without the suffix.
FILMS = {
    "turn": "turntable",
    "nod": "nod",
    "circle": "circle",
    "relight": "relight",
    "both": "both",
    "gan_turn": "gan_turn",
    "gan_relight": "gan_relight",
}


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


def turn_frames(scene: Scene, count: int = COUNT, size: int = VIDEO_PX, max_yaw_deg: float = MAX_YAW_DEG) -> Frames:
    """Frames of one swing of the object, to one side, to the other and back; loops without a jump."""
    return _moved(scene, turn_path(count, max_yaw_deg), size)


def relight_frames(scene: Scene, count: int = COUNT, size: int = VIDEO_PX) -> Frames:
    """Frames of one round of the light about the object in the photo's pose; loops without a jump."""
    return each_once(relight_path(count, scene.light), lambda lights: relit(scene, lights, even(size)))


def both_frames(scene: Scene, count: int = COUNT, size: int = VIDEO_PX) -> Frames:
    """Frames of a swing of the object during one round of the light; loops without a jump."""
    path = torch.cat((turn_path(count), relight_path(count, scene.light)), dim=1)
    return each_once(path, lambda rows: turned(scene, rows[:, :6], even(size), rows[:, 6:]))


def _moved(scene: Scene, path: Float[Tensor, "n 6"], size: int) -> Frames:
    return each_once(path, lambda views: turned(scene, views, even(size)))


def swing_frames(pictures: UInt8[Tensor, "k 3 s s"], count: int = COUNT, size: int = VIDEO_PX) -> Frames:
    """Frames of kept pictures there and back, enlarged; between two of them a blend. Loops without a jump."""
    for place in there_and_back(count, len(pictures)):
        left = int(place.floor().clamp(max=max(len(pictures) - 2, 0)))
        pair = pictures[left : left + 2].float() / 255
        blend = torch.lerp(pair[0], pair[-1], place - left)
        large = F.interpolate(blend[None], size=(even(size),) * 2, mode="bicubic", align_corners=False)
        yield to_uint8(large[0])


def film_frames(scene: Scene, name: str, count: int = COUNT, size: int = VIDEO_PX) -> Frames:
    """Frames of a film by its name, one of `FILMS`.

    Raises:
        InputError: there is no such film, or the result keeps no pictures through the GAN.
    """
    check_film(scene, name)
    if name in ("gan_turn", "gan_relight"):
        kept = scene.through_gan
        assert kept is not None
        return swing_frames(kept.turn if name == "gan_turn" else kept.relight, count, size)
    plain: dict[str, Callable[[], Frames]] = {
        "turn": lambda: turn_frames(scene, count, size),
        "nod": lambda: _moved(scene, nod_path(count), size),
        "circle": lambda: _moved(scene, circle_path(count), size),
        "relight": lambda: relight_frames(scene, count, size),
        "both": lambda: both_frames(scene, count, size),
    }
    return plain[name]()


def check_film(scene: Scene, name: str) -> None:
    """Raise InputError where a film of this name cannot be drawn of the scene."""
    if name not in FILMS:
        raise InputError(f"There is no path '{name}'; choose from {', '.join(FILMS)}.")
    if name.startswith("gan_") and scene.through_gan is None:
        raise InputError(
            f"This result keeps no pictures through the GAN, which '{name}' shows; "
            "make them with `bozzetto through-gan RESULT`."
        )
