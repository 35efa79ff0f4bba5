"""What can be asked of meshes and films, as records: one of each goes with every export."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from bozzetto.errors import InputError
from bozzetto.export.mesh import MAX_STRETCH, Mesh, Texture, mesh_of
from bozzetto.export.scene import Scene
from bozzetto.export.solid import close_back

FPS = 24
SECONDS = 3.0
VIDEO_PX = 256
SOLID_WIDTH_MM = 100.0

# Hears how far the work is: a format or a film's file, frames made, frames in all (0: it has no frames).
Told = Callable[[str, int, int], None]
Frame = TypeVar("Frame")


def silent(name: str, done: int, total: int) -> None:
    """Tells nobody."""


def told(frames: Iterator[Frame], name: str, total: int, tell: Told) -> Iterator[Frame]:
    """The frames as they are, each one told of once the next is asked for."""
    for done, frame in enumerate(frames, start=1):
        yield frame
        tell(name, done, total)


@dataclass(frozen=True)
class MeshOptions:
    """How a surface becomes a mesh."""

    background: bool = False  # keep it
    solid: bool = False  # close the back
    max_stretch: float | None = None  # depth over sideways way that counts as a jump; None: 10, and none if solid
    texture: Texture = "baked"
    width_mm: float = SOLID_WIDTH_MM  # of the picture's width in an STL file, whose unit is the millimetre

    def __post_init__(self) -> None:
        if self.max_stretch is not None and not self.max_stretch > 0:
            raise InputError(f"--max-stretch cannot be {self.max_stretch}; give a number above 0, such as 10.")
        if not (math.isfinite(self.width_mm) and self.width_mm > 0):
            raise InputError(f"--width-mm cannot be {self.width_mm}; give a number of millimetres above 0.")

    @property
    def stretch(self) -> float:
        """Steeper faces are left out. A solid is better whole: a cut would go through it to the back."""
        if self.max_stretch is not None:
            return self.max_stretch
        return math.inf if self.solid else MAX_STRETCH


def mesh_for(scene: Scene, options: MeshOptions) -> Mesh:
    """The mesh of a scene as the options have it."""
    mesh = mesh_of(scene, options.texture, max_stretch=options.stretch, background=options.background)
    return close_back(mesh, scene.camera) if options.solid else mesh


@dataclass(frozen=True)
class FilmOptions:
    """How long, how large and how smooth films are."""

    size: int = VIDEO_PX
    seconds: float = SECONDS
    fps: int = FPS

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 4096:
            raise InputError(f"--size cannot be {self.size}; films are 16 to 4096 pixels wide.")
        if not (math.isfinite(self.seconds) and 0 < self.seconds <= 600):
            raise InputError(f"--seconds cannot be {self.seconds}; a film lasts above 0 and at most 600 seconds.")
        if not 1 <= self.fps <= 120:
            raise InputError(f"--fps cannot be {self.fps}; give 1 to 120 frames a second.")

    @property
    def count(self) -> int:
        """Frames of a film; one at least."""
        return max(1, round(self.seconds * self.fps))


@dataclass(frozen=True)
class ExportOptions:
    mesh: MeshOptions = field(default_factory=MeshOptions)
    film: FilmOptions = field(default_factory=FilmOptions)
    paths: tuple[str, ...] = ("turn",)  # names of films that the formats mp4, webp and gif draw
    tell: Told = silent
