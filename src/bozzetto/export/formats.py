"""Everything that can be drawn of a reconstruction, by name: the one list behind the writer and the export command."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from bozzetto.errors import InputError
from bozzetto.export.depth16 import Depth16Scale, scale_for, write_depth16
from bozzetto.export.films import FILMS, check_film, film_frames
from bozzetto.export.glb import write_glb, write_obj
from bozzetto.export.images import depth_rgb, normal_rgb, shown_depth_range, write_png
from bozzetto.export.mesh_files import write_ply, write_stl
from bozzetto.export.options import ExportOptions, mesh_for, told
from bozzetto.export.scene import Scene
from bozzetto.export.sheet import write_sheet
from bozzetto.export.usdz import check_usd, write_usdz
from bozzetto.export.video import WRITERS
from bozzetto.export.viewer import VIEWER, write_viewer

Writer = Callable[[Scene, Path, ExportOptions], list[Path]]


def depth_scales(scene: Scene) -> dict[str, Depth16Scale]:
    """The scale of each 16-bit depth file, by file name."""
    return {
        "depth16.png": scale_for(scene.depth, scene.depth_range),
        "depth16_posed.png": scale_for(scene.depth_posed, scene.depth_range, scene.recon_mask),
    }


def write_pictures(scene: Scene, out: Path, options: ExportOptions) -> list[Path]:
    """The plain pictures at the network's size. Names without `_posed` are canonical, but for the photo's own:
    input, mask, inversion and recon are in the photo's pose."""
    shown = shown_depth_range(scene.depth, scene.canonical_mask, scene.depth_range)
    posed = shown_depth_range(scene.depth_posed, scene.mask * scene.recon_mask, scene.depth_range)
    brightest = max(1.0, float(torch.nan_to_num(scene.shading).max()))
    images = {
        "input.png": scene.image,
        "mask.png": scene.mask,
        "canonical_mask.png": scene.canonical_mask,
        "inversion.png": scene.inversion,
        "recon.png": scene.recon * scene.recon_mask * scene.mask,
        "albedo.png": scene.albedo,
        "shading.png": scene.shading / brightest,
        "normal.png": normal_rgb(scene.normal),
        "normal_posed.png": normal_rgb(scene.normal_posed, scene.recon_mask),
        "depth.png": depth_rgb(scene.depth, shown.near, shown.far),
        "depth_posed.png": depth_rgb(scene.depth_posed, posed.near, posed.far, scene.recon_mask),
    }
    scales = depth_scales(scene)
    written = [write_png(image, out / name) for name, image in images.items()]
    written.append(write_depth16(scene.depth, out / "depth16.png", scales["depth16.png"]))
    masked = (scene.depth_posed, out / "depth16_posed.png", scales["depth16_posed.png"], scene.recon_mask)
    written.append(write_depth16(*masked))
    return written


def write_films(names: Iterable[str], suffix: str, scene: Scene, out: Path, options: ExportOptions) -> list[Path]:
    """A film of each name as `.mp4`, `.webp` or `.gif`."""
    write, film, written = WRITERS[suffix], options.film, []
    for name in names:
        path = out / f"{FILMS[name]}{suffix}"
        frames = told(film_frames(scene, name, film.count, film.size), path.name, film.count, options.tell)
        written.append(write(frames, path, film.fps))
    return written


def _gan_films(scene: Scene, out: Path, options: ExportOptions) -> list[Path]:
    """The films through the GAN, of a result that keeps such pictures."""
    return [] if scene.through_gan is None else write_films(("gan_turn", "gan_relight"), ".mp4", scene, out, options)


FORMATS: dict[str, Writer] = {
    "png": write_pictures,
    "sheet": lambda scene, out, _: [write_sheet(scene, out / "sheet.png", scene.title, f"{scene.camera.size} px")],
    "viewer": lambda scene, out, _: [write_viewer(scene, out / VIEWER)],
    "glb": lambda scene, out, options: [write_glb(mesh_for(scene, options.mesh), out / "mesh.glb")],
    "obj": lambda scene, out, options: write_obj(mesh_for(scene, options.mesh), out / "mesh.obj"),
    "ply": lambda scene, out, options: [write_ply(mesh_for(scene, options.mesh), out / "mesh.ply")],
    "stl": lambda scene, out, options: [
        write_stl(mesh_for(scene, options.mesh), out / "mesh.stl", options.mesh.width_mm)
    ],
    "usdz": lambda scene, out, options: [write_usdz(mesh_for(scene, options.mesh), out / "mesh.usdz")],
    "turntable": lambda scene, out, options: write_films(("turn",), ".mp4", scene, out, options),
    "relight": lambda scene, out, options: write_films(("relight",), ".mp4", scene, out, options),
    "gan": _gan_films,
    "mp4": lambda scene, out, options: write_films(options.paths, ".mp4", scene, out, options),
    "webp": lambda scene, out, options: write_films(options.paths, ".webp", scene, out, options),
    "gif": lambda scene, out, options: write_films(options.paths, ".gif", scene, out, options),
}

# What a result folder holds unless told otherwise: no second form of a mesh or a film.
DEFAULT_FORMATS = ("png", "sheet", "viewer", "glb", "obj", "turntable", "relight", "gan")

# Every name the formats above write; a result folder may replace these and no others.
FILE_NAMES = frozenset(
    {
        *("input.png", "mask.png", "canonical_mask.png", "inversion.png", "recon.png", "albedo.png", "shading.png"),
        *("normal.png", "normal_posed.png", "depth.png", "depth_posed.png", "depth16.png", "depth16_posed.png"),
        *("sheet.png", VIEWER, "mesh.glb", "mesh.obj", "mesh.mtl", "mesh_texture.png"),
        *("mesh.ply", "mesh.stl", "mesh.usdz"),
        *(f"{file}{suffix}" for file in FILMS.values() for suffix in WRITERS),
    }
)


def check_formats(formats: Iterable[str]) -> tuple[str, ...]:
    """The formats, in the given order and each once.

    Raises:
        InputError: a name is not one of `FORMATS`.
        MissingExtraError: the package that writes one of them is not installed.
    """
    wanted = tuple(dict.fromkeys(formats))
    for name in wanted:
        if name not in FORMATS:
            raise InputError(f"There is no export format '{name}'; choose from {', '.join(FORMATS)}.")
    if "usdz" in wanted:
        check_usd()
    return wanted


def export_all(
    scene: Scene,
    out: Path,
    formats: Iterable[str] = DEFAULT_FORMATS,
    options: ExportOptions = ExportOptions(),  # noqa: B008  frozen
) -> list[Path]:
    """Draw a reconstruction into the folder `out`, made if it is missing; returns the files written, in order.

    Each file is whole or not there. Files of these names that are already there are replaced, all others left alone.

    Raises:
        InputError: a format or a path is not known, or the scene has no pictures for it.
        MissingExtraError: the package that writes a format is not installed.
        OutputError: the system refused to write.
    """
    wanted, folder = check_formats(formats), Path(out)
    if {"mp4", "webp", "gif"} & set(wanted):
        for name in options.paths:
            check_film(scene, name)
    written: list[Path] = []
    for name in wanted:
        options.tell(name, 0, 0)
        written += FORMATS[name](scene, folder, options)
    return list(dict.fromkeys(written))
