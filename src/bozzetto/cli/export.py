"""`bozzetto export RESULT`: every picture, mesh and film of a result again, without networks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from bozzetto.cli.parse import parse
from bozzetto.cli.progress import Live
from bozzetto.errors import InputError
from bozzetto.export.formats import DEFAULT_FORMATS, check_formats
from bozzetto.export.mesh import Texture
from bozzetto.export.options import FPS, SECONDS, SOLID_WIDTH_MM, VIDEO_PX, ExportOptions, FilmOptions, MeshOptions
from bozzetto.results import export_folder, read


@dataclass(frozen=True)
class Arguments:
    result: tyro.conf.Positional[Path]  # a result folder
    formats: tuple[str, ...] = DEFAULT_FORMATS  # what to draw, with spaces or commas between
    out: Path | None = None  # where to; the result folder itself if not given
    max_stretch: float | None = None  # cut the mesh where it is steeper; 10 if not given, and no cut if solid
    background: bool = False  # keep it in the mesh
    solid: bool = False  # close the mesh for 3D printing
    texture: Texture = "baked"  # of the mesh: with the photo's light, or albedo alone
    width_mm: float = SOLID_WIDTH_MM  # width of the picture in an STL file
    path: tuple[str, ...] = ("turn",)  # films that mp4, webp and gif draw: turn, nod, circle, relight, both, ...
    size: int = VIDEO_PX  # of films, pixels
    seconds: float = SECONDS  # of films
    fps: int = FPS  # frames a second


class Shown(Live):
    """A bar that counts the frames of films; other formats are named while they are drawn."""

    def __init__(self, console: Console | None = None) -> None:
        name = TextColumn("{task.description}")
        super().__init__(console, (name, BarColumn(bar_width=20), MofNCompleteColumn(), TimeRemainingColumn()))

    def tell(self, name: str, done: int, total: int) -> None:
        """An `export.options.Told`."""
        if self.live and done <= 1:  # a new film: its own clock
            self.bar.reset(self.task, description=name, total=total or None)
        if self.live:
            self.bar.update(self.task, description=name, completed=done, total=total or None)


def split_names(words: Sequence[str]) -> tuple[str, ...]:
    """Names that stand apart or with commas between."""
    return tuple(name.strip() for word in words for name in word.split(",") if name.strip())


def export(argv: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    words = [f"--formats{word[8:]}" if word.partition("=")[0] == "--format" else word for word in argv]  # one is enough
    args = parse(Arguments, words, "export", "Draw the pictures, meshes and films of a result again.")
    formats, out = check_formats(split_names(args.formats)), args.out or args.result
    mesh = MeshOptions(args.background, args.solid, args.max_stretch, args.texture, args.width_mm)
    film = FilmOptions(args.size, args.seconds, args.fps)
    scene = read(args.result)
    if "gan" in formats and formats != DEFAULT_FORMATS and scene.through_gan is None:
        raise InputError(
            f"{args.result} keeps no pictures through the GAN; make them with `bozzetto through-gan {args.result}`."
        )
    with Shown() as shown:
        options = ExportOptions(mesh, film, split_names(args.path), shown.tell)
        written = export_folder(scene, out, formats, options)
    for path in written:
        sys.stderr.write(f"{path}\n")
    sys.stdout.write(f"{out}\n")
    return 0


COMMANDS = {"export": export}
