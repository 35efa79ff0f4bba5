"""Everything that can be drawn of a reconstruction, by name: the one list behind the writer and the export command."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from bozzetto.errors import InputError
from bozzetto.export.depth16 import Depth16Scale, scale_for, write_depth16
from bozzetto.export.glb import write_glb, write_obj
from bozzetto.export.images import depth_rgb, normal_rgb, shown_depth_range, write_png
from bozzetto.export.mesh import mesh_of
from bozzetto.export.scene import Scene
from bozzetto.export.sheet import write_sheet
from bozzetto.export.video import relight_frames, turn_frames, write_gif, write_mp4

Writer = Callable[[Scene, Path], list[Path]]


def depth_scales(scene: Scene) -> dict[str, Depth16Scale]:
    """The scale of each 16-bit depth file, by file name."""
    return {
        "depth16.png": scale_for(scene.depth, scene.depth_range),
        "depth16_posed.png": scale_for(scene.depth_posed, scene.depth_range, scene.recon_mask),
    }


def write_pictures(scene: Scene, out: Path) -> list[Path]:
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
        "recon.png": scene.recon * scene.recon_mask,
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


FORMATS: dict[str, Writer] = {
    "png": write_pictures,
    "sheet": lambda scene, out: [write_sheet(scene, out / "sheet.png", scene.title, f"{scene.camera.size} px")],
    "glb": lambda scene, out: [write_glb(mesh_of(scene), out / "mesh.glb")],
    "obj": lambda scene, out: write_obj(mesh_of(scene), out / "mesh.obj"),
    "turntable": lambda scene, out: [write_mp4(turn_frames(scene), out / "turntable.mp4")],
    "relight": lambda scene, out: [write_mp4(relight_frames(scene), out / "relight.mp4")],
    "gif": lambda scene, out: [write_gif(turn_frames(scene), out / "turntable.gif")],
}

# What a result folder holds unless told otherwise: all but the GIF, which is large and shows what the film shows.
DEFAULT_FORMATS = ("png", "sheet", "glb", "obj", "turntable", "relight")

# Every name the formats above write; a result folder may replace these and no others.
FILE_NAMES = frozenset(
    {
        *("input.png", "mask.png", "canonical_mask.png", "inversion.png", "recon.png", "albedo.png", "shading.png"),
        *("normal.png", "normal_posed.png", "depth.png", "depth_posed.png", "depth16.png", "depth16_posed.png"),
        *("sheet.png", "mesh.glb", "mesh.obj", "mesh.mtl", "mesh_texture.png"),
        *("turntable.mp4", "relight.mp4", "turntable.gif"),
    }
)


def check_formats(formats: Iterable[str]) -> tuple[str, ...]:
    """The formats, in the given order and each once. Raises InputError for a name that is not one of `FORMATS`."""
    wanted = tuple(dict.fromkeys(formats))
    for name in wanted:
        if name not in FORMATS:
            raise InputError(f"There is no export format '{name}'; choose from {', '.join(FORMATS)}.")
    return wanted


def export_all(scene: Scene, out: Path, formats: Iterable[str] = DEFAULT_FORMATS) -> list[Path]:
    """Draw a reconstruction into the folder `out`, made if it is missing; returns the files written, in order.

    Each file is whole or not there. Files of these names that are already there are replaced, all others left alone.

    Raises:
        InputError: a format is not known.
        OutputError: the system refused to write.
    """
    return [path for name in check_formats(formats) for path in FORMATS[name](scene, Path(out))]
